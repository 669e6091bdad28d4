"""One of several copies of a base model: today's service, behind calls that carry values as bytes.

A piece of work comes in, and what comes of it goes out value by value: a learner after every step,
those answers that have grown. While there is nothing to tell, a beat says that it is being worked
on, so that whoever waits can tell a replica that is busy from one that is gone.

What runs replicas and carries the bytes is not known here (`ray_serve`), nor who calls
(`replicas`).
"""

import asyncio
import copyreg
import hashlib
import io
import pickle
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import Any

import torch

from learner.learning.learner import Learner, LearnerConfig
from learner.learning.training import Material, StepReport
from learner.model.base_model import BaseModel, ModelFacts
from learner.model.completion import Ask, Completion
from learner.service.in_process import Service
from learner.service.protocol import GROUP, ServiceBusy, ServiceClosed

BEAT = b""
BEAT_SECONDS = 2.0
FIRST_TELL_SECONDS, TELL_SECONDS = 0.02, 0.1  # between two states of answers, ever longer
PROMPTS_KEPT = 64  # a prefix that was read is found again by the very tensor (`Prefixes`)


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
    group: Hashable = None


@dataclass(frozen=True)
class Asking:
    """Asks for completions: gives, again and again, those that have grown, by their number."""

    asks: tuple[Ask, ...]
    max_new_tokens: int
    group: Hashable = None


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


def _as_array(tensor: torch.Tensor) -> Any:
    if tensor.dtype != torch.float32 or not tensor.is_cpu or tensor.requires_grad:
        return tensor.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
    return torch.from_numpy, (tensor.numpy(),)


class _Pickler(pickle.Pickler):
    dispatch_table = copyreg.dispatch_table | {torch.Tensor: _as_array}


def packed(value: object) -> bytes:
    """The value pickled; tensors as arrays, since torch takes ten times as long over its own way.

    They are most of what a call costs, and the model waits meanwhile.
    """
    data = io.BytesIO()
    _Pickler(data, pickle.HIGHEST_PROTOCOL).dump(value)
    return data.getvalue()


class Replica:
    """A service in front of one base model, as somebody far away calls it."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._prompts: OrderedDict[bytes, torch.Tensor] = OrderedDict()

    def check(self) -> None:
        """Raise ServiceClosed if it serves nobody any more: its worker has died."""
        with suppress(ServiceBusy):  # a crowd is no reason to replace it
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
                yield packed(value)
        except StopAsyncIteration:
            return
        except (ValueError, MemoryError, RuntimeError) as error:
            yield packed(_failure(error))
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
                async for stepped in self._steps(work):
                    yield stepped
            case Asking():
                async for grown in self._answers(work):
                    yield grown
            case Looking():
                yield await asyncio.wrap_future(self._service.look(work.work))

    async def _steps(self, work: Training) -> AsyncGenerator[tuple[Learner, StepReport], None]:
        coming = self._for(work.group).train(work.learner, work.steps[0], work.owner)
        try:
            for step in work.steps[1:]:
                stepped: tuple[Learner, StepReport] = await asyncio.wrap_future(coming)
                try:  # before it is told, which takes a while: a pass with others would be missed
                    coming = self._for(work.group).train(stepped[0], step, work.owner)
                finally:
                    yield stepped
            yield await asyncio.wrap_future(coming)
        finally:
            coming.cancel()

    async def _answers(self, work: Asking) -> AsyncGenerator[dict[int, Completion], None]:
        asks = [self._known(ask) for ask in work.asks]
        stream = self._for(work.group).ask(asks, work.max_new_tokens)
        over = asyncio.wrap_future(stream.request.over)
        told, pause, is_over = stream.request.latest(), FIRST_TELL_SECONDS, False
        try:
            while not is_over:
                is_over = bool((await asyncio.wait([over], timeout=pause))[0])
                latest = stream.request.latest()
                grown = {i: new for i, new in enumerate(latest) if new is not told[i]}
                if grown:
                    yield grown
                told, pause = latest, min(2 * pause, TELL_SECONDS)
        finally:
            stream.close()

    def _for(self, group: Hashable) -> Service:
        """The service, as somebody of this group calls it next."""
        GROUP.set(group)
        return self._service

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
