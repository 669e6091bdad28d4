"""What one visitor does to look inside their soft prompt: switches, a slider, a timeline, a report.

The soft prompt that is watched is the visitor's own, altered: some of its vectors put back as they
were untrained, at some strength, as it was at some moment of training. The problem of their lesson
is answered behind it at once. The whole inspection goes on in the background, part by part.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from arena import Problem, grade
from learner.inspection.strength import CONTROL_PLACES, PLACES, blend, strength
from learner.inspection.subject import subject_of
from learner.inspection.whole import ANSWERS_A_PROBLEM, NAMES, Part, Parts, inspect, material_of
from learner.model.base_model import BaseModel, ModelFacts
from learner.model.completion import Ask, Completion
from learner.visitors.checked_input import LessonError
from learner.visitors.comparison import GradedCompletion
from learner.visitors.followed import Followed
from learner.visitors.lesson import Lesson
from learner.visitors.open_lessons import MAX_LESSONS

# Of the first picture, and of what is measured of the machine's pace; here and below, on the
# embedded model and on others.
FIRST_PROBLEMS = {True: 12, False: 6}
MOST_PROBLEMS = 100  # of the rest
FEWEST_PROBLEMS = {True: 30, False: 40}  # fewer could not tell a gain of some points
SECONDS = {True: 45.0, False: 240.0}  # that it may take
LATE_MILLISECONDS = 10_000  # that a move may be on its way; a larger step back is a clock set anew
FIRST_ANSWERS = len(PLACES) + len(CONTROL_PLACES)  # a problem takes in the first picture


class Interrupted(Exception):
    """The visitor wants to see no more of it."""


@dataclass(frozen=True, eq=False)
class Watched:
    """The altered soft prompt that is watched, and how it answers.

    ``kept`` says which vectors are trained, ``place`` the strength; ``moment`` is the number of the
    moment of training that stands for the trained prompt, the last one being now.
    """

    kept: tuple[bool, ...]
    place: float
    moment: int
    prompt: torch.Tensor
    problem: Problem | None
    completion: GradedCompletion = field(default_factory=GradedCompletion)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is altered but the moment."""
        return all(self.kept) and self.place == 1.0


class Inside(Followed):
    """One visitor's look inside. Thread-safe.

    Actions raise LessonError, and change nothing, where they cannot be done.
    """

    def __init__(self, lesson: Lesson) -> None:
        super().__init__()
        self._service = lesson.service
        self._lesson = lesson
        self._problems = lesson.exam.problems
        self._embedded = self.base_model.source.is_embedded
        self._few = self._problems[: FIRST_PROBLEMS[self._embedded]]
        self._worker: threading.Thread | None = None
        self._stop = threading.Event()
        self._asking: object | None = None
        self._newest: dict[str, float] = {}  # when each slider was moved last
        self.put_back = 0  # how often what is watched became the whole prompt again
        self._begin()

    @property
    def base_model(self) -> ModelFacts:
        """The model that the soft prompt was learnt in front of."""
        return self._lesson.base_model

    @property
    def busy(self) -> bool:
        """Whether something is going on that changes what is shown."""
        return self.working or self.answering or self._lesson.run is not None

    @property
    def answering(self) -> bool:
        """Whether the answer that is watched is being written."""
        return self._asking is not None

    @property
    def working(self) -> bool:
        """Whether the inspection goes on."""
        return self._worker is not None

    @property
    def needed(self) -> bool:
        """Whether somebody looks at it, or waits for what it finds."""
        return self.working or self.followed

    @property
    def is_current(self) -> bool:
        """Whether the learner that is looked into is still the one that the visitor has."""
        return self._lesson.learner.prompt is self.learner.prompt

    @property
    def is_trained(self) -> bool:
        """Whether there is anything to look into."""
        return not torch.equal(self._subject.trained, self._subject.untrained)

    @property
    def all_parts(self) -> int:
        """How many pictures there will be."""
        return len(NAMES) - self._embedded  # which says nothing in words

    @property
    def all_answers(self) -> int:
        """About how many answers all of it takes; at first, those that the first picture takes."""
        few = len(self._few) * FIRST_ANSWERS
        return max(few + self.asked * ANSWERS_A_PROBLEM[self._embedded], self.answers)

    @property
    def pace(self) -> float | None:
        """Answers a second, since the first picture if it is there; None while it is not known.

        That one is of few answers, for which a pass is hardly shorter than for many.
        """
        answers, seconds = self.answers - self._paced_from[0], self.seconds - self._paced_from[1]
        return answers / seconds if answers and seconds else None

    @property
    def seconds_left(self) -> float | None:
        """About how long it still takes; None while the pace is not known."""
        return (self.all_answers - self.answers) / self.pace if self.pace else None

    def arrive(self) -> None:
        """The visitor looks here: show the learner and the problem that they have now."""
        with self._changed:
            self._catch_up()
            self._watch()

    def switch(self, vector: int) -> None:
        """Put a vector back as it was untrained, or back in place."""
        with self._changed:
            kept = list(self.watched.kept)
            if not 0 <= vector < len(kept):
                raise LessonError(f"There is no vector {vector + 1}.")
            kept[vector] = not kept[vector]
            self._watch(kept=tuple(kept))

    def turn(self, place: float, at: float = 0.0) -> None:
        """Set the strength. ``at`` is when it was moved, in milliseconds of its browser's clock.

        What arrives after a later move changes nothing.
        """
        with self._changed:
            if not self._is_late("strength", at):
                self._watch(place=place)

    def scrub(self, moment: int, at: float = 0.0) -> None:
        """Go to a moment of training; ``at`` as in `turn`."""
        with self._changed:
            if self._is_late("moment", at):
                return
            if not 0 <= moment < len(self.moments):
                raise LessonError(f"There is no moment {moment}.")
            self._watch(moment=moment)

    def _is_late(self, slider: str, at: float) -> bool:
        """Whether the slider was moved later than ``at`` already, but not by another clock."""
        late = 0 < self._newest.get(slider, at) - at < LATE_MILLISECONDS
        if not late:
            self._newest[slider] = at
        return late

    def whole(self) -> None:
        """All vectors trained, at full strength, as they are now."""
        with self._changed:
            self.put_back += 1
            self._watch((True,) * self._subject.vectors, 1.0, len(self.moments) - 1)

    def look(self, own: Sequence[str] = ()) -> None:
        """Start the whole inspection; ``own`` texts are compared with the soft prompt too."""
        with self._changed:
            self._catch_up()
            if self._worker is not None:
                raise LessonError("It is being looked into already.")
            if not self.is_trained:
                raise LessonError("There is nothing to look into yet; train the soft prompt first.")
            self._stop = threading.Event()
            self._nothing_found()
            self._worker = self._started("inspection", self._work, self._stop, own)
            self._tell()

    def stop(self) -> None:
        """End the inspection at once; what was found stays.

        Its thread ends by itself, as soon as the device has done what it was asked last.
        """
        with self._changed:
            self._stop.set()
            self._worker = None
            self._tell()

    # --- in the background --------------------------------------------------------------------

    def _begin(self) -> None:
        """Start anew with the lesson's learner."""
        self.put_back += 1
        learner = self.learner = self._lesson.learner
        self._subject = subject_of(learner, self._service.new_learner(learner.config))
        self.moments = self._lesson.moments.all
        self._nothing_found()
        self.watched = Watched(
            (True,) * self._subject.vectors, 1.0, len(self.moments) - 1, learner.prompt, None
        )

    def _nothing_found(self) -> None:
        self.parts: Parts = {}  # what was found so far ...
        self.seconds = 0.0  # ... in so many seconds ...
        self.answers = 0  # ... and answers
        self.asked = 0  # problems that the pace leaves time for; 0 while it is not known
        self._paced_from = 0, 0.0  # answers and seconds from which on the pace counts
        # After how many episodes a soft prompt was looked into that is no longer there.
        self.gone: int | None = None

    def _catch_up(self) -> None:
        """Go over to the learner that the visitor has now, if it is another one."""
        if self.is_current:
            return
        gone = self.learner.episodes if self.parts or self.working else self.gone
        self.stop()
        self._begin()
        self.gone = gone

    def _watch(
        self,
        kept: tuple[bool, ...] | None = None,
        place: float | None = None,
        moment: int | None = None,
    ) -> None:
        """Alter what is watched, and answer the lesson's problem behind it."""
        then, problem = self.watched, self._lesson.comparison.problem
        kept = then.kept if kept is None else kept
        place = then.place if place is None else place
        moment = then.moment if moment is None else moment
        same = (kept, place, moment) == (then.kept, then.place, then.moment)
        if same and then.problem is problem:
            return
        subject = replace(self._subject, trained=self.moments[moment].prompt)
        prompt = replace(subject, trained=blend(subject, place)).with_vectors(kept)
        self.watched = Watched(kept, place, moment, prompt, problem)
        if problem is None:
            return
        asking = self._asking = object()
        ask = Ask(problem.question, subject.chat_template, prompt, subject.examples)
        self._started("ask", self._listen, asking, problem, ask)
        self._tell()

    def _started(self, name: str, work: Callable[..., None], *given: object) -> threading.Thread:
        """A thread that goes on with it: a service may count its time against who asked."""
        run = copy_context().run
        thread = threading.Thread(target=run, args=(work, *given), name=name, daemon=True)
        thread.start()
        return thread

    def _listen(self, asking: object, problem: Problem, ask: Ask) -> None:
        """Write down what comes, until all of it is there or nobody wants it."""
        text, failure = "", None
        try:
            for (completion,) in self._service.ask([ask]):
                text = completion.text
                if not self._write(asking, GradedCompletion(text)):
                    return
        except (ValueError, RuntimeError) as error:
            failure = error
        verdict = grade(problem, text) if problem.answer else None
        with self._changed:
            if self._write(asking, GradedCompletion(text, finished=True, grade=verdict)):
                self._asking = None
                if failure is not None:
                    self._fail(failure)

    def _now(self) -> Hashable:
        return self._version, self.is_current

    def _write(self, asking: object, completion: GradedCompletion) -> bool:
        """Show what was written; False if something else has been asked meanwhile."""
        with self._changed:
            if self._asking is not asking:
                return False
            self.watched = replace(self.watched, completion=completion)
            self._tell()
            return True

    def _work(self, stop: threading.Event, texts: Sequence[str]) -> None:
        """The inspection, on its own thread."""
        began = time.monotonic()

        def note(**found: Any) -> None:
            """Write down what is known now; raises Interrupted if nobody wants to know."""
            with self._changed:
                if stop.is_set():
                    raise Interrupted
                self.seconds = time.monotonic() - began
                for name, value in found.items():
                    setattr(self, name, value)
                self._tell()

        failure = None
        try:
            for name, part in self._found(note, texts):
                note(parts={**self.parts, name: part})
        except Interrupted:
            return
        except (ValueError, RuntimeError) as error:
            failure = error
        with self._changed:
            if stop.is_set():
                return
            self._worker = None
            if failure is not None:
                self._fail(failure)
            self._tell()

    def _found(self, note: Callable[..., None], texts: Sequence[str]) -> Iterator[tuple[str, Part]]:
        """A first picture of few problems, then everything over as many as there is time for."""

        def answers(asks: Sequence[Ask]) -> Iterator[tuple[Completion, ...]]:
            before = self.answers
            for completions in self._service.ask(asks):
                note(answers=before + sum(completion.finished for completion in completions))
                yield completions
            note(answers=before + len(asks))

        def on_model(work: Callable[[BaseModel], Any]) -> Any:
            note()
            return self._service.look(work).result()

        began = time.monotonic()
        yield "strength", strength(answers, self._subject, self._few)
        pace = (time.monotonic() - began) / (len(self._few) * FIRST_ANSWERS)
        number = problems_for(pace, self._embedded)
        note(asked=number, _paced_from=(self.answers, self.seconds))
        yield from inspect(
            material_of(
                self.learner,
                self._service.new_learner,
                self.base_model,
                answers,
                on_model,
                self._problems[:number],
                texts,
                self.moments,
            )
        )


class Insides:
    """The looks inside of as many lessons as are kept; what nobody looks at is given up first."""

    def __init__(self, most: int = MAX_LESSONS) -> None:
        self._most = most
        self._recent: OrderedDict[Lesson, Inside] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, lesson: Lesson) -> Inside:
        """The visitor's look inside, as they left it or a new one."""
        with self._lock:
            if lesson not in self._recent:
                self._recent[lesson] = Inside(lesson)
            self._recent.move_to_end(lesson)
            others = [one for one in self._recent if one is not lesson]
            if len(others) >= self._most:
                idle = (one for one in others if not self._recent[one].needed)
                self._recent.pop(next(idle, others[0])).stop()
            return self._recent[lesson]


def problems_for(seconds_an_answer: float, embedded: bool) -> int:
    """How many problems there is time for at this pace: never from what was found."""
    room = SECONDS[embedded] / max(seconds_an_answer, 1e-6)
    return int(
        max(FEWEST_PROBLEMS[embedded], min(MOST_PROBLEMS, room / ANSWERS_A_PROBLEM[embedded]))
    )
