"""One of several copies of a base model: today's service, behind calls that carry values as bytes.

A piece of work comes in, and what comes of it goes out value by value: a learner after every step,
those answers that have grown. While there is nothing to tell, a beat says that it is being worked
on, so that whoever waits can tell a replica that is busy from one that is gone.

What runs replicas and carries the bytes is not known here (`ray_serve`), nor who calls
(`replicas`).
"""

import asyncio
import hashlib
import pickle
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from typing import Any

import torch

from learner.learning.learner import Learner, LearnerConfig
from learner.learning.training import Material, StepReport
from learner.model.base_model import BaseModel, ModelFacts
from learner.model.completion import Ask, Completion
from learner.service.in_process import Service
from learner.service.protocol import ServiceBusy, ServiceClosed

BEAT = b""
BEAT_SECONDS = 2.0
TELL_SECONDS = 0.03  # between two states of answers, but for the last one
PROMPTS_KEPT = 64  # a prefix that was read is found again by the very tensor (`Prefixes`)
READERS = 1024  # threads that wait for answers, one for each call


@dataclass(frozen=True)
class Knowing:
    """Asks for what there is to know of the base model: gives its `ModelFacts`."""


@dataclass(frozen=True)
class Starting:
    """Asks for a learner that has learnt nothing yet."""

    config: LearnerConfig


@dataclass(frozen=True)
class Training:
    """Asks for these steps in turn: gives a learner and a report after each."""

    learner: Learner
    steps: tuple[tuple[Material, ...], ...]
    owner: Hashable


@dataclass(frozen=True)
class Asking:
    """Asks for completions: gives, again and again, those that have grown, by their number."""

    asks: tuple[Ask, ...]
    max_new_tokens: int


@dataclass(frozen=True)
class Looking:
    """Asks for this to be run where the weights are: gives what it found."""

    work: Callable[[BaseModel], Any]


@dataclass(frozen=True)
class Failure:
    """Why nothing more comes: the kind of error that the caller gets, and its sentence."""

    kind: str
    sentence: str


BUSY, CLOSED, WRONG, FAULT = "busy", "closed", "wrong", "fault"


class Replica:
    """A service in front of one base model, as somebody far away calls it."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._prompts: OrderedDict[bytes, torch.Tensor] = OrderedDict()
        self._readers = ThreadPoolExecutor(READERS, "reader")

    def check(self) -> None:
        """Raise ServiceClosed if it serves nobody any more: its worker has died."""
        self._service.ask(())

    async def run(self, data: bytes) -> AsyncGenerator[bytes, None]:
        """Do this pickled work; yields what comes of it, pickled, or `BEAT`.

        Whoever closes it ends the work: at the end of a step, or at a token.
        """
        values = self._values(pickle.loads(data))
        coming: asyncio.Task[Any] | None = None
        try:
            while True:
                coming = asyncio.create_task(_next(values))
                while not (await asyncio.wait([coming], timeout=BEAT_SECONDS))[0]:
                    yield BEAT
                value = coming.result()
                yield pickle.dumps(value)
        except StopAsyncIteration:
            return
        except (ValueError, MemoryError, RuntimeError) as error:
            yield pickle.dumps(_failure(error))
        finally:
            if coming is not None and not coming.done():
                coming.cancel()
                await asyncio.wait([coming])
            await values.aclose()

    async def _values(self, work: object) -> AsyncGenerator[object, None]:
        match work:
            case Knowing():
                known = self._service.base_model
                yield ModelFacts(*(getattr(known, one.name) for one in fields(ModelFacts)))
            case Starting():
                yield self._service.new_learner(work.config)
            case Training():
                learner = work.learner
                for step in work.steps:
                    future = self._service.train(learner, step, work.owner)
                    stepped: tuple[Learner, StepReport] = await asyncio.wrap_future(future)
                    learner = stepped[0]
                    yield stepped
            case Asking():
                async for grown in self._answers(work):
                    yield grown
            case Looking():
                yield await asyncio.wrap_future(self._service.look(work.work))

    async def _answers(self, work: Asking) -> AsyncGenerator[dict[int, Completion], None]:
        loop = asyncio.get_running_loop()
        asks = [self._known(ask) for ask in work.asks]
        stream = self._service.ask(asks, work.max_new_tokens)
        told: Sequence[Completion | None] = [None] * len(asks)
        latest: tuple[Completion, ...] | None = None
        quiet_until = 0.0

        def read() -> "asyncio.Future[tuple[Completion, ...] | None]":
            return loop.run_in_executor(self._readers, next, stream, None)

        coming: asyncio.Future[tuple[Completion, ...] | None] | None = read()
        try:
            while coming is not None:
                wait = None if latest is None else max(0.0, quiet_until - loop.time())
                if (await asyncio.wait([coming], timeout=wait))[0]:
                    state = coming.result()
                    latest = latest if state is None else state
                    coming = None if state is None else read()
                if latest is not None and (coming is None or loop.time() >= quiet_until):
                    yield {i: new for i, new in enumerate(latest) if new is not told[i]}
                    told, latest = latest, None
                    quiet_until = loop.time() + TELL_SECONDS
        finally:
            stream.close()  # also wakes the reader

    def _known(self, ask: Ask) -> Ask:
        """The ask with a soft prompt that was here before, if it has the same numbers."""
        if ask.prompt is None:
            return ask
        key = prompt_key(ask.prompt)
        prompt = self._prompts.setdefault(key, ask.prompt)
        self._prompts.move_to_end(key)
        if len(self._prompts) > PROMPTS_KEPT:
            self._prompts.popitem(last=False)
        return replace(ask, prompt=prompt)


def prompt_key(prompt: torch.Tensor) -> bytes:
    """What a soft prompt, float32 on the CPU, is known by: equal numbers have equal keys."""
    return hashlib.sha256(prompt.contiguous().numpy().tobytes()).digest()


async def _next(values: AsyncGenerator[object, None]) -> object:
    return await anext(values)


def _failure(error: Exception) -> Failure:
    kinds = ((ServiceBusy, BUSY), (ServiceClosed, CLOSED), (RuntimeError, FAULT))
    kind = next((kind for cause, kind in kinds if isinstance(error, cause)), WRONG)
    return Failure(kind, str(error) or "There is not enough memory for that.")
