"""Bringing in the base models of an app: one at once, the others in the background.

So the page opens at once, and whoever comes early learns in front of whatever is there.
"""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from learner.learning.learner import LearnerConfig
from learner.model.source import ModelError
from learner.service.protocol import ModelService, ServiceClosed
from learner.visitors.exam import Exam
from learner.visitors.models import Models, Taught

Load = Callable[[Callable[[str], None]], ModelService]
"""Loads a base model, says meanwhile what it does, and puts a service in front of it."""
_FAULT = "It could not be loaded, by a fault in this program."
_WAIT = 10.0  # seconds that closing waits for what is being loaded


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
