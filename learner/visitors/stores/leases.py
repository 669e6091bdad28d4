"""Leases: of several apps in front of one store, which one may teach a learner now.

A lease is an object with a number: who has it, and until when. The one of the highest number
counts, and the next is made only if nobody else has made it. It is prolonged as long as its holder
lives; one whose holder was killed runs out by itself. The machines' clocks must agree to within a
few seconds.
"""

import secrets
import threading
import time
from collections.abc import Callable

from learner.visitors.stores.objects import Objects
from learner.visitors.stores.store import StoreError

LEASE_SECONDS = 15.0
PROLONGED = 3  # times within that


class ObjectLeases:
    """This app's `Leases`, in ``objects``. ``clock`` gives seconds since the epoch."""

    def __init__(
        self,
        objects: Objects,
        clock: Callable[[], float] = time.time,
        seconds: float = LEASE_SECONDS,
    ) -> None:
        self._objects = objects
        self._clock = clock
        self._seconds = seconds
        self._me = secrets.token_hex(16)
        self._changed = threading.Condition()  # guards those below
        self._held: dict[str, Callable[[], None]] = {}  # by key, what to do if it is lost
        self._keeper: threading.Thread | None = None

    def take(self, key: str, lost: Callable[[], None]) -> bool:
        if not self._take(key):
            return False
        with self._changed:
            self._held[key] = lost
            if self._keeper is None:
                self._keeper = threading.Thread(target=self._keep, name="leases", daemon=True)
                self._keeper.start()
        return True

    def leave(self, key: str) -> None:
        with self._changed:
            self._held.pop(key, None)
            self._changed.notify_all()
        try:
            for number in self._numbers(key):
                if self._holder(key, number)[0] == self._me:
                    self._objects.delete([_path(key, number)])
        except StoreError:
            pass  # it runs out

    def prolong(self) -> None:
        """Take again what is held; whoever has lost one is told."""
        with self._changed:
            held = dict(self._held)
        for key, lost in held.items():
            took = self._take(key)
            with self._changed:
                is_held = key in self._held
                is_lost = not took and self._held.get(key) is lost
                if is_lost:
                    del self._held[key]
            if is_lost:
                lost()
            elif took and not is_held:  # it was left meanwhile
                self.leave(key)

    def _keep(self) -> None:
        """Prolong while anything is held."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: not self._held, self._seconds / PROLONGED)
                if not self._held:
                    self._keeper = None
                    return
            self.prolong()

    def _take(self, key: str) -> bool:
        try:
            numbers = self._numbers(key)
            if numbers:
                holder, until = self._holder(key, max(numbers))
                if holder not in ("", self._me) and until > self._clock():
                    return False
            mine = max(numbers, default=0) + 1
            data = f"{self._me} {self._clock() + self._seconds}".encode()
            if not self._objects.create(_path(key, mine), data):
                return False
            # Older ones do not stay, so that there was none of this number proves little yet.
            if max(self._numbers(key), default=mine) != mine:
                self._objects.delete([_path(key, mine)])
                return False
            self._objects.delete([_path(key, number) for number in numbers])
        except StoreError:
            pass
        return True

    def _numbers(self, key: str) -> list[int]:
        names = [path.rsplit("/", 1)[1] for path in self._objects.below(f"leases/{key}")]
        return [int(name) for name in names if name.isdecimal()]

    def _holder(self, key: str, number: int) -> tuple[str, float]:
        """Who has it and until when; nobody, of one that has just gone or is not whole."""
        words = (self._objects.read(_path(key, number)) or b"").decode(errors="replace").split()
        try:
            return words[0], float(words[1])
        except (IndexError, ValueError):
            return "", 0.0


def _path(key: str, number: int) -> str:
    return f"leases/{key}/{number}"
