"""A visitor's learner as it is taught: the run that is on, its results, and what is kept of it.

Work goes on in background threads, and whoever looks (a page, the API, a page opened again after a
reload) follows the same state. Knows nothing of pages.
"""

import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import ExitStack
from contextvars import copy_context
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

from arena import Problem
from learner.learning.learner import Learner, LearnerConfig
from learner.learning.step_report import StepReport
from learner.learning.training import Material
from learner.measuring import Score
from learner.model.base_model import ModelFacts
from learner.service.protocol import ModelService
from learner.visitors.checked_input import LessonError
from learner.visitors.comparison import Comparison
from learner.visitors.exam import Exam
from learner.visitors.followed import Followed
from learner.visitors.moments import Moments
from learner.visitors.own_list import OwnList
from learner.visitors.rated_samples import RatedSamples
from learner.visitors.run import RunState, asked_around, training_run
from learner.visitors.saved_lesson import SavedLesson, from_json, to_json
from learner.visitors.session import Session

ANSWERING_SHARE = 0.1  # of the time of a run that its answers on the way may take
KEPT = 200  # held-out results ...
KEPT_LETTERS = 1 << 17  # ... of so many problems in all, for which there is room in the notes


@dataclass(frozen=True)
class Event:
    """What just happened in a lesson; what is said of it is the page's.

    ``kind`` is the end of a run (`end_of`), or undone, redone, reset or loaded, or kept or back (of
    a snapshot, by its ``name``), or drawn, own or scored (of the problem shown), or format or
    signal (of what was chosen), or cut (a run, by a restart, with so many episodes ``left``).
    ``episodes`` were learnt just now, at ``rate`` a second; ``report`` is that of the last step and
    ``refused`` says why it was none; ``result`` is the last held-out result, of what is there now.
    """

    kind: str
    episodes: int = 0
    rate: float | None = None
    result: Score | None = None
    report: StepReport | None = None
    refused: str = ""
    name: str = ""
    left: int = 0


def end_of(run: RunState, result: Score | None, exams: bool) -> Event:
    """The end of a run with ``exams`` or without, of which ``result`` is the last held-out result.

    Its kind is run, one, thumbs, measured, refused or stopped: also where what was learnt last has
    not been measured at all.
    """
    if not run.total:
        return Event("measured" if result and result.n == run.asked else "stopped", result=result)
    unmeasured = exams and (result is None or result.episodes < run.learner.episodes)
    if run.done < run.total or (run.taken and unmeasured):
        # What is kept is measured next.
        return Event("stopped", run.done, run.rate, None, run.report)
    if not run.taken:
        return Event("refused", report=run.report, refused=run.refused)
    if result is None:
        kind = "thumbs" if run.report and run.report.marked else "one"
        return Event(kind, run.done, run.rate, None, run.report)
    return Event("run", run.done, run.rate, result, run.report)


class Scores:
    """Results of the learner as it is now; ``results`` are all of them, the newest last."""

    def __init__(self, exam: Exam, results: tuple[Score, ...]) -> None:
        self.results = results
        self._exam = exam
        self._then: WeakKeyDictionary[Learner, tuple[Score, ...]] = WeakKeyDictionary()

    def add(self, result: Score) -> None:
        """One more result, in place of what there was of the same exam before it grew."""
        at = result.episodes, result.chat_template
        others = (one for one in self.results if (one.episodes, one.chat_template) != at)
        kept = (*others, result)[-KEPT:]
        while len(kept) > 1 and sum(one.n for one in kept) > KEPT_LETTERS:
            kept = kept[1:]
        self.results = kept

    def keep_for(self, learner: Learner) -> None:
        """Note that these are the results of ``learner``, which something is about to replace."""
        self._then[learner] = self.results

    def go_to(self, learner: Learner, otherwise: tuple[Score, ...] = ()) -> None:
        """Go on with the results that were kept for ``learner``, or ``otherwise`` with these."""
        self.results = self._then.get(learner, otherwise)

    def of(self, learner: Learner, chat_template: bool) -> list[Score]:
        """The results in this format, by episodes; that of the untrained prompt first."""
        known = {m.episodes: m for m in self.results if m.chat_template is chat_template}
        untrained = self._exam.untrained(chat_template)
        config, shared = learner.config, LearnerConfig()
        if untrained and (config.start, config.shots) == (shared.start, shared.shots):
            known.setdefault(0, untrained)
        return [known[episodes] for episodes in sorted(known)]


class Teaching(Followed):
    """A learner with all that changes with it: its answers, its tries, its run, its results.

    ``service`` stands in front of its base model, and ``exam`` scores it. Thread-safe. What a
    visitor does to it is `Lesson`'s.
    """

    def __init__(self, service: ModelService, exam: Exam, session: Session) -> None:
        super().__init__()
        self.session = session
        self.comparison = Comparison(service, exam.formats, self._tell, self._fail)
        self.samples = RatedSamples(service, session.seed, self._tell, self._fail)
        self.moments = Moments(session.learner)  # the way that the learner took
        self.run: RunState | None = None  # the run that is on
        self.latest_event: Event | None = None
        # The latest samples, after so many episodes.
        self.graded: tuple[int, StepReport] | None = None
        self.service = service
        self.exam = exam
        self._worker: threading.Thread | None = None
        self._measuring: object | None = None  # what a stopped run has kept
        self._running: tuple[int, ...] = ()  # as in `SavedLesson`
        self._caught_up = session.went_on_from
        self._scores = Scores(exam, ())
        # How a learner was being taught, by who came in its place, and by itself.
        self._instead: WeakKeyDictionary[Learner, WeakKeyDictionary[Learner, LearnerConfig]]
        self._instead = WeakKeyDictionary()
        problem = self._find_again()
        if problem is not None:
            self.comparison.put_up(problem)

    def _find_again(self) -> Problem | None:
        """Have all that the session's notes say; returns the problem that was shown."""
        saved = from_json(self.session.notes, len(self.exam.problems))
        self.chat_template = saved.chat_template
        self.signal = saved.signal
        self.learning_rate = saved.learning_rate or self.learner.config.learning_rate
        self.episodes_per_step = saved.episodes_per_step or self.learner.config.episodes_per_step
        if saved.running and not self.session.running:
            total, before = saved.running
            done = self.learner.episodes - before
            self.latest_event = Event("cut", done, left=total - done)
        self._scores.results = saved.results
        self._learnt = saved.learnt
        self.own_list = saved.own_list
        self.place = saved.place  # of the problem shown, in the visitor's stream
        return saved.problem

    def catch_up(self) -> None:
        """Show what was done through another app on the same sessions, if the session has it."""
        before = self.session.went_on_from
        if self._caught_up is before or not self._changed.acquire(blocking=False):
            return  # whoever asks next does it: no event loop waits here
        try:
            self._caught_up = before
            self._measuring = self.latest_event = self.graded = None
            if before is not None:
                self._scores.keep_for(before)
            problem = self._find_again()
            if problem is not None and problem != self.comparison.problem:
                self.comparison.put_up(problem)
                self.samples.forget()
            self.samples.forget(moves_only=True)
            self.moments.go_to(self.learner)
            self.comparison.forget_before()
            self.comparison.ask_again(self.learner)
            self._tell()
        finally:
            self._changed.release()

    @property
    def learner(self) -> Learner:
        """The learner as it is now."""
        return self.session.learner

    @property
    def base_model(self) -> ModelFacts:
        """The model that it is given in front of."""
        return self.service.base_model

    @property
    def busy(self) -> bool:
        """Whether something is going on that changes what is shown."""
        return (
            self.run is not None
            or self.comparison.answering
            or self.samples.shown.drawing
            or self.measuring
        )

    @property
    def measuring(self) -> bool:
        """Whether what a stopped run has kept is being measured. Whatever is done next ends it."""
        return self._measuring is not None

    @property
    def stopping(self) -> bool:
        """Whether the run is on and has been asked to end."""
        return self.run is not None and self.session.stop.is_set()

    @property
    def score(self) -> Score | None:
        """The held-out result of the learner as it is now, in the format learnt in, if known."""
        at = self.learner.episodes
        return next((score for score in self.results() if score.episodes == at), None)

    @property
    def latest_score(self) -> Score | None:
        """The latest result of those after learning, if there is one."""
        return next((score for score in reversed(self.results()) if score.episodes), None)

    def results(self) -> list[Score]:
        """The held-out results in the format learnt in, by episodes; the untrained prompt first."""
        return self._scores.of(self.learner, self.chat_template)

    def stop(self) -> None:
        """End the run, here or in another tab, at the next step; what was learnt is kept."""
        self._running = ()
        self.session.stop.set()
        self._tell()

    def _start(
        self,
        material: Iterator[Material],
        episodes: int,
        exams: int,
        at_most: int | None = None,
        own: OwnList | None = None,
        chat_template: bool | None = None,
    ) -> None:
        """Start a run; a step takes ``at_most`` so many. ``own`` are questions to ask around it.

        It is in the format that is chosen, unless another ``chat_template`` is given.
        """
        with self._changed, ExitStack() as stack:
            stack.enter_context(self.session.run())
            self.catch_up()
            self._measuring = None
            self._scores.keep_for(self.learner)
            config = replace(
                self.learner.config,
                chat_template=self.chat_template if chat_template is None else chat_template,
                signal=self.signal,
                learning_rate=self.learning_rate,
                episodes_per_step=self.episodes_per_step,
            )
            learner = replace(self.learner, config=config, stream_seed=self._stream_seed())
            if episodes:
                self.comparison.keep_before()
            self.run = RunState(learner, 0, episodes)
            self.latest_event = None
            run = training_run(
                self.service,
                self.exam,
                learner,
                material,
                episodes,
                exams,
                owner=self.session.id,
                stopped=self.session.stop.is_set,
                at_most=at_most,
            )
            if own is not None:
                run = asked_around(own, self.run, run, self.service.ask, self.session.stop.is_set)
            self._worker = threading.Thread(
                target=copy_context().run,  # a service may count time against who asked
                args=(self._work, self.run, run, stack.pop_all(), exams > 0),
                name="run",
                daemon=True,
            )
            self._worker.start()
            self._tell()

    def _work(
        self, state: RunState, run: Iterator[RunState], ending: ExitStack, exams: bool
    ) -> None:
        """The run, with ``exams`` or without, on its own thread, from its first ``state`` on."""
        result, began = None, time.monotonic()
        with ending:
            try:
                for state in run:
                    if state.result and (not result or state.result.episodes >= result.episodes):
                        result = state.result
                    self._take_over(state)
                    if state.milestone:
                        self._show_what_it_says(state, time.monotonic() - began)
            except (ValueError, RuntimeError) as error:
                self._running = ()
                self._fail(error)
        with self._changed:
            if state.done == state.total:  # otherwise the app is about to end
                self._running = ()
            self.latest_event = end_of(state, result, exams)
            if state.report and state.report.marked:
                self.samples.learnt(state.report.marked)
            self.comparison.ask_again(self.learner)  # first, so that who follows sees no end yet
            self.run = None
            self._worker = None
            self._keep()
            if exams and self.latest_event.kind == "stopped" and state.taken:
                self._measure(state.learner)
            self._tell()

    def _show_what_it_says(self, state: RunState, seconds: float) -> None:
        """Swap in new answers, without training waiting for them, or hardly; the last ones always.

        Where each use of the model is counted, one thing goes on at a time.
        """
        if self.exam.visitors_only:
            self.comparison.replace_completions(state.learner)
        elif state.done < state.total:
            self.comparison.replace_meanwhile(state.learner, ANSWERING_SHARE * seconds)
        else:
            self.comparison.replace_meanwhile(state.learner)

    def _take_over(self, state: RunState) -> None:
        with self._changed:
            if state.done and state.learner is not self.learner:
                self.session.adopt(state.learner)
                self.moments.step(state.learner)
            self.run = state
            if state.own is not None:
                self._keep(own_list=state.own)
            if state.report and state.report.groups:
                self.graded = (state.learner.episodes, state.report)
            if state.result:
                self._scores.add(state.result)
                if state.result.n == state.asked:
                    self._keep()
                    if state.result.episodes == self.learner.episodes:
                        self.session.score_snapshots(self.learner, state.result)
            self._tell()

    def _measure(self, learner: Learner) -> None:
        """Measure what a stopped run has kept, in the background, as a milestone is measured.

        Not where each use of the model is counted against whoever has just put an end to it.
        """
        if self.exam.visitors_only:
            return
        self._measuring = measuring = object()
        chat_template, size = learner.config.chat_template, self.exam.milestone_size

        def measure() -> None:
            try:
                for score in self.exam.grow(learner, chat_template, size):
                    with self._changed:
                        if self._measuring is not measuring:
                            return
                        if score.n:
                            self._measured(score)
            except (ValueError, RuntimeError) as error:
                self._fail(error)
            with self._changed:
                if self._measuring is measuring:
                    self._measuring = None
                    self._keep()
                    self._tell()

        threading.Thread(
            target=copy_context().run, args=(measure,), name="measure-stopped", daemon=True
        ).start()

    def _measured(self, score: Score) -> None:
        self._scores.add(score)
        if self.latest_event is not None and self.latest_event.kind == "stopped":
            self.latest_event = replace(self.latest_event, result=score)
        self._tell()

    def _stream_seed(self) -> int:
        """Which problems this learner goes through: those it began with, wherever it comes from."""
        learner = self.learner
        if learner.stream_seed is not None:
            return learner.stream_seed
        return learner.config.seed if learner.steps else self.session.seed

    def _now(self) -> Hashable:
        return self._version, self.exam.version

    def _check_no_run(self, what: str) -> None:
        if self.run is not None:
            raise LessonError(f"{what} once the run has ended.")

    def _halt(self) -> None:
        """Stop the run, if one is on, and wait until it has ended."""
        worker = self._worker
        if worker is not None:
            self.stop()
            worker.join()

    def _replace(self, change: Callable[[], Learner], event: Event) -> None:
        """Have the learner that this change gives in place of the old one."""
        self._halt()
        with self._changed:
            before = self.learner
            self._scores.keep_for(before)
            after = change()
            self._learn_as_then(before, after, event.kind)
            self._replaced(after, event)

    def _go_on_with(self, learner: Learner, event: Event, scores: tuple[Score, ...] = ()) -> None:
        """Have this learner in place of the old one, in its format, with the scores it had."""
        self._halt()
        with self._changed:
            before = self.learner
            self._scores.keep_for(before)
            self.session.replace_learner(learner)
            self._learn_as_came(before, learner)
            self._replaced(learner, event, scores)

    def _learn_as_came(self, before: Learner, learner: Learner) -> None:
        """Have the settings of a learner that came in place of ``before``."""
        settings = replace(
            before.config,
            chat_template=self.chat_template,
            signal=self.signal,
            learning_rate=self.learning_rate,
            episodes_per_step=self.episodes_per_step,
        )
        self._instead.setdefault(learner, WeakKeyDictionary())[before] = settings
        self._learn_as(learner.config)

    def _learn_as_then(self, before: Learner, after: Learner, kind: str) -> None:
        """Have the settings that a learner's coming changed back, or again, by Undo and Redo."""
        came, gone = (after, before) if kind == "redone" else (before, after)
        settings = self._instead.get(came, WeakKeyDictionary()).get(gone)
        if settings is not None and kind in ("undone", "redone"):
            self._learn_as(came.config if kind == "redone" else settings)

    def _learn_as(self, config: LearnerConfig) -> None:
        """Have these settings from now on."""
        self.chat_template, self.signal = config.chat_template, config.signal
        self.learning_rate, self.episodes_per_step = config.learning_rate, config.episodes_per_step

    def _replaced(self, learner: Learner, event: Event, scores: tuple[Score, ...] = ()) -> None:
        """The learner is another one now: its own results, its own answers."""
        self._measuring = None
        self._scores.go_to(learner, scores)
        self.moments.go_to(learner)
        self.latest_event = event
        self.graded = None
        self.samples.forget(moves_only=True)
        self._keep(own_list=self.own_list.forgotten())
        self.comparison.forget_before()
        self.comparison.ask_again(learner)
        self._tell()

    def _keep(self, own_list: OwnList | None = None) -> None:
        """Note down what a reload or a restart must bring back; with another list, if one is given.

        Raises SessionError if that is too long.
        """
        own = self.own_list if own_list is None else own_list
        saved = SavedLesson(
            self.comparison.problem,
            self.chat_template,
            self._scores.results,
            self._learnt,
            self.signal,
            self.place,
            own,
            self.learning_rate,
            self.episodes_per_step,
            self._running,
        )
        self.session.note(**to_json(saved))
        self.own_list = own
