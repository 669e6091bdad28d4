"""What a step has to say for itself, whatever it learnt from."""

from dataclasses import dataclass

from learner.learning.reward import Group, SampleSummary, summarise


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
