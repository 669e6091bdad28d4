"""A plan: an experiment that somebody asks for by name, checked, in the words that a form uses.

Everything that arrives from a browser or through the API passes here before it is run.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from arena import FAMILIES
from learner.experiments.settings import ORIGINAL, TUNED, Experiment

MAX_NAME = 40
EPISODES, SEEDS, PROBLEMS = (1, 400), (1, 5), (20, 500)  # fewest and most of each
SOFT_TOKENS, EPISODES_PER_STEP, FIRST_SEED = (1, 100), (1, 16), (0, 1_000_000)
LEARNING_RATE = (1e-5, 1.0)
ANY_FAMILY = "any"
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


class PlanError(ValueError):
    """What was asked for cannot be run; the message is one sentence that says why."""


@dataclass(frozen=True)
class Technique:
    """Something to try: what it is called, what it does, and the experiment that it starts from."""

    name: str
    words: str
    experiment: Experiment


TECHNIQUES: Mapping[str, Technique] = {
    "best": Technique(
        "the best settings",
        "The settings that did best here: it is told each answer, and learns from four problems "
        "a step.",
        TUNED,
    ),
    "original": Technique(
        "the original's settings",
        "As the original experiments had them: one problem a step, the loss over the whole text, "
        "a tenth of the learning rate, a start from noise.",
        ORIGINAL,
    ),
    "curriculum": Technique(
        "curriculum",
        "Easy problems first; harder ones as they are mastered.",
        replace(TUNED, order="curriculum"),
    ),
    "again": Technique(
        "the same 20 problems again",
        "Twenty problems, learnt from again and again, where the others always get new ones.",
        replace(TUNED, training_problems=20),
    ),
    "per family": Technique(
        "a prompt for each family",
        "Five soft prompts instead of one, each learnt from its own family's problems.",
        replace(TUNED, per_family=True),
    ),
    "examples": Technique(
        "2 worked examples",
        "Two solved problems stand before every question, beside the soft prompt.",
        TUNED.with_config(shots=2),
    ),
    "meta": Technique(
        "a start learnt on other families (meta)",
        "Reptile looks for a start from which any family is learnt quickly: on the families that "
        "you leave out below, or on all, if you leave out none.",
        replace(TUNED, start="meta"),
    ),
    "reward": Technique(
        "told only right or wrong (reward)",
        "It is never told an answer, only whether its own tries are right; slower, and less is "
        "needed to know.",
        TUNED.with_config(signal="reward"),
    ),
}
"""What there is to try, the plain way first."""


@dataclass(frozen=True)
class Plan:
    """An experiment over several seeds, under a name of its own; ``technique`` is a key."""

    name: str
    technique: str
    experiment: Experiment
    seeds: tuple[int, ...]

    @property
    def experiments(self) -> list[Experiment]:
        """One for each seed."""
        return [self.experiment.with_seed(seed) for seed in self.seeds]


def plan_of(
    name: object,
    technique: object,
    chat_template: object,
    episodes: object,
    seeds: object,
    problems: object,
    soft_tokens: object = None,
    learning_rate: object = None,
    episodes_per_step: object = None,
    first_seed: object = None,
    family: object = ANY_FAMILY,
    *,
    formats: Sequence[bool] = (False, True),
) -> Plan:
    """What was asked for, checked; None stands for the technique's own setting.

    ``formats`` are those that the model knows. Raises PlanError.
    """
    called = checked_name(name)
    if not isinstance(technique, str) or technique not in TECHNIQUES:
        raise PlanError(f"There is no {str(technique)[:20]!r} to try; {', '.join(TECHNIQUES)}.")
    if not isinstance(chat_template, bool):
        raise PlanError("The format is either with the chat template (true) or without (false).")
    if chat_template not in formats:
        raise PlanError("This model has no chat template to learn in.")
    start = TECHNIQUES[technique].experiment
    config = start.config
    first = _whole("The first seed", config.seed if first_seed is None else first_seed, FIRST_SEED)
    count = _whole("The number of episodes", episodes, EPISODES)
    asked = _whole("The number of held-out problems", problems, PROBLEMS)
    seeded = _whole("The number of seeds", seeds, SEEDS)
    tokens = config.soft_tokens if soft_tokens is None else soft_tokens
    step = config.episodes_per_step if episodes_per_step is None else episodes_per_step
    rate = _rate(config.learning_rate if learning_rate is None else learning_rate)
    tokens = _whole("The number of soft tokens", tokens, SOFT_TOKENS)
    step = _whole("The number of episodes a step", step, EPISODES_PER_STEP)
    families = checked_families(family)
    try:
        experiment = replace(
            start,
            config=replace(
                config,
                chat_template=chat_template,
                soft_tokens=tokens,
                learning_rate=rate,
                episodes_per_step=step,
                seed=first,
            ),
            episodes=count,
            eval_interval=interval(count),
            eval_problems=asked,
            validation_problems=asked // 2 if start.validation_problems else 0,
            families=families,
        )
    except ValueError as error:  # what does not go together
        raise PlanError(str(error)) from error
    return Plan(called, technique, experiment, tuple(range(first, first + seeded)))


def checked_name(name: object) -> str:
    """A run's name, with its spaces tidied. Raises PlanError."""
    words = " ".join(_UNPRINTABLE.sub(" ", name).split()) if isinstance(name, str) else ""
    if not re.search(r"\w", words):
        raise PlanError("Give the run a name with at least a letter or a digit in it.")
    if len(words) > MAX_NAME:
        raise PlanError(f"A run's name has at most {MAX_NAME} characters, not {len(words)}.")
    return words


def checked_families(family: object) -> tuple[str, ...]:
    """The families to learn and to be measured on. Raises PlanError."""
    if family in (None, ANY_FAMILY):
        return tuple(FAMILIES)
    if not isinstance(family, str) or family not in FAMILIES:
        raise PlanError(
            f"There is no family {str(family)[:20]!r}; choose any, {', '.join(FAMILIES)}."
        )
    return (family,)


def checked_problems(problems: object) -> int:
    """A number of held-out problems. Raises PlanError."""
    return _whole("The number of held-out problems", problems, PROBLEMS)


def interval(episodes: int) -> int:
    """Episodes between two measurements: four in a short run, as in the original's, eight at most
    in a long one."""
    return math.ceil(episodes / (4 if episodes <= 80 else 8))


def _whole(what: str, value: object, bounds: tuple[int, int]) -> int:
    low, high = bounds
    whole = isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1
    if not whole or not low <= value <= high:  # type: ignore[operator]
        raise PlanError(f"{what} is a whole number from {low} to {high:,}.")
    return int(value)  # type: ignore[call-overload]


def _rate(value: object) -> float:
    low, high = LEARNING_RATE
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise PlanError(f"The learning rate is a number from {low:.5f} to {high:g}.")
    return float(value)
