"""Different completions of one problem, sampled in the background for a person to rate by thumbs.

What is rated is what was shown: a thumb names the set it was put on, so that a tab that still
shows an older set cannot rate a newer one.
"""

import threading
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass, replace

from arena import Problem
from learner.learning.learner import Learner
from learner.learning.reward import MAX_SAMPLE_TOKENS, sample_seed
from learner.learning.step_report import Marked
from learner.learning.thumbs import Thumbs
from learner.learning.worked_examples import worked_examples
from learner.model.completion import Ask, Completion
from learner.service.protocol import ModelService
from learner.visitors.checked_input import LessonError

SHOWN = 4
DRAWN_AT_ONCE = 16
MOST_DRAWN = 64  # a learner that is sure of its answer hardly ever says anything else


@dataclass(frozen=True)
class RatedSample:
    """A sampled completion: its text, its token ids, its thumb (+1, −1, 0 for none).

    ``moved`` says how likely it was, and is, once it has been learnt from.
    """

    text: str
    ids: tuple[int, ...]
    thumb: int = 0
    moved: Marked | None = None


@dataclass(frozen=True)
class SampleSet:
    """Samples to rate. ``number`` tells one set from the next; 0 is none yet.

    ``drawn`` is how many completions were sampled to find these; ``drawing`` that more are.
    """

    number: int = 0
    problem: Problem | None = None
    chat_template: bool = False
    samples: tuple[RatedSample, ...] = ()
    drawn: int = 0
    drawing: bool = False

    @property
    def rated(self) -> bool:
        """Whether there is a thumb on any of them."""
        return any(one.thumb for one in self.samples)

    @property
    def learnt_from(self) -> bool:
        """Whether what is rated among them has been learnt from."""
        return any(one.moved for one in self.samples)

    @property
    def thumbs(self) -> Thumbs:
        """What is rated, to learn from. Raises LessonError if nothing is."""
        if not self.rated:
            raise LessonError("Mark at least one of the tries with a thumb up or down.")
        return self.marked([one.thumb for one in self.samples])

    def marked(self, marks: Sequence[float]) -> Thumbs:
        """What to learn from if the samples had these marks, -1 to 1; those of 0 take no part."""
        assert self.problem is not None, "what is marked has a problem"
        pairs = [(one.ids, mark) for one, mark in zip(self.samples, marks, strict=True) if mark]
        return Thumbs(
            self.problem.question,
            tuple(ids for ids, _ in pairs),
            tuple(mark for _, mark in pairs),
        )


class RatedSamples:
    """The set before one visitor. Thread-safe; ``tell`` is called after every change."""

    def __init__(
        self,
        service: ModelService,
        seed: int,
        tell: Callable[[], None],
        fail: Callable[[Exception], None],
    ) -> None:
        self.shown = SampleSet()
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
            self.shown = wanted = SampleSet(self._sets, problem, chat_template, drawing=True)
        threading.Thread(
            target=copy_context().run,
            args=(self._draw, wanted, self._draws, learner),
            name="samples",
            daemon=True,
        ).start()
        self._tell()

    def rate(self, number: int, index: int, thumb: int) -> None:
        """Put a thumb, +1 or −1, on one sample of a set, or take it off with 0."""
        with self._lock:
            if number != self.shown.number or self.shown.drawing:
                raise LessonError("These tries have been replaced by others; mark those.")
            if not 0 <= index < len(self.shown.samples) or thumb not in (1, 0, -1):
                raise LessonError("A mark is +1, -1 or 0 (none) for one of the tries shown.")
            samples = list(self.shown.samples)
            samples[index] = replace(samples[index], thumb=thumb)
            self.shown = replace(self.shown, samples=tuple(samples))
        self._tell()

    def learnt(self, marked: Sequence[Marked]) -> None:
        """Say how likely what was rated, and learnt from in this order, is now."""
        with self._lock:
            found = iter(marked)
            self.shown = replace(
                self.shown,
                samples=tuple(
                    replace(one, moved=next(found) if one.thumb else None)
                    for one in self.shown.samples
                ),
            )
        self._tell()

    def forget(self, moves_only: bool = False) -> None:
        """Take the set away; or only what is said of how likely its samples became."""
        with self._lock:
            if moves_only and not self.shown.drawing:
                samples = tuple(replace(one, moved=None) for one in self.shown.samples)
                self.shown = replace(self.shown, samples=samples)
            else:
                self._sets += 1
                self.shown = SampleSet()
        self._tell()

    def start_over(self, seed: int) -> None:
        """Take the set away, and draw as a newcomer with this seed would.

        The numbers go on, for tabs that still show an older set.
        """
        with self._lock:
            self._seed, self._draws = seed, 0
        self.forget()

    def _draw(self, wanted: SampleSet, draw: int, learner: Learner) -> None:
        """Sample on a thread of its own, as long as the set is still wanted."""
        complete = SampleSet()
        try:
            samples, drawn = self._different(wanted, draw, learner)
            complete = replace(wanted, samples=samples, drawn=drawn, drawing=False)
        except (ValueError, RuntimeError) as error:
            if self.shown is wanted:
                self._fail(error)  # first, or whoever follows until it is drawn might miss it
        with self._lock:
            if self.shown is wanted:
                self.shown = complete
        self._tell()

    def _different(
        self, wanted: SampleSet, draw: int, learner: Learner
    ) -> tuple[tuple[RatedSample, ...], int]:
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
        return tuple(
            RatedSample(completion.text, completion.ids) for completion in different
        ), drawn
