"""What came out of a run, whoever ran it: what tables and figures are made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from arena.statistics import Interval, wilson
from learner.experiments.problem_order import Episode
from learner.experiments.settings import Experiment
from learner.measuring import Score

UNKNOWN = 0  # what nobody wrote down


@dataclass(frozen=True)
class Share:
    """Accuracy on the problems of one kind; ``n`` is 0 where nobody wrote it down."""

    accuracy: float
    n: int

    @property
    def interval(self) -> Interval | None:
        """The 95 % Wilson interval; None where n is not known."""
        return wilson(round(self.accuracy * self.n), self.n) if self.n else None


@dataclass(frozen=True)
class Results:
    """What a run did.

    ``losses`` are (episode, loss) of every episode with a finite one, ``sampled`` the episodes of
    which it is known what was sampled for a reward, in order. ``curve`` starts before any
    learning. ``alone`` is the model without a soft prompt, ``examples_alone`` with nothing but
    worked examples. ``kept`` is the best in validation, whose scores are in ``validation``.
    ``families`` and ``difficulties`` have accuracies before and after; ``problems`` the keys of the
    problems asked, where they are known. ``training_seconds`` is the time that its passes took, in
    which other seeds may have learnt too; ``step_rates`` are its episodes a second, step by step.
    ``experiment`` is None for the original's files.
    """

    name: str
    model: str
    chat_template: bool
    soft_tokens: int
    learning_rate: float
    episodes: int
    curve: tuple[Score, ...]
    final: Score
    episodes_per_second: float
    parameters: int = UNKNOWN
    seed: int = UNKNOWN
    losses: tuple[tuple[int, float], ...] = ()
    families: Mapping[str, tuple[Share, Share]] = field(default_factory=dict)
    difficulties: Mapping[str, tuple[Share, Share]] = field(default_factory=dict)
    alone: Score | None = None
    examples_alone: Score | None = None
    kept: Score | None = None
    validation: tuple[Score, ...] = ()
    problems: tuple[str, ...] = ()
    training_seconds: float = 0.0
    step_rates: tuple[float, ...] = ()
    continual: Mapping[str, float] = field(default_factory=dict)
    sampled: tuple[Episode, ...] = ()
    experiment: Experiment | None = None
    finished: bool = True
