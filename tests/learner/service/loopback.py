"""Replicas without a cluster: calls to them in this process, which die when a test wants it."""

import asyncio
import pickle
import threading
from collections import deque

from learner.service.replica import BEAT
from learner.service.replicas import ReplicaGone
from tests.learner.held_model import PATIENCE


class Loopback:
    """Calls to one replica. Of each call, ``deaths`` says after how many values it is lost.

    None is never, as for all calls after them. Whatever was asked is in ``asked``, with its key.
    """

    def __init__(self, replica, deaths=()):
        self.trouble = ""
        self.asked = []
        self.deaths = deque(deaths)
        self.beats = 0
        self._replica = replica
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def call(self, data, key="", model=0):
        if self.trouble:
            raise ReplicaGone(self.trouble)
        self.asked.append((pickle.loads(data), key))
        death = self.deaths.popleft() if self.deaths else None
        return Lent(self, self._replica.run(data), death)

    def wait(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE)

    def close(self):
        """The other end of the calls is gone."""
        self.trouble = "closed"

    def stop(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()


class Lent:
    """One call, begun at once as on a cluster."""

    def __init__(self, calls, values, death):
        self._calls = calls
        self._values = values
        self._left = death
        self._first = asyncio.run_coroutine_threadsafe(self._next(), calls._loop)

    async def _next(self):
        return await anext(self._values, None)

    def __iter__(self):
        return self

    def __next__(self):
        if self._left == 0:
            raise ReplicaGone("It died.")
        value = BEAT
        while value == BEAT:
            coming, self._first = self._first, None
            value = coming.result(PATIENCE) if coming else self._calls.wait(self._next())
            self._calls.beats += value == BEAT
        if value is None:
            raise StopIteration
        if self._left is not None:
            self._left -= 1
        return value

    def close(self):
        if self._first is not None:
            self._first.cancel()
            self._first = None
        self._calls.wait(self._end())

    async def _end(self):
        while self._values.ag_running:
            await asyncio.sleep(0)
        await self._values.aclose()
