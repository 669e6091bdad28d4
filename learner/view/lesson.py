"""One visitor's lesson: their learner, the problem before them, its answers, the run, the results.

Knows nothing of pages. Every action changes the lesson, work goes on in background threads, and
whoever looks (a page, the API, a page opened again after a reload) follows the same state.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

from arena import Problem, stream
from learner.service import Service
from learner.session import Run, Session
from learner.soft_prompt import Learner, LearnerConfig
from learner.view import notes
from learner.view.board import Board
from learner.view.exam import Exam, Marks
from learner.view.questions import LessonError
from learner.view.run import EXAMS_PER_RUN, RunState, training_run

FIRST_DIFFICULTY = 1  # of the problem that a newcomer finds on the page
LOOK_SECONDS = 0.2  # whoever follows is told of changes at most this often
KEPT = 200  # results, and problems known to be learnt from


@dataclass(frozen=True)
class News:
    """What just happened. ``kind`` is run, one, stopped, undone, reset or loaded.

    ``episodes`` were learnt just now, at ``rate`` a second; ``loss`` is that of the last step.
    """

    kind: str
    episodes: int = 0
    rate: float | None = None
    loss: float | None = None
    marks: Marks | None = None


class Lesson:
    """What one visitor does and sees. Thread-safe.

    Actions raise LessonError or SessionError, and change nothing, where they cannot be done. What
    goes wrong in the background is raised, once, to whoever follows.
    """

    def __init__(self, service: Service, exam: Exam, session: Session) -> None:
        self.session = session
        self.board = Board(service, exam.formats, self._tell, self._fail)
        self.run: RunState | None = None  # the run that is on
        self.news: News | None = None
        self._service = service
        self._exam = exam
        self._worker: threading.Thread | None = None
        self._failure: Exception | None = None
        self._version = 0
        self._changed = threading.Condition(threading.RLock())  # guards everything above
        kept = notes.read(session.notes, len(exam.problems))
        self.chat_template = kept.chat_template
        self._marks = kept.marks
        self._learnt = kept.learnt
        self._marks_then: WeakKeyDictionary[Learner, tuple[Marks, ...]] = WeakKeyDictionary()
        # A newcomer's first problem is not noted down: who only looks in leaves nothing behind.
        problem = kept.problem or self._next_problem(None, FIRST_DIFFICULTY, start=0)
        self.board.show(problem, self.learner.prompt)

    # --- looking ------------------------------------------------------------------------------

    @property
    def learner(self) -> Learner:
        """The learner as it is now."""
        return self.session.learner

    @property
    def learnt_from_shown(self) -> bool:
        """Whether the problem on the board has been trained on."""
        return self.board.problem is not None and self.board.problem.key in self._learnt

    def marks(self) -> list[Marks]:
        """The held-out results in the format learnt in, by episodes; the untrained prompt first."""
        known = {m.episodes: m for m in self._marks if m.chat_template is self.chat_template}
        untrained = self._exam.untrained(self.chat_template)
        if untrained and replace(self.learner.config, chat_template=False) == LearnerConfig():
            known.setdefault(0, untrained)
        return [known[episodes] for episodes in sorted(known)]

    def follow(self, busy: Callable[[], bool]) -> Iterator[None]:
        """Yield when there is something new to see, at most a few times a second, while ``busy()``.

        Yields at least once, the last time after the last change. Raises what went wrong in the
        background meanwhile.
        """
        seen = None
        while True:
            with self._changed:
                going_on = busy()
                now = (self._version, self._exam.version)
                if going_on and now == seen:
                    self._changed.wait(LOOK_SECONDS)
                    continue
                seen = now
                failure, self._failure = self._failure, None
            yield
            if failure is not None:
                raise failure
            if not going_on:
                return
            with self._changed:
                self._changed.wait_for(lambda: not busy(), LOOK_SECONDS)

    # --- the problem --------------------------------------------------------------------------

    def draw(self, families: list[str] | None = None, difficulty: int | None = None) -> None:
        """Put a new held-out problem on the board and answer it.

        Never one of the scored set, and never the one that is there already.
        """
        self.show(self._next_problem(families, difficulty, self.session.advance(1)))

    def show(self, problem: Problem) -> None:
        """Put this problem on the board and answer it."""
        with self._changed:
            self.news = None
            self.board.show(problem, self.learner.prompt)
            self._keep()

    # --- learning -----------------------------------------------------------------------------

    def choose_format(self, chat_template: bool) -> None:
        """Learn, and be scored, in this format from now on."""
        with self._changed:
            if self.run is not None:
                raise LessonError("The format can be changed once the run has ended.")
            if chat_template not in self._exam.formats:
                raise LessonError("This model has no chat template to learn in.")
            self.chat_template = chat_template
            self.news = None
            self._keep()
            self._tell()

    def train(self, episodes: int) -> None:
        """Start a run over fresh problems of the train split. Raises SessionBusy."""
        problems = stream(self._stream_seed(), "train", start=self.learner.episodes)
        self._start(problems, episodes, EXAMS_PER_RUN)

    def train_one(self) -> None:
        """Learn from the problem on the board, once. Raises SessionBusy."""
        problem = self.board.problem
        if problem is None or not problem.answer:
            raise LessonError("Nobody said what the right answer is; type it to learn from it.")
        if problem.key in self._exam.keys:
            raise LessonError(
                "This question is one of the held-out set that scores everybody; choose another."
            )
        with self._changed:
            self._start(iter([problem]), 1, exams=0)
            self._learnt = (*self._learnt, problem.key)[-KEPT:]
            self._keep()

    def stop(self) -> None:
        """End the run, here or in another tab, at the next step; what was learnt is kept."""
        self.session.stop.set()

    def undo(self) -> None:
        """Go back to the learner before the last run, reset or load. Raises SessionError."""
        self._halt()
        with self._changed:
            self._replaced(self.session.undo(), News("undone"))

    def reset(self) -> None:
        """Start again from an untrained soft prompt; Undo brings the old one back."""
        self._halt()
        with self._changed:
            self._marks_then[self.learner] = self._marks
            self._replaced(self.session.reset(), News("reset"))

    def adopt(self, learner: Learner) -> None:
        """Go on with a loaded learner, in its format; Undo brings the old one back."""
        self._halt()
        with self._changed:
            self._marks_then[self.learner] = self._marks
            self.session.replace_learner(learner)
            self.chat_template = learner.config.chat_template
            self._replaced(learner, News("loaded"))

    # --- in the background --------------------------------------------------------------------

    def _start(self, problems: Iterator[Problem], episodes: int, exams: int) -> None:
        with self._changed, ExitStack() as stack:
            teaching = stack.enter_context(self.session.run())
            self._marks_then[self.learner] = self._marks
            config = replace(self.learner.config, chat_template=self.chat_template)
            learner = replace(self.learner, config=config, stream_seed=self._stream_seed())
            self.board.keep_for_comparison()
            self.run = RunState(learner, 0, episodes)
            self.news = None
            run = training_run(
                self._service,
                self._exam,
                learner,
                problems,
                episodes,
                exams,
                owner=self.session.id,
                stopped=self.session.stop.is_set,
            )
            self._worker = threading.Thread(
                target=self._work,
                args=(self.run, run, teaching, stack.pop_all()),
                name="run",
                daemon=True,
            )
            self._worker.start()
            self._tell()

    def _work(
        self, state: RunState, run: Iterator[RunState], teaching: Run, ending: ExitStack
    ) -> None:
        """The run, on its own thread, from its first ``state`` on."""
        marks = None
        with ending:
            try:
                for state in run:
                    marks = state.marks or marks
                    self._take_over(state, teaching)
                    if state.marks:
                        self.board.replace_answers(state.learner.prompt)
            except (ValueError, RuntimeError) as error:
                self._fail(error)
        with self._changed:
            self.news = _news(state, marks)
            self.run = None
            self._worker = None
            self._keep()
        self.board.ask_again(self.learner.prompt)
        self._tell()

    def _take_over(self, state: RunState, teaching: Run) -> None:
        with self._changed:
            if state.learner is not self.learner:
                teaching.adopt(state.learner)
            self.run = state
            if state.marks:
                self._marks = (*self._marks, state.marks)[-KEPT:]
                self._keep()
            self._tell()

    def _stream_seed(self) -> int:
        """Which problems this learner goes through: those it began with, wherever it comes from."""
        learner = self.learner
        if learner.stream_seed is not None:
            return learner.stream_seed
        return learner.config.seed if learner.steps else self.session.seed

    def _next_problem(
        self, families: list[str] | None, difficulty: int | None, start: int
    ) -> Problem:
        problems = stream(self.session.seed, "held-out", families, difficulty, start)
        unwanted = self._exam.keys | {self.board.problem.key if self.board.problem else ""}
        return next(problem for problem in problems if problem.key not in unwanted)

    def _halt(self) -> None:
        """Stop the run, if one is on, and wait until it has ended."""
        worker = self._worker
        if worker is not None:
            self.stop()
            worker.join()

    def _replaced(self, learner: Learner, news: News) -> None:
        """The learner is another one now: its own results, its own answers."""
        self._marks = self._marks_then.get(learner, ())
        self.news = news
        self._keep()
        self.board.forget_comparison()
        self.board.ask_again(learner.prompt)
        self._tell()

    def _keep(self) -> None:
        """Note down what a reload or a restart must bring back."""
        kept = notes.Kept(self.board.problem, self.chat_template, self._marks, self._learnt)
        self.session.note(**notes.write(kept))

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self._failure = error
            self._tell()

    def _tell(self) -> None:
        with self._changed:
            self._version += 1
            self._changed.notify_all()


def _news(end: RunState, marks: Marks | None) -> News:
    history = end.learner.history
    kind = "stopped" if end.done < end.total else "run" if marks else "one"
    return News(kind, end.done, end.rate, history[-1].loss if history else None, marks)
