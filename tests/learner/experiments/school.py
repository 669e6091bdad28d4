"""A laboratory for tests: on pupils who can be held back, and on a disk that outlives the app."""

import threading
from dataclasses import replace
from functools import lru_cache

from learner.experiments.laboratory import Laboratory
from learner.experiments.plan import plan_of
from learner.visitors.sessions import Sessions
from tests.learner.experiments.pupils import SMALL, Pupils

PASSES = 10  # of a run over two seeds: 6 steps, 4 measurements
SECONDS = 20  # that a thread may take, on however busy a machine


@lru_cache
def same_pupils():
    """What they know of problems takes longer to look up than any run here."""
    return Pupils()


def plan(name="run 1", seeds=2, technique="best"):
    return replace(plan_of(name, technique, False, 12, seeds, 20), experiment=SMALL)


class Class:
    """Pupils whose every pass can be held back, or made to do something first."""

    def __init__(self):
        self.pupils = same_pupils()
        self.gate = threading.Event()
        self.gate.set()
        self.before = {}  # what happens before which pass
        self.passes = 0
        self.owners = []

    def engine(self, owner):
        self.owners.append(owner)
        return replace(
            self.pupils.engine,
            train=lambda requests: self._pass(self.pupils.train, requests),
            answers=lambda asks: self._pass(self.pupils.answers, asks),
        )

    def _pass(self, function, argument):
        assert self.gate.wait(SECONDS)
        self.passes += 1
        self.before.pop(self.passes, lambda: None)()
        return function(argument)


class App:
    """Laboratories on the same disk, one after the other."""

    def __init__(self, folder):
        self.folder = folder
        self.started = []

    def start(self, school, **options):
        engine = school.pupils.engine
        sessions = Sessions(self.folder, engine.base_model, engine.fresh_learner, save_interval=1e6)
        laboratory = Laboratory(school.engine, sessions, **options)
        self.started.append((laboratory, sessions, school))
        return laboratory, sessions

    def stop(self):
        for laboratory, sessions, school in self.started:
            school.gate.set()
            laboratory.close()
            sessions.close()
        self.started = []


def wait(desk):
    """Until the desk's experiment is over."""
    for _ in desk.follow(lambda: desk.busy):
        pass
