"""One problem answered in four ways side by side, written in the background."""

import math
import threading
import time
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass, replace

from arena import Grade, Problem, grade
from learner.learning.learner import Learner
from learner.learning.worked_examples import worked_examples
from learner.model.completion import Ask, Completion
from learner.service.protocol import ModelService

CONDITIONS = ((True, False), (False, False), (True, True), (False, True))
"""The four ways in reading order: (with the chat template?, with the soft prompt?)."""

OPENINGS = threading.Semaphore(8)
"""Those who have just come in are answered so many at a time: a crowd leaves room for clicks."""
OPENING_SECONDS = 60.0  # that somebody waits for their turn at most


@dataclass(frozen=True)
class GradedCompletion:
    """What was written under one of the four conditions.

    ``text`` is the completion so far, ``finished`` whether it is all there; ``grade`` is None
    while it is being written and where there is no answer to grade against. ``before`` is the
    text and grade that stood here before the learning that just happened. ``absent`` says that
    the model has no chat template, so that nothing is ever written here; ``failed``, that it could
    not be answered, so that nothing more comes.
    """

    text: str = ""
    finished: bool = False
    tokens: int = 0
    seconds: float = 0.0
    grade: Grade | None = None
    before: tuple[str, Grade | None] | None = None
    absent: bool = False
    failed: bool = False


class Comparison:
    """One problem and its completions under the four conditions. Thread-safe.

    Behind a soft prompt the problem is asked as its learner was taught: with its worked examples
    before it, if it has any. The model alone is asked the question and nothing else. ``formats``
    are those that the model knows; those of the others stay empty. ``tell`` is called
    after every change; ``fail`` with what went wrong in the background.
    """

    def __init__(
        self,
        service: ModelService,
        formats: Sequence[bool],
        tell: Callable[[], None],
        fail: Callable[[Exception], None],
    ) -> None:
        self._all = tuple(i for i, (chat, _) in enumerate(CONDITIONS) if chat in formats)
        self._soft = tuple(i for i in self._all if CONDITIONS[i][1])
        self.problem: Problem | None = None
        self.completions = self._blank()
        self._service = service
        self._tell = tell
        self._fail = fail
        self._learner: Learner | None = None  # who wrote those behind a soft prompt
        self._asked: Sequence[int] = self._all  # of the conditions asked last
        self._asking: object | None = None  # the latest question; what older ones bring is dropped
        self._replacement: Learner | None = None  # who is to answer next, in the background
        self._replacing = False
        self._replaced_for = 0.0  # seconds, since what was said before was kept
        self._lock = threading.Lock()

    @property
    def answering(self) -> bool:
        """Whether completions are being written."""
        return self._asking is not None

    @property
    def failed(self) -> bool:
        """Whether some could not be answered when they were asked last."""
        return any(one.failed for one in self.completions)

    def show(self, problem: Problem, learner: Learner) -> None:
        """Put up a problem and answer it in all four ways, two of them as ``learner`` does."""
        self.put_up(problem)
        self._ask(self._all, learner)

    def put_up(self, problem: Problem) -> None:
        """Put up a problem that nobody has asked for yet."""
        with self._lock:
            self.problem = problem
            self.completions = self._blank()
            self._learner, self._asked = None, self._all

    def open(self, learner: Learner) -> None:
        """Answer what was put up, in turn with others' first problems, if nothing was asked yet."""
        if self.problem is not None:
            self._ask(self._all, learner, opening=True)

    def ask_again(self, learner: Learner) -> None:
        """Answer the same problem with another soft prompt; the model alone says what it said.

        Does nothing if the learner would say what stands there already.
        """
        if self.problem is not None and not _answer_alike(self._learner, learner):
            unanswered = self.answering or self._learner is None
            self._ask(self._asked if unanswered else self._soft, learner)

    def replace_completions(self, learner: Learner) -> None:
        """As ``ask_again``, but wait, and swap the new completions in at once: nothing flickers."""
        problem, before = self.problem, self._learner
        if self.answering or self.failed or problem is None:
            return
        completions = self._service.complete(_asks(problem, self._soft, learner))
        with self._lock:
            if self.problem is problem and self._learner is before and not self.answering:
                self._learner = learner
                self._write(problem, self._soft, completions, final=True)
        self._tell()

    def replace_meanwhile(self, learner: Learner, most_seconds: float = math.inf) -> None:
        """As ``replace_completions``, in the background.

        Where ``most_seconds`` are given, nothing is done once that has taken longer since
        ``keep_before``, nor while it is going on.
        """
        with self._lock:
            if self._replaced_for > most_seconds or (self._replacing and most_seconds < math.inf):
                return
            self._replacement = learner
            if self._replacing:
                return
            self._replacing = True
        threading.Thread(
            target=copy_context().run, args=(self._replace,), name="replace", daemon=True
        ).start()

    def _replace(self) -> None:
        while True:
            with self._lock:
                learner, self._replacement = self._replacement, None
                self._replacing = learner is not None
            if learner is None:
                return
            began = time.monotonic()
            try:
                self.replace_completions(learner)
            except (ValueError, RuntimeError) as error:
                self._fail(error)
            with self._lock:
                self._replaced_for += time.monotonic() - began

    def keep_before(self) -> None:
        """Let those behind the soft prompt say, from now on, what they said before."""
        with self._lock:
            self._replaced_for = 0.0
            self.completions = tuple(
                replace(one, before=(one.text, one.grade)) if soft_prompt and one.finished else one
                for (_, soft_prompt), one in zip(CONDITIONS, self.completions, strict=True)
            )

    def forget_before(self) -> None:
        """The opposite."""
        with self._lock:
            self.completions = tuple(replace(one, before=None) for one in self.completions)

    def _blank(self) -> tuple[GradedCompletion, ...]:
        """Four that wait to be written; without those of a format the model has not got."""
        return tuple(GradedCompletion(absent=i not in self._all) for i in range(len(CONDITIONS)))

    def _ask(self, indices: Sequence[int], learner: Learner, opening: bool = False) -> None:
        asking = object()
        with self._lock:
            if opening and (self._learner is not None or self.failed):
                return
            problem = self.problem
            self._asking = asking
            self._asked = indices
            self._learner = learner
            self.completions = tuple(
                GradedCompletion(before=one.before) if i in indices else one
                for i, one in enumerate(self.completions)
            )
        asked = asking, problem, indices, learner
        threading.Thread(
            target=copy_context().run,
            args=(self._listen_in_turn if opening else self._listen, *asked),
            name="ask",
            daemon=True,
        ).start()
        self._tell()

    def _listen_in_turn(
        self, asking: object, problem: Problem, indices: Sequence[int], learner: Learner
    ) -> None:
        is_mine = OPENINGS.acquire(timeout=OPENING_SECONDS)
        try:
            if self._asking is asking:
                self._listen(asking, problem, indices, learner)
        finally:
            if is_mine:
                OPENINGS.release()

    def _listen(
        self, asking: object, problem: Problem, indices: Sequence[int], learner: Learner
    ) -> None:
        """Write down what comes, until all of it is there or nobody wants it."""
        completions: tuple[Completion, ...] = ()
        failure = None
        try:
            for completions in self._service.ask(_asks(problem, indices, learner)):
                with self._lock:
                    if self._asking is not asking:
                        return
                    self._write(problem, indices, completions, final=False)
                self._tell()
        except (ValueError, RuntimeError) as error:
            failure = error
        with self._lock:
            if self._asking is not asking:
                return
            self._write(problem, indices, completions, final=failure is None)
            if failure is not None:
                self._give_up(indices)
            self._asking = None
        if failure is not None:
            self._fail(failure)
        self._tell()

    def _give_up(self, indices: Sequence[int]) -> None:
        """Leave what is not all there as it is; whoever asks next asks for all of them again."""
        self._learner = None
        self.completions = tuple(
            replace(one, finished=True, failed=True) if i in indices and not one.finished else one
            for i, one in enumerate(self.completions)
        )

    def _write(
        self,
        problem: Problem,
        indices: Sequence[int],
        completions: Sequence[Completion],
        final: bool,
    ) -> None:
        written = list(self.completions)
        for at, completion in zip(indices, completions, strict=False):
            done = final or completion.finished
            written[at] = GradedCompletion(
                text=completion.text,
                finished=done,
                tokens=completion.tokens,
                seconds=completion.seconds,
                grade=_grade(problem, completion) if done else None,
                before=written[at].before,
            )
        self.completions = tuple(written)


def _asks(problem: Problem, indices: Sequence[int], learner: Learner) -> list[Ask]:
    examples = worked_examples(learner.config.shots)
    return [
        Ask(problem.question, chat_template, learner.prompt, examples)
        if soft_prompt
        else Ask(problem.question, chat_template)
        for chat_template, soft_prompt in (CONDITIONS[i] for i in indices)
    ]


def _answer_alike(one: Learner | None, other: Learner) -> bool:
    """Whether both answer from the same soft prompt and the same worked examples."""
    return one is not None and one.prompt is other.prompt and one.config.shots == other.config.shots


def _grade(problem: Problem, completion: Completion) -> Grade | None:
    return grade(problem, completion.text) if problem.answer else None
