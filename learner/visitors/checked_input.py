"""What a visitor may ask for, checked: families, difficulties, counts, questions of their own.

Everything that arrives from a browser or through the API passes here before it is used, whatever
the page's own controls would have allowed.
"""

import math
import re
from collections.abc import Mapping

from arena import DIFFICULTIES, FAMILIES, Problem
from learner.learning.learner import MAX_EPISODES_PER_STEP
from learner.learning.signals import SIGNALS
from learner.visitors.snapshots import MAX_NAME

ANY_FAMILY = "any"
ANY_DIFFICULTY = 0
MAX_EPISODES = 2000
MAX_TIMES = 200
MAX_TEXT = 300
MAX_QUESTION = 600
MAX_ANSWER = 60
MAX_VECTORS = 24  # that the picture of them has room for

_NUMBER = re.compile(r"[-−+]?[$€£]?\d[\d,]*(\.\d+)?\s?%?")
_YES_NO = re.compile(r"(yes|no)[.!]?", re.IGNORECASE)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


class LessonError(ValueError):
    """Something a visitor asked for cannot be done; the message is one sentence that says why."""


def checked_families(family: object) -> list[str] | None:
    """The families to draw from; None for any. Raises LessonError for an unknown one."""
    if family in (None, "", ANY_FAMILY):
        return None
    if not isinstance(family, str) or family not in FAMILIES:
        raise LessonError(
            f"There is no family {str(family)[:20]!r}; choose any, {', '.join(FAMILIES)}."
        )
    return [family]


def checked_difficulty(difficulty: object) -> int | None:
    """The difficulty to draw; None for any. Raises LessonError unless it is 0 (any) to 5."""
    level = _whole_number(difficulty)
    if level == ANY_DIFFICULTY:
        return None
    if level not in DIFFICULTIES:
        raise LessonError("Difficulty is a whole number from 1 (easy) to 5 (hard), or 0 for any.")
    return level


def checked_episodes(episodes: object) -> int:
    """How many episodes to train. Raises LessonError unless it is 1 to ``MAX_EPISODES``."""
    return _within(episodes, MAX_EPISODES, f"Episodes is a whole number from 1 to {MAX_EPISODES}.")


def checked_times(times: object) -> int:
    """How many times to learn from the same. Raises LessonError unless it is 1 to ``MAX_TIMES``."""
    return _within(times, MAX_TIMES, f"Times is a whole number from 1 to {MAX_TIMES}.")


def checked_format(chat_template: object) -> bool:
    """Whether to use the chat template. Raises LessonError unless it is true or false."""
    if not isinstance(chat_template, bool):
        raise LessonError("The format is either with the chat template (true) or without (false).")
    return chat_template


def checked_signal(signal: object) -> str:
    """What the learner is told. Raises LessonError unless it is one of ``SIGNALS``."""
    if not isinstance(signal, str) or signal not in SIGNALS:
        raise LessonError(f"The signal is one of {', '.join(SIGNALS)}.")
    return signal


def checked_switch(vector: object) -> int:
    """The number of a vector that was clicked, from 0. Raises LessonError for no whole number."""
    number = _whole_number(vector.get("vector")) if isinstance(vector, Mapping) else None
    if number is None:
        raise LessonError("A click names a vector by its number.")
    return number


def checked_problem(problem: object) -> int:
    """The number of a held-out problem that was pressed, from 0. Raises LessonError for none."""
    number = _whole_number(problem.get("problem")) if isinstance(problem, Mapping) else None
    if number is None:
        raise LessonError("A press names a held-out problem by its number.")
    return number


def checked_moment(moment: object) -> int:
    """The number of a moment of training. Raises LessonError for no whole number."""
    number = _whole_number(moment)
    if number is None:
        raise LessonError("A moment of training is a whole number.")
    return number


def checked_slide(place: object) -> float:
    """Where a slider stands, or when it was moved. Raises LessonError for no finite number."""
    if isinstance(place, bool) or not isinstance(place, (int, float)) or not math.isfinite(place):
        raise LessonError("A slider stands at a number.")
    return float(place)


def checked_text(text: object) -> list[str]:
    """A text to compare with, or none. Raises LessonError for one that is too long."""
    told = text.strip() if isinstance(text, str) else ""
    if len(told) > MAX_TEXT:
        raise LessonError(f"A text to compare with has at most {MAX_TEXT} characters.")
    return [told] if told else []


def checked_name(name: object) -> str:
    """A name for a snapshot; "" for none. Raises LessonError for one that is too long."""
    told = " ".join(_UNPRINTABLE.sub(" ", name).split()) if isinstance(name, str) else ""
    if len(told) > MAX_NAME:
        raise LessonError(f"A name may have {MAX_NAME} characters; this has {len(told)}.")
    return told


def checked_snapshot(choice: object) -> tuple[str, str]:
    """(name, back or remove) of a snapshot that was clicked. Raises LessonError otherwise."""
    told = choice if isinstance(choice, Mapping) else {}
    action = told.get("action")
    if action not in ("back", "remove"):
        raise LessonError("A click on a snapshot goes back to it or removes it.")
    return checked_name(told.get("name")), action


def checked_learning_rate(rate: object) -> float:
    """How far a step goes. Raises LessonError unless it is above 0 and at most 1."""
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate <= 1:
        raise LessonError("The learning rate is a number above 0 and at most 1.")
    return float(rate)


def checked_step_size(episodes: object) -> int:
    """How many problems make a step. Raises LessonError unless it is 1 to 64."""
    most = MAX_EPISODES_PER_STEP
    return _within(episodes, most, f"A step takes 1 to {most} problems.")


def checked_vectors(vectors: object) -> int:
    """How many vectors to learn. Raises LessonError unless it is 1 to ``MAX_VECTORS``."""
    return _within(vectors, MAX_VECTORS, f"A soft prompt has 1 to {MAX_VECTORS} vectors here.")


def checked_thumb(thumb: object) -> tuple[int, int, int]:
    """(number of the set, place in it, +1, −1 or 0) of a thumb. Raises LessonError otherwise."""
    told = thumb if isinstance(thumb, Mapping) else {}
    number, index, sign = (_whole_number(told.get(key)) for key in ("number", "index", "mark"))
    if number is None or index is None or sign is None:
        raise LessonError("A mark names a set of tries, a place in it, and +1, -1 or 0.")
    return number, index, sign


def checked_thumbs(thumbs: object) -> list[int]:
    """A thumb for each sample in order. Raises LessonError unless it is a list of +1, −1 and 0."""
    numbers = [_whole_number(thumb) for thumb in thumbs] if isinstance(thumbs, list) else [None]
    checked = [number for number in numbers if number in (1, -1, 0)]
    if len(checked) != len(numbers):
        raise LessonError("The marks are a list with +1, -1 or 0 (none) for each try.")
    return checked


def own_problem(question: object, answer: object) -> Problem:
    """A problem out of a person's own question and, if they gave one, its answer.

    The kind of the answer is read off its looks: a number, yes/no, or text. Raises LessonError
    where there is no question, or either is too long.
    """
    if not isinstance(question, str) or not isinstance(answer, str | None):
        raise LessonError("A question and its answer are text.")
    asked = " ".join(_UNPRINTABLE.sub(" ", question).split())
    gold = " ".join(_UNPRINTABLE.sub(" ", answer or "").split())
    if not re.search(r"\w", asked):
        raise LessonError("Type a question first.")
    if len(asked) > MAX_QUESTION:
        raise LessonError(f"A question may have {MAX_QUESTION} characters; this has {len(asked)}.")
    if len(gold) > MAX_ANSWER:
        raise LessonError(f"An answer may have {MAX_ANSWER} characters; this has {len(gold)}.")
    return Problem("own", 0, asked, gold, _answer_kind(gold))


def _answer_kind(answer: str) -> str:
    if _NUMBER.fullmatch(answer):
        return "number"
    return "yes/no" if _YES_NO.fullmatch(answer) else "text"


def _within(value: object, most: int, sentence: str) -> int:
    """A whole number from 1 to ``most``. Raises LessonError with this sentence otherwise."""
    number = _whole_number(value)
    if number is None or not 1 <= number <= most:
        raise LessonError(sentence)
    return number


def _whole_number(value: object) -> int | None:
    """The int that a JSON number means; None for anything else, bools and 2.5 included."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value) if value == int(value) else None
