"""Training requests that wait: which of them go into the next pass, and who is waited for first.

Those who were in the last pass got their results at the same time, and mostly want their next step
at once. If nobody waited for them, whoever is first back would go alone, and everybody else would
wait for that pass.
"""

from collections.abc import Collection, Hashable

from learner.learning.thumbs import Thumbs
from learner.model.pace import Pace
from learner.service.requests import TrainingRequest
from learner.service.scheduling import FairQueue

PASS_SECONDS, FIRST_ROWS = 0.5, 8  # that a merged pass may take, others wait for all of it


class TrainingQueue:
    """Requests in turn by owner, in passes as large as was measured to pay. Not thread-safe."""

    def __init__(self, most_rows: int) -> None:
        """``most_rows`` go into a pass, and no more than take `PASS_SECONDS`; or one request."""
        self.pace = Pace(PASS_SECONDS, FIRST_ROWS, most=most_rows)
        self._waiting: FairQueue[TrainingRequest] = FairQueue(lambda request: request.rows)
        self._expected: frozenset[Hashable] = frozenset()  # the owners in the last pass

    def __len__(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    def add(self, request: TrainingRequest) -> None:
        """Put a request behind those that its owner, or the same learner, has waiting."""
        self._waiting.add(owner_of(request), request, request.group)

    @property
    def expects_somebody(self) -> bool:
        """Whether one who was in the last pass is not back, and the next is not full without."""
        return not (self._expected <= self._waiting.owners or self._waiting.rows >= self.pace.size)

    def expect_nobody(self) -> None:
        """Wait no longer for those of the last pass: they have had their moment."""
        self._expected = frozenset()

    def take(self, without: Collection[Hashable] = ()) -> list[list[TrainingRequest]]:
        """The next passes: one of all that are merged, and one of each that is many steps.

        They hold no requests that were cancelled, nor any of owners that it goes ``without``. Their
        owners are expected back.
        """
        requests = [
            request
            for request in self._waiting.take(self.pace.size, without)
            if request.future.set_running_or_notify_cancel()
        ]
        self._expected = frozenset(
            request.owner for request in requests if request.owner is not None
        )
        merged = [request for request in requests if not many_steps(request)]
        return [merged] * bool(merged) + [[one] for one in requests if many_steps(one)]

    def take_all(self) -> list[TrainingRequest]:
        """Everything that waits and was not cancelled."""
        return [
            request
            for request in self._waiting.take_all()
            if request.future.set_running_or_notify_cancel()
        ]


def owner_of(request: TrainingRequest) -> Hashable:
    """Whose request it is; nobody's is the learner's own."""
    return id(request.learner) if request.owner is None else request.owner


def many_steps(request: TrainingRequest) -> bool:
    """Whether it is a walk of many small steps, as learning from thumbs is."""
    return any(isinstance(item, Thumbs) for item in request.problems)
