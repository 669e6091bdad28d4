"""One visitor's lesson: their learner, the problem before them, its answers, the run, the results.

Knows nothing of pages. Every action changes the lesson, work goes on in background threads, and
whoever looks (a page, the API, a page opened again after a reload) follows the same state.
"""

import threading
import time
from collections.abc import Hashable, Iterator, Sequence
from contextlib import ExitStack
from contextvars import copy_context
from dataclasses import replace
from itertools import repeat

from arena import Problem, stream
from learner.learning.learner import Learner
from learner.learning.step_report import StepReport
from learner.learning.training import Material
from learner.measuring import Score
from learner.model.base_model import ModelFacts
from learner.service.protocol import ModelService
from learner.visitors.checked_input import MAX_EPISODES, LessonError
from learner.visitors.comparison import Comparison
from learner.visitors.event import Event, end_of
from learner.visitors.exam import Exam
from learner.visitors.followed import Followed
from learner.visitors.moments import Moments
from learner.visitors.own_list import OwnList
from learner.visitors.rated_samples import RatedSamples
from learner.visitors.run import EXAMS_PER_RUN, RunState, training_run
from learner.visitors.saved_lesson import SavedLesson, from_json, to_json
from learner.visitors.scores import Scores
from learner.visitors.session import Run, Session
from learner.visitors.snapshots import Snapshot, free_name

FIRST_DIFFICULTY = 1  # of the problem that a newcomer finds on the page
ANSWERING_SHARE = 0.25  # of the time of a run that its answers on the way may take
KEPT = 200  # problems known to be learnt from


class Lesson(Followed):
    """What one visitor does and sees. Thread-safe.

    Actions raise LessonError or SessionError, and change nothing, where they cannot be done.
    """

    def __init__(self, service: ModelService, exam: Exam, session: Session) -> None:
        super().__init__()
        self.session = session
        self.comparison = Comparison(service, exam.formats, self._tell, self._fail)
        self.samples = RatedSamples(service, session.seed, self._tell, self._fail)
        self.moments = Moments(session.learner)  # the way that the learner took
        self.run: RunState | None = None  # the run that is on
        self.latest_event: Event | None = None
        self.graded: tuple[int, StepReport] | None = (
            None  # the latest samples, after so many episodes
        )
        self._service = service
        self._exam = exam
        self._worker: threading.Thread | None = None
        self._measuring: object | None = None  # what a stopped run has kept
        saved = from_json(session.notes, len(exam.problems))
        self.chat_template = saved.chat_template
        self.signal = saved.signal
        self.learning_rate = saved.learning_rate or self.learner.config.learning_rate
        self.episodes_per_step = saved.episodes_per_step or self.learner.config.episodes_per_step
        self._running: tuple[int, ...] = ()  # as in `SavedLesson`
        if saved.running and not session.running:
            total, before = saved.running
            done = self.learner.episodes - before
            self.latest_event = Event("cut", done, left=total - done)
        self._scores = Scores(exam, saved.results)
        self._learnt = saved.learnt
        self.own_list = saved.own_list
        # A newcomer's first problem is not noted down: who only looks in leaves nothing behind.
        problem, self.place = saved.problem, saved.place
        if problem is None:
            problem, self.place = self._next_problem(None, FIRST_DIFFICULTY, start=0)
        self.comparison.show(problem, self.learner)

    # --- looking ------------------------------------------------------------------------------

    @property
    def learner(self) -> Learner:
        """The learner as it is now."""
        return self.session.learner

    @property
    def service(self) -> ModelService:
        """What stands in front of its base model."""
        return self._service

    @property
    def base_model(self) -> ModelFacts:
        """The model that it is given in front of."""
        return self._service.base_model

    @property
    def exam(self) -> Exam:
        """What scores it."""
        return self._exam

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
    def learnt_from_shown(self) -> bool:
        """Whether the problem shown has been trained on."""
        return self.comparison.problem is not None and self.comparison.problem.key in self._learnt

    @property
    def can_train_one(self) -> bool:
        """Whether the problem shown can be learnt from now: somebody said what its answer is."""
        problem = self.comparison.problem
        return self.run is None and problem is not None and bool(problem.answer)

    @property
    def score(self) -> Score | None:
        """The held-out result of the learner as it is now, in the format learnt in, if known."""
        at = self.learner.episodes
        return next((score for score in self.results() if score.episodes == at), None)

    def results(self) -> list[Score]:
        """The held-out results in the format learnt in, by episodes; the untrained prompt first."""
        return self._scores.of(self.learner, self.chat_template)

    @property
    def own_held_out(self) -> tuple[Score | None, Score | None]:
        """The held-out scores from when one's own list was asked: before learning from it, now."""
        own, results = self.own_list, self.results()
        if own.chat_template is not self.chat_template:
            return None, None
        before, now = (
            next((score for score in reversed(results) if score.episodes <= episodes), None)
            for episodes in own.episodes
        )
        return before, now if own.now else None

    # --- the problem --------------------------------------------------------------------------

    def draw(self, families: list[str] | None = None, difficulty: int | None = None) -> None:
        """Show a new held-out problem and answer it.

        Never one of the scored set, and never the one that is there already.
        """
        self.show_placed(families, difficulty, self.session.advance(1))

    def show_placed(self, families: list[str] | None, difficulty: int | None, start: int) -> None:
        """As `draw`, from this place of the visitor's stream of problems on."""
        self.show(*self._next_problem(families, difficulty, start))

    def show(self, problem: Problem, place: int | None = None) -> None:
        """Show this problem and answer it. ``place`` is its number in the visitor's stream."""
        with self._changed:
            self.latest_event = Event("own" if place is None else "drawn")
            self.place = place
            self.samples.forget()
            self.comparison.show(problem, self.learner)
            self._keep()

    # --- learning -----------------------------------------------------------------------------

    def choose_format(self, chat_template: bool) -> None:
        """Learn, and be scored, in this format from now on."""
        with self._changed:
            self._check_no_run("The format can be changed")
            if chat_template not in self._exam.formats:
                raise LessonError("This model has no chat template to learn in.")
            self.chat_template = chat_template
            self.latest_event = Event("format")
            self._keep()
            self._tell()

    def choose_signal(self, signal: str) -> None:
        """Learn from this signal, one of ``SIGNALS``, from now on."""
        with self._changed:
            self._check_no_run("How it learns can be changed")
            self.signal = signal
            self.latest_event = Event("signal")
            self._keep()
            self._tell()

    def choose_steps(self, learning_rate: float, episodes_per_step: int) -> None:
        """Step so far, and from so many episodes at once, from now on."""
        with self._changed:
            if (learning_rate, episodes_per_step) == (self.learning_rate, self.episodes_per_step):
                return
            self._check_no_run("The settings can be changed")
            self.learning_rate, self.episodes_per_step = learning_rate, episodes_per_step
            self._keep()
            self._tell()

    def choose_vectors(self, vectors: int) -> None:
        """Start again with so many vectors, unless it has as many; Undo brings the old back."""
        if vectors != self.learner.config.soft_tokens:
            self._halt()
            with self._changed:
                self._scores.keep_for(self.learner)
                config = replace(self.learner.config, soft_tokens=vectors)
                self._replaced(self.session.reset(config), Event("reset"))

    def train(self, episodes: int) -> None:
        """Start a run over fresh problems of the train split. Raises SessionBusy."""
        before = self.learner.episodes
        problems = stream(self._stream_seed(), "train", start=before)
        with self._changed:
            self._start(problems, episodes, EXAMS_PER_RUN, self.chat_template)
            self.samples.forget()
            self._running = (episodes, before)
            self._keep()

    def go_on(self) -> None:
        """Start what was left of a run that a restart cut. Raises LessonError without one."""
        event = self.latest_event
        if event is None or event.kind != "cut":
            raise LessonError("There is no run to go on with.")
        if event.left > 0:
            self.train(event.left)
        else:
            self.measure()

    def train_one(self, times: int = 1) -> None:
        """Learn from the problem shown, so many times. Raises SessionBusy.

        Once is one episode to look at; more often than that is scored as any run is.
        """
        problem = self.comparison.problem
        if problem is None or not problem.answer:
            raise LessonError("Nobody said what the right answer is; type it to learn from it.")
        if times == 1:
            self._learn_once(problem, problem, self.chat_template)
            return
        self._check_not_scored(problem)
        with self._changed:
            self._start(repeat(problem), times, 1, self.chat_template, at_most=1)
            self.samples.forget()
            self._note_learnt(problem)

    def keep_list(self, problems: tuple[Problem, ...]) -> None:
        """Have a list of questions of one's own, to be learnt from together."""
        with self._changed:
            self._check_no_run("A list can be changed")
            for number, problem in enumerate(problems, 1):
                if problem.key in self._exam.keys:
                    raise LessonError(
                        f"Question {number} of your list is one of the held-out set that scores "
                        "everybody; leave it out."
                    )
            self._keep(own_list=OwnList(problems))
            self._tell()

    def train_list(self, times: int) -> None:
        """Learn from one's own questions, so many times over. Raises SessionBusy."""
        own = self.own_list
        if not own.problems:
            raise LessonError("Write down some questions of your own first, and keep them.")
        episodes = times * len(own.problems)
        if episodes > MAX_EPISODES:
            raise LessonError(
                f"That would be {episodes} episodes; a run has at most {MAX_EPISODES}."
            )
        with self._changed:
            questions = own.passes(times, self._stream_seed())
            self._start(
                questions, episodes, EXAMS_PER_RUN, self.chat_template, len(own.problems), own
            )
            self.samples.forget()
            self._note_learnt(*own.problems)

    def measure(self) -> None:
        """Score the soft prompt as it is on the held-out set, as a run that learns nothing."""
        self._start(iter(()), 0, 1, self.chat_template)

    def draw_samples(self) -> None:
        """Sample different completions of the problem shown, to be rated."""
        with self._changed:
            self._check_no_run("Tries can be drawn")
            assert self.comparison.problem is not None, "a lesson has a problem from its start"
            self.samples.draw(self.comparison.problem, self.learner, self.chat_template)

    def rate(self, number: int, index: int, thumb: int) -> None:
        """Put a thumb on one sample of a set: +1, −1, or 0 for none."""
        with self._changed:
            self._check_no_run("Tries can be marked")
            self.samples.rate(number, index, thumb)

    def rate_all(self, thumbs: Sequence[int]) -> None:
        """A thumb for each of the samples shown, in order."""
        with self._changed:
            shown = self.samples.shown
            if len(thumbs) != len(shown.samples):
                raise LessonError(
                    f"There are {len(shown.samples)} tries to mark, not {len(thumbs)}."
                )
            for index, thumb in enumerate(thumbs):
                self.rate(shown.number, index, thumb)

    def learn_from_thumbs(self) -> None:
        """Learn from what is rated among the samples, and from nothing else. Raises SessionBusy."""
        shown = self.samples.shown
        thumbs = shown.thumbs
        assert shown.problem is not None, "what is rated has a problem"
        self._learn_once(thumbs, shown.problem, shown.chat_template)

    def learn_from_many(self, marks: Sequence[float]) -> None:
        """Learn from what many think of the samples: a mean mark each, -1 to 1. Raises LessonError.

        What they are divided on, 0, takes no part.
        """
        if not any(marks):
            raise LessonError("Nobody has marked a try yet, or as many like each as do not.")
        with self._changed:
            self.rate_all([(mark > 0) - (mark < 0) for mark in marks])
            shown = self.samples.shown
            assert shown.problem is not None, "what is rated has a problem"
            self._learn_once(shown.marked(marks), shown.problem, shown.chat_template)

    def stop(self) -> None:
        """End the run, here or in another tab, at the next step; what was learnt is kept."""
        self._running = ()
        self.session.stop.set()
        self._tell()

    def undo(self) -> None:
        """Go back to the learner before the last run, reset or load. Raises SessionError."""
        self._halt()
        with self._changed:
            self._scores.keep_for(self.learner)
            self._replaced(self.session.undo(), Event("undone"))

    def redo(self) -> None:
        """Go forth again to the learner that the last undo left. Raises SessionError."""
        self._halt()
        with self._changed:
            self._scores.keep_for(self.learner)
            self._replaced(self.session.redo(), Event("redone"))

    def reset(self) -> None:
        """Start again from an untrained soft prompt; Undo brings the old one back."""
        self._halt()
        with self._changed:
            self._scores.keep_for(self.learner)
            self._replaced(self.session.reset(), Event("reset"))

    def start_over(self, seed: int) -> None:
        """Begin as a newcomer with this seed would; Undo brings the old soft prompt back."""
        self._halt()
        with self._changed:
            had_learnt = self.learner.episodes > 0
            self._scores.keep_for(self.learner)
            learner = self.session.start_over(seed)
            self.chat_template, self.signal = False, "answer"
            self.learning_rate = learner.config.learning_rate
            self.episodes_per_step = learner.config.episodes_per_step
            self.samples.forget()
            self.samples = RatedSamples(self._service, seed, self._tell, self._fail)
            self.show(*self._next_problem(None, FIRST_DIFFICULTY, 0, shown=""))
            self._replaced(learner, Event("reset"))
            if not had_learnt:
                self.latest_event = None

    def adopt(self, learner: Learner) -> None:
        """Go on with a loaded learner, in its format; Undo brings the old one back."""
        self._go_on_with(learner, Event("loaded"))

    # --- snapshots ----------------------------------------------------------------------------

    def keep_snapshot(self, name: str = "") -> None:
        """Keep the learner as it is under a name, or under one that says what it has learnt.

        Raises SessionError if the name is taken, or if too many are kept.
        """
        with self._changed:
            learner = self.learner
            name = name or free_name(learner, self.session.snapshots)
            scores = tuple(
                score
                for chat_template in self._exam.formats
                for score in self._scores.of(learner, chat_template)
                if score.episodes == learner.episodes
            )
            self.session.keep_snapshot(Snapshot(name, learner, scores))
            self.latest_event = Event("kept", name=name)
            self._tell()

    def go_to_snapshot(self, name: str) -> None:
        """Go on with what was kept under this name. Undo leads back. Raises SessionError."""
        snapshot = self.session.snapshot(name)
        most = len(self._exam.problems)
        scores = tuple(score for score in snapshot.scores if score.n <= most)
        self._go_on_with(snapshot.learner, Event("back", name=name), scores)

    def remove_snapshot(self, name: str) -> None:
        """Forget what was kept under this name. Raises SessionError."""
        with self._changed:
            self.session.remove_snapshot(name)
            self._tell()

    # --- in the background --------------------------------------------------------------------

    def _learn_once(self, material: Material, problem: Problem, chat_template: bool) -> None:
        """Learn from this alone, which is about ``problem``; that one is no fair test then."""
        self._check_not_scored(problem)
        with self._changed:
            self._start(iter([material]), 1, 0, chat_template)
            if material is problem:
                self.samples.forget()
            self._note_learnt(problem)

    def _check_not_scored(self, problem: Problem) -> None:
        if problem.key in self._exam.keys:
            raise LessonError(
                "This question is one of the held-out set that scores everybody; choose another."
            )

    def _note_learnt(self, *problems: Problem) -> None:
        """Note down that these are no fair test any more."""
        self._learnt = (*self._learnt, *(problem.key for problem in problems))[-KEPT:]
        self._keep()

    def _start(
        self,
        material: Iterator[Material],
        episodes: int,
        exams: int,
        chat_template: bool,
        at_most: int | None = None,
        own: OwnList | None = None,
    ) -> None:
        """Start a run; a step takes ``at_most`` so many. ``own`` are questions to ask around it."""
        with self._changed, ExitStack() as stack:
            teaching = stack.enter_context(self.session.run())
            self._measuring = None
            self._scores.keep_for(self.learner)
            config = replace(
                self.learner.config,
                chat_template=chat_template,
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
                self._service,
                self._exam,
                learner,
                material,
                episodes,
                exams,
                owner=self.session.id,
                stopped=self.session.stop.is_set,
                at_most=at_most,
            )
            self._worker = threading.Thread(
                target=copy_context().run,  # a service may count time against who asked
                args=(self._work, self.run, run, teaching, stack.pop_all(), exams > 0, own),
                name="run",
                daemon=True,
            )
            self._worker.start()
            self._tell()

    def _work(
        self,
        state: RunState,
        run: Iterator[RunState],
        teaching: Run,
        ending: ExitStack,
        exams: bool,
        own: OwnList | None,
    ) -> None:
        """The run, with ``exams`` or without, on its own thread, from its first ``state`` on."""
        result, began = None, time.monotonic()
        ask, stopped = self._service.ask, self.session.stop.is_set
        with ending:
            try:
                if own is not None and (written := own.asked_of(state.learner, ask, stopped)):
                    chat, episodes = state.learner.config.chat_template, state.learner.episodes
                    with self._changed:
                        self._keep(own_list=own.asked_before(written, chat, episodes))
                for state in run:
                    if state.result and (not result or state.result.episodes >= result.episodes):
                        result = state.result
                    self._take_over(state, teaching)
                    if state.milestone:
                        self._show_what_it_says(state, time.monotonic() - began)
                if own is not None and (written := own.asked_of(state.learner, ask, stopped)):
                    episodes = state.learner.episodes
                    with self._changed:
                        self._keep(own_list=self.own_list.asked_now(written, episodes))
            except (ValueError, RuntimeError) as error:
                self._running = ()
                self._fail(error)
        with self._changed:
            if state.done == state.total:  # otherwise the app is about to end
                self._running = ()
            self.latest_event = end_of(state, result)
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
        if self._exam.visitors_only:
            self.comparison.replace_completions(state.learner)
        elif state.done < state.total:
            self.comparison.replace_meanwhile(state.learner, ANSWERING_SHARE * seconds)
        else:
            self.comparison.replace_meanwhile(state.learner)

    def _take_over(self, state: RunState, teaching: Run) -> None:
        with self._changed:
            if state.done and state.learner is not self.learner:
                teaching.adopt(state.learner)
                self.moments.step(state.learner)
            self.run = state
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
        if self._exam.visitors_only:
            return
        self._measuring = measuring = object()
        chat_template, size = learner.config.chat_template, self._exam.milestone_size

        def measure() -> None:
            try:
                for score in self._exam.grow(learner, chat_template, size):
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

        threading.Thread(target=measure, name="measure-stopped", daemon=True).start()

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

    def _next_problem(
        self,
        families: list[str] | None,
        difficulty: int | None,
        start: int,
        shown: str | None = None,
    ) -> tuple[Problem, int]:
        """The next problem of the stream that is neither scored nor ``shown``, and its number."""
        problems = stream(self.session.seed, "held-out", families, difficulty, start)
        if shown is None:
            shown = self.comparison.problem.key if self.comparison.problem else ""
        unwanted = self._exam.keys | {shown}
        numbered = enumerate(problems, start)
        return next((problem, at) for at, problem in numbered if problem.key not in unwanted)

    def _now(self) -> Hashable:
        return self._version, self._exam.version

    def _check_no_run(self, what: str) -> None:
        if self.run is not None:
            raise LessonError(f"{what} once the run has ended.")

    def _halt(self) -> None:
        """Stop the run, if one is on, and wait until it has ended."""
        worker = self._worker
        if worker is not None:
            self.stop()
            worker.join()

    def _go_on_with(self, learner: Learner, event: Event, scores: tuple[Score, ...] = ()) -> None:
        """Have this learner in place of the old one, in its format, with the scores it had."""
        self._halt()
        with self._changed:
            self._scores.keep_for(self.learner)
            self.session.replace_learner(learner)
            self.chat_template = learner.config.chat_template
            self.signal = learner.config.signal
            self.learning_rate = learner.config.learning_rate
            self.episodes_per_step = learner.config.episodes_per_step
            self._replaced(learner, event, scores)

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
