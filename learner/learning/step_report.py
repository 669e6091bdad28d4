"""What a step has to say for itself, whatever it learnt from, and what it tried, if it did."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from statistics import fmean

from arena import Grade, Problem
from learner.model.completion import Completion


@dataclass(frozen=True)
class Sample:
    """One sampled completion and its verdict."""

    completion: Completion
    grade: Grade

    @property
    def reward(self) -> float:
        """1 for the right answer, else 0: hedging, listing and silence are not right."""
        return float(self.grade.correct)


@dataclass(frozen=True)
class Group:
    """The samples drawn for one problem in one step."""

    problem: Problem
    samples: tuple[Sample, ...]

    @property
    def agrees(self) -> bool:
        """Whether all samples earned the same, so that nothing tells them apart."""
        return len({sample.reward for sample in self.samples}) == 1

    @property
    def advantages(self) -> tuple[float, ...]:
        """How much better each sample is than the group's mean; they sum to zero."""
        return advantages([sample.reward for sample in self.samples])


@dataclass(frozen=True)
class SampleSummary:
    """What a step's samples were like.

    Of ``samples`` completions of ``problems`` problems ``correct`` were right and ``no_answer``
    gave none that could be read; at ``with_signal`` problems some were right and some were not.
    ``entropy`` is the mean of the policy's, in nats a token; ``length`` the mean number of tokens.
    """

    samples: int
    problems: int
    correct: int
    no_answer: int
    with_signal: int
    entropy: float
    length: float

    @property
    def reward(self) -> float:
        """The mean reward."""
        return self.correct / self.samples


def advantages(rewards: Sequence[float]) -> tuple[float, ...]:
    """Each reward less the mean of all."""
    mean = fmean(rewards)
    return tuple(reward - mean for reward in rewards)


def summarise(groups: Sequence[Group]) -> SampleSummary:
    """What the samples of one step, at least one, were like."""
    samples = [sample for group in groups for sample in group.samples]
    tokens = sum(sample.completion.tokens for sample in samples)
    entropy = sum((s.completion.entropy or 0.0) * s.completion.tokens for s in samples)
    return SampleSummary(
        samples=len(samples),
        problems=len(groups),
        correct=sum(sample.grade.correct for sample in samples),
        no_answer=sum(sample.grade.extracted is None for sample in samples),
        with_signal=sum(not group.agrees for group in groups),
        entropy=entropy / tokens,
        length=tokens / len(samples),
    )


@dataclass(frozen=True)
class Marked:
    """A completion that was marked, −1 to +1, and how likely the learner is to say it."""

    mark: float
    before: float
    after: float


@dataclass(frozen=True)
class StepReport:
    """What a step found before it changed anything, and whether it was adopted.

    ``loss`` is the gold answers' cross-entropy in nats a token; where they were not told, one less
    the mean reward, whose gradient the step followed. ``grad_norm`` is from before clipping.
    ``correct`` says of each problem whose answer was told whether greedy decoding would have
    answered it to the letter, and ``groups`` holds what was sampled and how it was graded.
    ``marked`` are the completions that a person marked, where it learnt from those.

    A step that is not ``accepted`` left the learner as it was, for the reason in ``message``. Where
    all samples of each problem ``agreed``, there was nothing to learn: no step was taken, and only
    the learner's count of episodes has moved on.
    """

    loss: float
    grad_norm: float
    correct: tuple[bool, ...]
    accepted: bool
    message: str
    groups: tuple[Group, ...] = ()
    marked: tuple[Marked, ...] = ()
    agreed: bool = False

    @property
    def samples(self) -> SampleSummary | None:
        """What the samples were like; None where nothing was sampled."""
        return summarise(self.groups) if self.groups else None


def refused(message: str) -> StepReport:
    """That a step was not taken, and why."""
    return StepReport(nan, nan, (), False, message)
