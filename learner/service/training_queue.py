"""Training requests that wait: which of them go into the next pass, and who is waited for first.

Those who were in the last pass got their results at the same time, and mostly want their next step
at once. If nobody waited for them, whoever is first back would go alone, and everybody else would
wait for that pass.
"""

from collections.abc import Hashable

from learner.service.requests import TrainingRequest
from learner.service.scheduling import FairQueue, PassSizer


class TrainingQueue:
    """Requests in turn by owner, in passes as large as ``sizer`` says. Not thread-safe."""

    def __init__(self, sizer: PassSizer) -> None:
        self.sizer = sizer
        self._waiting: FairQueue[TrainingRequest] = FairQueue(lambda request: request.rows)
        self._expected: frozenset[Hashable] = frozenset()  # the owners in the last pass

    def __len__(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    def add(self, request: TrainingRequest) -> None:
        """Put a request behind those that its owner, or the same learner, has waiting."""
        owner = id(request.learner) if request.owner is None else request.owner
        self._waiting.add(owner, request)

    @property
    def gathered(self) -> bool:
        """Whether all who are expected are there, or the next pass is full without them."""
        return self._expected <= self._waiting.owners or self._waiting.rows >= self.sizer.rows

    def expect_nobody(self) -> None:
        """Wait no longer for those of the last pass: they have had their moment."""
        self._expected = frozenset()

    def take(self) -> list[TrainingRequest]:
        """The next pass, without requests that were cancelled; its owners are expected back."""
        requests = [
            request
            for request in self._waiting.take(self.sizer.rows)
            if request.future.set_running_or_notify_cancel()
        ]
        self._expected = frozenset(
            request.owner for request in requests if request.owner is not None
        )
        return requests

    def take_all(self) -> list[TrainingRequest]:
        """Everything that waits and was not cancelled."""
        return [
            request
            for request in self._waiting.take_all()
            if request.future.set_running_or_notify_cancel()
        ]
