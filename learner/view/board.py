"""The problem before a visitor and its four answers, written in the background."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from arena import Grade, Problem, grade
from learner.completion import Ask, Completion
from learner.service import Service
from learner.view.cards import CORNERS, Answer


class Board:
    """One problem and what the four cards show of it. Thread-safe.

    ``formats`` are those that the model knows; the other cards stay empty. ``tell`` is called after
    every change; ``fail`` with what went wrong in the background.
    """

    def __init__(
        self,
        service: Service,
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
        self._prompt: torch.Tensor | None = None  # behind which the soft-prompt cards were asked
        self._corners: Sequence[int] = self._all  # that were asked last
        self._asking: object | None = None  # the latest question; what older ones bring is dropped
        self._lock = threading.Lock()

    @property
    def answering(self) -> bool:
        """Whether the cards are being written."""
        return self._asking is not None

    def show(self, problem: Problem, prompt: torch.Tensor) -> None:
        """Put up a problem and answer it in all four ways; ``prompt`` is the soft prompt [n, d]."""
        with self._lock:
            self.problem = problem
            self.answers = self._blank()
        self._ask(self._all, prompt)

    def ask_again(self, prompt: torch.Tensor) -> None:
        """Answer the same problem with another soft prompt; the model alone says what it said.

        Does nothing if this is the soft prompt that it was asked with.
        """
        if self.problem is not None and self._prompt is not prompt:
            self._ask(self._corners if self.answering else self._soft, prompt)

    def replace_answers(self, prompt: torch.Tensor) -> None:
        """As ``ask_again``, but wait, and swap the new answers in at once: nothing flickers."""
        problem = self.problem
        if self.answering or problem is None:
            return
        completions = self._service.complete(_asks(problem, self._soft, prompt))
        with self._lock:
            if self.problem is problem and not self.answering:
                self._prompt = prompt
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

    def _ask(self, corners: Sequence[int], prompt: torch.Tensor) -> None:
        asking = object()
        with self._lock:
            problem = self.problem
            self._asking = asking
            self._corners = corners
            self._prompt = prompt
            self.answers = tuple(
                Answer(before=answer.before) if i in corners else answer
                for i, answer in enumerate(self.answers)
            )
        threading.Thread(
            target=self._listen, args=(asking, problem, corners, prompt), name="ask", daemon=True
        ).start()
        self._tell()

    def _listen(
        self, asking: object, problem: Problem, corners: Sequence[int], prompt: torch.Tensor
    ) -> None:
        """Write down the answers as they come, until they are all there or nobody wants them."""
        completions: tuple[Completion, ...] = ()
        failure = None
        try:
            for completions in self._service.ask(_asks(problem, corners, prompt)):
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


def _asks(problem: Problem, corners: Sequence[int], prompt: torch.Tensor) -> list[Ask]:
    return [
        Ask(problem.question, chat_template, prompt if soft_prompt else None)
        for chat_template, soft_prompt in (CORNERS[i] for i in corners)
    ]


def _grade(problem: Problem, completion: Completion) -> Grade | None:
    return grade(problem, completion.text) if problem.answer else None
