"""The base models of one app: those that can be taught, those that still load, those that cannot.

Visitors choose among them. A learner belongs to one of them, and a visitor has one for each. One is
there at once, the others come in the background: the page opens at once, and whoever comes early
learns in front of whatever is there.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from learner.learning.learner import LearnerConfig
from learner.model.base_model import ModelFacts
from learner.model.source import ModelError, ModelSource
from learner.service.protocol import ModelService, ServiceClosed
from learner.visitors.checked_input import LessonError
from learner.visitors.exam import Exam

Load = Callable[[Callable[[str], None]], ModelService]
"""Loads a base model, says meanwhile what it does, and puts a service in front of it."""
_FAULT = "It could not be loaded, by a fault in this program."
_WAIT = 10.0  # seconds that closing waits for what is being loaded


class NotThere(LessonError):
    """A model that is offered still loads, or cannot be had; the message says which."""


@dataclass(frozen=True, eq=False)
class Taught:
    """A base model that can be taught: what stands in front of it, and what scores it."""

    service: ModelService
    exam: Exam

    @property
    def base_model(self) -> ModelFacts:
        """What is known of it."""
        return self.service.base_model


@dataclass(frozen=True)
class Offer:
    """A base model as visitors are told of it: ``taught`` once it is there.

    Until then ``doing`` says what is done to load it, or ``refused``, in a sentence, why it cannot
    be had. The revision of ``source`` is only known once it is there.
    """

    source: ModelSource
    taught: Taught | None = None
    doing: str = "waiting to be loaded"
    refused: str = ""

    @property
    def is_loading(self) -> bool:
        """Whether it is still to come."""
        return self.taught is None and not self.refused


class Models:
    """The models that one app offers, in the order in which newcomers get them. Thread-safe."""

    def __init__(self, sources: Sequence[ModelSource]) -> None:
        self._lock = threading.Lock()  # held by whoever changes what follows
        self._offers = tuple(map(Offer, sources))
        self._version = 0

    @property
    def offers(self) -> tuple[Offer, ...]:
        """All of them, as they are now."""
        return self._offers

    @property
    def version(self) -> int:
        """Grows with every change."""
        return self._version

    @property
    def loading(self) -> bool:
        """Whether any is still to come."""
        return any(offer.is_loading for offer in self._offers)

    @property
    def all_taught(self) -> tuple[Taught, ...]:
        """Those that are there."""
        return tuple(offer.taught for offer in self._offers if offer.taught)

    @property
    def first(self) -> Taught:
        """The one that newcomers get now. One has to be there."""
        return self.all_taught[0]

    def tell(self, place: int, doing: str) -> None:
        """What is done to load the model at this place of the order."""
        self._change(place, doing=doing)

    def refuse(self, place: int, sentence: str) -> None:
        """Why the model at this place cannot be had."""
        self._change(place, refused=sentence)

    def add(self, place: int, taught: Taught) -> None:
        """The model at this place is there."""
        self._change(place, source=taught.base_model.source, taught=taught)

    def of(self, base_model: ModelFacts) -> Taught:
        """What belongs to a model that is there."""
        return next(one for one in self.all_taught if one.base_model.source == base_model.source)

    def find(self, name: object) -> Taught:
        """The model that is offered under this name, whole or short.

        Raises LessonError if there is none; NotThere if it still loads, or if it cannot be had.
        """
        for offer in self._offers:
            if name in (offer.source.name, offer.source.short_name):
                if offer.taught is not None:
                    return offer.taught
                short = offer.source.short_name
                raise NotThere(offer.refused or f"{short} is not there yet: {offer.doing}.")
        names = ", ".join(offer.source.short_name for offer in self._offers)
        raise LessonError(f"There is no model of that name here; choose {names}.")

    def _change(self, place: int, **values: object) -> None:
        with self._lock:
            offers = [*self._offers]
            offers[place] = replace(offers[place], **values)  # type: ignore[arg-type]
            self._offers = tuple(offers)
            self._version += 1


class Opening:
    """Loads the base models that are offered. Use it as a context manager, or `close` it.

    ``loads`` load them, in their order. Each is scored on ``held_out`` problems; what all visitors
    share of that is kept in ``folder``, and measured at once, unless the model serves
    ``visitors_only``. ``arrived`` hears of each.
    """

    def __init__(
        self,
        models: Models,
        loads: Sequence[Load],
        held_out: int,
        folder: Path,
        visitors_only: bool = False,
    ) -> None:
        self._models = models
        self._loads = loads
        self._held_out = held_out
        self._folder = folder
        self._visitors_only = visitors_only
        self._closing = threading.Event()
        self._services: list[ModelService] = []
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "Opening":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, place: int) -> Taught:
        """Load the model at this place now. Raises ModelError, and what else loading raises."""
        service = self._loads[place](partial(self._tell, place))
        self._services.append(service)
        exam = Exam(service, self._held_out, service.base_model.formats)
        untrained = service.new_learner(LearnerConfig())
        exam.keep_in(self._folder, untrained)
        if self._visitors_only:
            exam.leave_to_visitors(untrained)
        else:
            exam.measure_shared(untrained)
        return Taught(service, exam)

    def open_in_background(self, places: Sequence[int], arrived: Callable[[Taught], None]) -> None:
        """Load these, one after the other; ``arrived`` hears of each before it is offered."""
        if places and not self._closing.is_set():
            thread = threading.Thread(
                target=self._open_first, args=(places, arrived), name="opening", daemon=True
            )
            thread.start()
            self._thread = thread

    def close(self) -> None:
        """Load nothing more, and close every service that was opened."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(_WAIT)
        for service in self._services:
            service.close()

    def _open_first(self, places: Sequence[int], arrived: Callable[[Taught], None]) -> None:
        """Load the first of these, then, on another thread and whatever came of it, the others."""
        place, *others = places
        refused = _FAULT
        try:
            taught = self.open(place)
            arrived(taught)
            self._models.add(place, taught)
            refused = ""
        except (ModelError, ServiceClosed) as error:
            refused = str(error)
        finally:
            if refused:
                self._models.refuse(place, refused)
            self.open_in_background(others, arrived)

    def _tell(self, place: int, doing: str) -> None:
        """Say what is being done, and end it if nobody waits for it any more."""
        if self._closing.is_set():
            raise ServiceClosed
        self._models.tell(place, doing)
