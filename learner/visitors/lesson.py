"""One visitor's lesson: all that they can do, to the problem before them and to their learner.

Knows nothing of pages. What goes on because of it is `teaching`'s.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import repeat

from arena import Problem, stream
from learner.learning.learner import Learner
from learner.learning.training import Material
from learner.measuring import Score
from learner.service.protocol import ModelService
from learner.visitors.checked_input import MAX_EPISODES, LessonError
from learner.visitors.exam import Exam
from learner.visitors.own_list import OwnList
from learner.visitors.run import EXAMS_PER_RUN
from learner.visitors.session import Session
from learner.visitors.snapshots import Snapshot, free_name
from learner.visitors.teaching import Event, Teaching

FIRST_DIFFICULTY = 1  # of the problem that a newcomer finds on the page
KEPT = 200  # problems known to be learnt from


class Lesson(Teaching):
    """What one visitor does and sees. Thread-safe.

    Actions raise LessonError or SessionError, and change nothing, where they cannot be done.
    """

    def __init__(self, service: ModelService, exam: Exam, session: Session) -> None:
        super().__init__(service, exam, session)
        if self.comparison.problem is None:
            # A newcomer's first problem is not noted down: who only looks in leaves nothing behind.
            problem, self.place = self._next_problem(None, FIRST_DIFFICULTY, start=0)
            self.comparison.put_up(problem)

    def answer_first(self) -> None:
        """Answer the problem that was found here, once: call it when somebody looks."""
        self.comparison.open(self.learner)

    def arrive(self) -> None:
        """Ask again for what could not be answered: call it when somebody opens the page."""
        if self.comparison.failed:
            self.comparison.ask_again(self.learner)

    @property
    def learnt_from_shown(self) -> bool:
        """Whether the problem shown has been trained on."""
        return self.comparison.problem is not None and self.comparison.problem.key in self._learnt

    @property
    def can_train_one(self) -> bool:
        """Whether the problem shown can be learnt from now: somebody said what its answer is."""
        problem = self.comparison.problem
        if self.run is not None or problem is None or not problem.answer:
            return False
        return problem.family == "own" or problem.key not in self.exam.keys

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
            unplaced = "own" if problem.family == "own" else "scored"
            self.latest_event = Event(unplaced if place is None else "drawn")
            self.place = place
            self.samples.forget()
            self.comparison.show(problem, self.learner)
            self._keep()

    def show_scored(self, number: int) -> None:
        """Show a problem of the held-out set and answer it. Raises LessonError if there is none."""
        if not 0 <= number < len(self.exam.problems):
            raise LessonError(
                f"The held-out set has {len(self.exam.problems)} problems, from 0 on."
            )
        self.show(self.exam.problems[number])

    # --- learning -----------------------------------------------------------------------------

    def choose_format(self, chat_template: bool) -> None:
        """Learn, and be scored, in this format from now on."""
        with self._changed:
            if chat_template == self.chat_template:
                return
            self._check_no_run("The format can be changed")
            if chat_template not in self.exam.formats:
                raise LessonError("This model has no chat template to learn in.")
            self.chat_template = chat_template
            self.latest_event = Event("format")
            self._keep()
            self._tell()

    def choose_signal(self, signal: str) -> None:
        """Learn from this signal, one of ``SIGNALS``, from now on."""
        with self._changed:
            if signal == self.signal:
                return
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
        config = replace(self.learner.config, soft_tokens=vectors)
        if config != self.learner.config:
            self._replace(lambda: self.session.reset(config), Event("reset"))

    def train(self, episodes: int) -> None:
        """Start a run over fresh problems of the train split. Raises SessionBusy."""
        before = self.learner.episodes
        problems = stream(self._stream_seed(), "train", start=before)
        with self._changed:
            self._start(problems, episodes, EXAMS_PER_RUN)
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
            self._learn_once(problem, problem)
            return
        self._check_not_scored(problem)
        with self._changed:
            self._start(repeat(problem), times, 1, at_most=1)
            self.samples.forget()
            self._note_learnt(problem)

    def keep_list(self, problems: tuple[Problem, ...]) -> None:
        """Have a list of questions of one's own, to be learnt from together."""
        with self._changed:
            self._check_no_run("A list can be changed")
            for number, problem in enumerate(problems, 1):
                if problem.key in self.exam.keys:
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
            self._start(questions, episodes, EXAMS_PER_RUN, len(own.problems), own=own)
            self.samples.forget()
            self._note_learnt(*own.problems)

    def measure(self) -> None:
        """Score the soft prompt as it is on the held-out set, as a run that learns nothing."""
        self._start(iter(()), 0, 1)

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

    def learn_from_many(self, number: int, marks: Sequence[float]) -> None:
        """Learn from what many think of the samples of a set: a mean mark each, -1 to 1.

        What they are divided on, 0, takes no part. Raises LessonError, also if another set is
        shown by now.
        """
        if not any(marks):
            raise LessonError("Nobody has marked a try yet, or as many like each as do not.")
        with self._changed:
            if number != self.samples.shown.number:
                raise LessonError(
                    "The tries that were marked are gone; show others, and have those marked."
                )
            self.rate_all([(mark > 0) - (mark < 0) for mark in marks])
            shown = self.samples.shown
            assert shown.problem is not None, "what is rated has a problem"
            self._learn_once(shown.marked(marks), shown.problem, shown.chat_template)

    def undo(self) -> None:
        """Go back to the learner before the last run, reset or load. Raises SessionError."""
        self._replace(self.session.undo, Event("undone"))

    def redo(self) -> None:
        """Go forth again to the learner that the last undo left. Raises SessionError."""
        self._replace(self.session.redo, Event("redone"))

    def reset(self) -> None:
        """Start again from an untrained soft prompt; Undo brings the old one back."""
        self._replace(self.session.reset, Event("reset"))

    def start_over(self, seed: int) -> None:
        """Begin as a newcomer with this seed would; Undo brings the old soft prompt back."""
        self._halt()
        with self._changed:
            had_learnt = self.learner.episodes > 0
            before = self.learner
            self._scores.keep_for(before)
            learner = self.session.start_over(seed)
            self._learn_as_came(before, learner)
            self.samples.start_over(seed)
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
                for chat_template in self.exam.formats
                for score in self._scores.of(learner, chat_template)
                if score.episodes == learner.episodes
            )
            self.session.keep_snapshot(Snapshot(name, learner, scores))
            self.latest_event = Event("kept", name=name)
            self._tell()

    def go_to_snapshot(self, name: str) -> None:
        """Go on with what was kept under this name. Undo leads back. Raises SessionError."""
        snapshot = self.session.snapshot(name)
        most = len(self.exam.problems)
        scores = tuple(score for score in snapshot.scores if score.n <= most)
        self._go_on_with(snapshot.learner, Event("back", name=name), scores)

    def remove_snapshot(self, name: str) -> None:
        """Forget what was kept under this name. Raises SessionError."""
        with self._changed:
            self.session.remove_snapshot(name)
            self._tell()

    def _learn_once(
        self, material: Material, problem: Problem, chat_template: bool | None = None
    ) -> None:
        """Learn from this alone, which is about ``problem``; that one is no fair test then."""
        self._check_not_scored(problem)
        with self._changed:
            self._start(iter([material]), 1, 0, chat_template=chat_template)
            if material is problem:
                self.samples.forget()
            self._note_learnt(problem)

    def _check_not_scored(self, problem: Problem) -> None:
        if problem.key in self.exam.keys:
            raise LessonError(
                "This question is one of the held-out set that scores everybody; choose another."
            )

    def _note_learnt(self, *problems: Problem) -> None:
        """Note down that these are no fair test any more."""
        self._learnt = (*self._learnt, *(problem.key for problem in problems))[-KEPT:]
        self._keep()

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
        unwanted = self.exam.keys | {shown}
        numbered = enumerate(problems, start)
        return next((problem, at) for at, problem in numbered if problem.key not in unwanted)
