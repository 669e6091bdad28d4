"""The problem before a visitor and its four answers, written in the background."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from arena import Grade, Problem, grade
from learner.learning.learner import Learner
from learner.learning.worked_examples import worked_examples
from learner.model.completion import Ask, Completion
from learner.service.protocol import ModelService
from learner.view.cards import CORNERS, Answer


class Board:
    """One problem and what the four cards show of it. Thread-safe.

    Behind a soft prompt the problem is asked as its learner was taught: with its worked examples
    before it, if it has any. The model alone is asked the question and nothing else. ``formats``
    are those that the model knows; the other cards stay empty. ``tell`` is called after
    every change; ``fail`` with what went wrong in the background.
    """

    def __init__(
        self,
        service: ModelService,
        formats: Sequence[bool],
        tell: Callable[[], None],
        fail: Callable[[Exception], None],
    ) -> None:
        self._all = tuple(i for i, (chat, _) in enumerate(CORNERS) if chat in formats)
        self._soft = tuple(i for i in self._all if CORNERS[i][1])
        self.problem: Problem | None = None
        self.answers = self._blank()
        self._service = service
        self._tell = tell
        self._fail = fail
        self._learner: Learner | None = None  # whose the soft-prompt cards are
        self._corners: Sequence[int] = self._all  # that were asked last
        self._asking: object | None = None  # the latest question; what older ones bring is dropped
        self._lock = threading.Lock()

    @property
    def answering(self) -> bool:
        """Whether the cards are being written."""
        return self._asking is not None

    def show(self, problem: Problem, learner: Learner) -> None:
        """Put up a problem and answer it in all four ways, two of them as ``learner`` does."""
        with self._lock:
            self.problem = problem
            self.answers = self._blank()
        self._ask(self._all, learner)

    def ask_again(self, learner: Learner) -> None:
        """Answer the same problem with another soft prompt; the model alone says what it said.

        Does nothing if the learner would say what the cards say already.
        """
        if self.problem is not None and not _answer_alike(self._learner, learner):
            self._ask(self._corners if self.answering else self._soft, learner)

    def replace_answers(self, learner: Learner) -> None:
        """As ``ask_again``, but wait, and swap the new answers in at once: nothing flickers."""
        problem = self.problem
        if self.answering or problem is None:
            return
        completions = self._service.complete(_asks(problem, self._soft, learner))
        with self._lock:
            if self.problem is problem and not self.answering:
                self._learner = learner
                self._write(problem, self._soft, completions, final=True)
        self._tell()

    def keep_for_comparison(self) -> None:
        """Let the soft-prompt cards say, from now on, what they said before."""
        with self._lock:
            self.answers = tuple(
                replace(answer, before=(answer.text, answer.grade))
                if soft_prompt and answer.finished
                else answer
                for (_, soft_prompt), answer in zip(CORNERS, self.answers, strict=True)
            )

    def forget_comparison(self) -> None:
        """The opposite."""
        with self._lock:
            self.answers = tuple(replace(answer, before=None) for answer in self.answers)

    def _blank(self) -> tuple[Answer, ...]:
        """Four cards that wait to be written; without those of a format the model has not got."""
        return tuple(Answer(absent=i not in self._all) for i in range(len(CORNERS)))

    def _ask(self, corners: Sequence[int], learner: Learner) -> None:
        asking = object()
        with self._lock:
            problem = self.problem
            self._asking = asking
            self._corners = corners
            self._learner = learner
            self.answers = tuple(
                Answer(before=answer.before) if i in corners else answer
                for i, answer in enumerate(self.answers)
            )
        threading.Thread(
            target=self._listen, args=(asking, problem, corners, learner), name="ask", daemon=True
        ).start()
        self._tell()

    def _listen(
        self, asking: object, problem: Problem, corners: Sequence[int], learner: Learner
    ) -> None:
        """Write down the answers as they come, until they are all there or nobody wants them."""
        completions: tuple[Completion, ...] = ()
        failure = None
        try:
            for completions in self._service.ask(_asks(problem, corners, learner)):
                with self._lock:
                    if self._asking is not asking:
                        return
                    self._write(problem, corners, completions, final=False)
                self._tell()
        except (ValueError, RuntimeError) as error:
            failure = error
        with self._lock:
            if self._asking is not asking:
                return
            self._write(problem, corners, completions, final=True)
            self._asking = None
        if failure is not None:
            self._fail(failure)
        self._tell()

    def _write(
        self,
        problem: Problem,
        corners: Sequence[int],
        completions: Sequence[Completion],
        final: bool,
    ) -> None:
        answers = list(self.answers)
        for corner, completion in zip(corners, completions, strict=False):
            done = final or completion.finished
            answers[corner] = Answer(
                text=completion.text,
                finished=done,
                tokens=completion.tokens,
                seconds=completion.seconds,
                grade=_grade(problem, completion) if done else None,
                before=answers[corner].before,
            )
        self.answers = tuple(answers)


def _asks(problem: Problem, corners: Sequence[int], learner: Learner) -> list[Ask]:
    examples = worked_examples(learner.config.shots)
    return [
        Ask(problem.question, chat_template, learner.prompt, examples)
        if soft_prompt
        else Ask(problem.question, chat_template)
        for chat_template, soft_prompt in (CORNERS[i] for i in corners)
    ]


def _answer_alike(one: Learner | None, other: Learner) -> bool:
    """Whether both answer from the same soft prompt and the same worked examples."""
    return one is not None and one.prompt is other.prompt and one.config.shots == other.config.shots


def _grade(problem: Problem, completion: Completion) -> Grade | None:
    return grade(problem, completion.text) if problem.answer else None
