"""The sessions of an app that can be restarted, with a disk and a clock for the test."""

import dataclasses
from functools import partial

from learner.learning.learner import new_learner
from learner.visitors.sessions import Sessions
from learner.visitors.stores.sqlite import NAME, SqliteStore

NEVER = 1e6  # an interval that no test outlives: saved at the end of a run and when flushed


class Server:
    """The sessions of an app that can be restarted, with a disk and a clock for the test."""

    def __init__(self, folder, base_model):
        self.folder = folder
        self.base_model = base_model
        self.now = 1_000_000.0
        self._running = []

    @property
    def database(self):
        return self.folder / NAME

    def start(self, base_model=None, **options):
        base_model = base_model or self.base_model
        sessions = Sessions(
            self.folder,
            base_model,
            partial(new_learner, base_model),
            save_interval=NEVER,
            clock=lambda: self.now,
            **options,
        )
        self._running.append(sessions)
        return sessions

    def stop(self):
        for sessions in self._running:
            sessions.close()

    def visitor(self, sessions, steps=1, episodes=0):
        """The id of a new visitor whose learner has changed and is saved, a second later."""
        self.now += 1
        session = sessions.open()
        teach(session, steps, episodes)
        sessions.flush()
        return session.id

    def kept(self):
        store = SqliteStore(self.folder)
        summaries = store.summaries()
        store.close()
        return len(summaries)


def teach(session, steps, episodes=0):
    """As if the learner had taken so many steps."""
    with session.run():
        session.adopt(dataclasses.replace(session.learner, steps=steps, episodes=episodes))
