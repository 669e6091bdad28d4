"""Different answers to the problem before a visitor, sampled in the background for them to mark.

What is marked is what was shown: a mark names the set it was made on, so that a tab that still
shows an older set cannot mark a newer one.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from arena import Problem
from learner.learning.learner import Learner
from learner.learning.reward import MAX_SAMPLE_TOKENS, sample_seed
from learner.learning.step_report import Marked
from learner.learning.thumbs import Thumbs
from learner.learning.worked_examples import worked_examples
from learner.model.completion import Ask, Completion
from learner.service.protocol import ModelService
from learner.visitors.questions import LessonError

SHOWN = 4
DRAWN_AT_ONCE = 16
MOST_DRAWN = 64  # a learner that is sure of its answer hardly ever says anything else


@dataclass(frozen=True)
class Try:
    """One answer to mark: its text, its token ids, the mark (+1, −1, 0 for none).

    ``moved`` says how likely it was, and is, once it has been learnt from.
    """

    text: str
    ids: tuple[int, ...]
    mark: int = 0
    moved: Marked | None = None


@dataclass(frozen=True)
class TrySet:
    """What the panel shows. ``number`` tells one set from the next; 0 is none yet.

    ``drawn`` is how many completions were sampled to find these; ``drawing`` that more are.
    """

    number: int = 0
    problem: Problem | None = None
    chat_template: bool = False
    tries: tuple[Try, ...] = ()
    drawn: int = 0
    drawing: bool = False

    @property
    def thumbs(self) -> Thumbs:
        """What is marked, to learn from. Raises LessonError if nothing is."""
        marked = [one for one in self.tries if one.mark]
        if self.problem is None or not marked:
            raise LessonError("Mark at least one of the tries with a thumb up or down.")
        return Thumbs(
            self.problem.question,
            tuple(one.ids for one in marked),
            tuple(one.mark for one in marked),
        )


class Tries:
    """The set before one visitor. Thread-safe; ``tell`` is called after every change."""

    def __init__(
        self,
        service: ModelService,
        seed: int,
        tell: Callable[[], None],
        fail: Callable[[Exception], None],
    ) -> None:
        self.shown = TrySet()
        self._service = service
        self._seed = seed
        self._tell = tell
        self._fail = fail
        self._sets = self._draws = 0
        self._lock = threading.Lock()

    def draw(self, problem: Problem, learner: Learner, chat_template: bool) -> None:
        """Sample until there are `SHOWN` different answers, or `MOST_DRAWN` were drawn."""
        with self._lock:
            if self.shown.drawing:
                return
            self._sets += 1
            self._draws += 1
            self.shown = wanted = TrySet(self._sets, problem, chat_template, drawing=True)
        threading.Thread(
            target=self._draw, args=(wanted, self._draws, learner), name="tries", daemon=True
        ).start()
        self._tell()

    def mark(self, number: int, index: int, mark: int) -> None:
        """Mark one try of a set with +1 or −1, or take its mark off with 0."""
        with self._lock:
            if number != self.shown.number or self.shown.drawing:
                raise LessonError("These tries have been replaced by others; mark those.")
            if not 0 <= index < len(self.shown.tries) or mark not in (1, 0, -1):
                raise LessonError("A mark is +1, -1 or 0 (none) for one of the tries shown.")
            tries = list(self.shown.tries)
            tries[index] = replace(tries[index], mark=mark)
            self.shown = replace(self.shown, tries=tuple(tries))
        self._tell()

    def learnt(self, marked: Sequence[Marked]) -> None:
        """Say how likely what was marked, and learnt from in this order, is now."""
        with self._lock:
            found = iter(marked)
            self.shown = replace(
                self.shown,
                tries=tuple(
                    replace(one, moved=next(found) if one.mark else None)
                    for one in self.shown.tries
                ),
            )
        self._tell()

    def forget(self, moves_only: bool = False) -> None:
        """Take the set away; or only what is said of how likely its tries became."""
        with self._lock:
            if moves_only and not self.shown.drawing:
                tries = tuple(replace(one, moved=None) for one in self.shown.tries)
                self.shown = replace(self.shown, tries=tries)
            else:
                self._sets += 1
                self.shown = TrySet()
        self._tell()

    def _draw(self, wanted: TrySet, draw: int, learner: Learner) -> None:
        """Sample on a thread of its own, as long as the set is still wanted."""
        complete = TrySet()
        try:
            tries, drawn = self._different(wanted, draw, learner)
            complete = replace(wanted, tries=tries, drawn=drawn, drawing=False)
        except (ValueError, RuntimeError) as error:
            if self.shown is wanted:
                self._fail(error)  # first, or whoever follows until it is drawn might miss it
        with self._lock:
            if self.shown is wanted:
                self.shown = complete
        self._tell()

    def _different(
        self, wanted: TrySet, draw: int, learner: Learner
    ) -> tuple[tuple[Try, ...], int]:
        """Answers that differ in their text, in the order they came, and how many were drawn."""
        problem = wanted.problem
        assert problem is not None, "what is wanted has a problem"
        found: dict[str, Completion] = {}
        drawn = 0
        examples = worked_examples(learner.config.shots)
        while len(found) < SHOWN and drawn < MOST_DRAWN and self.shown is wanted:
            asks = [
                Ask(
                    problem.question,
                    wanted.chat_template,
                    learner.prompt,
                    examples,
                    sample_seed(self._seed, draw, problem.key, drawn + i),
                )
                for i in range(DRAWN_AT_ONCE)
            ]
            for completion in self._service.complete(asks, MAX_SAMPLE_TOKENS):
                found.setdefault(completion.text, completion)
            drawn += DRAWN_AT_ONCE
        different = list(found.values())[:SHOWN]
        return tuple(Try(completion.text, completion.ids) for completion in different), drawn
