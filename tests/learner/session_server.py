"""The sessions of an app that can be restarted, with a disk and a clock for the test."""

import dataclasses
import os

from learner.visitors.sessions import Sessions

NEVER = 1e6  # an interval that no test outlives: saved at the end of a run and when flushed
DAY = 86400.0


class Server:
    """The sessions of an app that can be restarted, with a disk and a clock for the test."""

    def __init__(self, folder, base_model):
        self.folder = folder
        self.base_model = base_model
        self.now = 1_000_000.0
        self._running = []

    def start(self, base_model=None, **options):
        sessions = Sessions(
            self.folder,
            base_model or self.base_model,
            save_interval=NEVER,
            clock=lambda: self.now,
            **options,
        )
        self._running.append(sessions)
        return sessions

    def stop(self):
        for sessions in self._running:
            sessions.close()

    def visitor(self, sessions, steps=1):
        """The id of a new visitor whose learner has changed and is saved, a second later."""
        self.now += 1
        session = sessions.open()
        teach(session, steps)
        sessions.flush()
        return session.id

    def kept(self):
        return len(os.listdir(self.folder))


def teach(session, steps):
    """As if the learner had taken so many steps."""
    with session.run() as run:
        run.adopt(dataclasses.replace(session.learner, steps=steps))
