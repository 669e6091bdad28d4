"""The base models of one app: those that can be taught, those that still load, those that cannot.

Visitors choose among them. A learner belongs to one of them, and a visitor has one for each.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

from learner.model.base_model import ModelFacts
from learner.model.source import ModelSource
from learner.service.protocol import ModelService
from learner.visitors.checked_input import LessonError
from learner.visitors.exam import Exam


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

        Raises LessonError if there is none, if it still loads, or if it cannot be had.
        """
        for offer in self._offers:
            if name in (offer.source.name, offer.source.short_name):
                if offer.taught is not None:
                    return offer.taught
                short = offer.source.short_name
                raise LessonError(offer.refused or f"{short} is not there yet: {offer.doing}.")
        names = ", ".join(offer.source.short_name for offer in self._offers)
        raise LessonError(f"There is no model of that name here; choose {names}.")

    def that_fits(self, source: ModelSource) -> Taught | None:
        """The model that was meant by ``source``, if it is there."""
        return next((one for one in self.all_taught if source.fits(one.base_model.source)), None)

    def _change(self, place: int, **values: object) -> None:
        with self._lock:
            offers = [*self._offers]
            offers[place] = replace(offers[place], **values)  # type: ignore[arg-type]
            self._offers = tuple(offers)
            self._version += 1
