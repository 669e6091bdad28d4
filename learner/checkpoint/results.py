"""Held-out results of a soft prompt, in the form that travels with it: paired, problem by problem.

Right and wrong are kept for each problem, because only pairs tell a gain from luck; everything that
is shown (counts, intervals, the p-value) follows from them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from arena import Problem
from arena.statistics import Interval, McNemar, mcnemar_exact, wilson
from learner.measuring import Score


@dataclass(frozen=True)
class Change:
    """Accuracy on ``n`` problems, before and after."""

    name: str
    n: int
    before: int
    after: int

    def interval(self, correct: int) -> Interval:
        """The 95 % Wilson interval of ``correct`` out of n."""
        return wilson(correct, self.n)


@dataclass(frozen=True)
class HeldOutResults:
    """Right or wrong on the same held-out problems: the model alone, then with the soft prompt.

    ``families`` names each problem's family; all three go by the order of the problems, of which
    there is at least one. ``seed`` is the held-out set's.
    """

    families: tuple[str, ...]
    before: tuple[bool, ...]
    after: tuple[bool, ...]
    chat_template: bool
    seed: int = 0

    def __post_init__(self) -> None:
        if not len(self.families) == len(self.before) == len(self.after) > 0:
            raise ValueError("Results are compared problem by problem, on one problem or more.")

    @staticmethod
    def of(
        problems: Sequence[Problem], before: Score, after: Score, seed: int = 0
    ) -> "HeldOutResults":
        """The results that two scores of the same ``problems``, in one format, come to."""
        families = tuple(problem.family for problem in problems)
        return HeldOutResults(families, before.right, after.right, after.chat_template, seed)

    @property
    def total(self) -> Change:
        """The change over all problems."""
        return Change("all", len(self.families), sum(self.before), sum(self.after))

    @property
    def by_family(self) -> tuple[Change, ...]:
        """The change in each family, in alphabetical order."""
        rows = list(zip(self.families, self.before, self.after, strict=True))
        return tuple(
            Change(
                family,
                n=sum(name == family for name, _, _ in rows),
                before=sum(before for name, before, _ in rows if name == family),
                after=sum(after for name, _, after in rows if name == family),
            )
            for family in sorted(set(self.families))
        )

    @property
    def test(self) -> McNemar:
        """Problems gained and lost, and how likely a split as uneven would be by luck."""
        return mcnemar_exact(self.before, self.after)
