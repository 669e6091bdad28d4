"""Experiments in the background, for tests: on an engine that can be held back, and on a disk that
outlives the app."""

import threading
from dataclasses import replace
from functools import lru_cache

from learner.experiments.background import BackgroundExperiments
from learner.experiments.plan import plan_of
from learner.visitors.sessions import Sessions
from tests.coroutines import follow
from tests.learner.experiments.scripted_engine import SMALL, ScriptedEngine

PASSES = 10  # of a run over two seeds: 6 steps, 4 measurements
SECONDS = 20  # that a thread may take, on however busy a machine


@lru_cache
def same_engine():
    """What it knows of problems takes longer to look up than any run here."""
    return ScriptedEngine()


def plan(name="run 1", seeds=2, technique="best"):
    return replace(plan_of(name, technique, False, 12, seeds, 20), experiment=SMALL)


class GatedEngine:
    """A scripted engine whose every pass can be held back, or made to do something first."""

    def __init__(self):
        self.scripted = same_engine()
        self.gate = threading.Event()
        self.gate.set()
        self.before = {}  # what happens before which pass
        self.passes = 0
        self.owners = []
        self.pause = None  # as it was given: what waits for room passes it

    def engine(self, session, pause):
        self.owners.append(session.id)
        self.pause = pause
        return replace(
            self.scripted.engine,
            train=lambda requests: self._pass(self.scripted.train, requests),
            answers=lambda asks: self._pass(self.scripted.answers, asks),
        )

    def _pass(self, function, argument):
        assert self.gate.wait(SECONDS)
        self.passes += 1
        self.before.pop(self.passes, lambda: None)()
        return function(argument)


class App:
    """Background experiments on the same disk, one after the other."""

    def __init__(self, folder):
        self.folder = folder
        self.started = []

    def start(self, gated, **options):
        engine = gated.scripted.engine
        sessions = Sessions(self.folder, engine.base_model, engine.fresh_learner, save_interval=1e6)
        background = BackgroundExperiments(gated.engine, sessions, **options)
        self.started.append((background, sessions, gated))
        return background, sessions

    def stop(self):
        for background, sessions, gated in self.started:
            gated.gate.set()
            background.close()
            sessions.close()
        self.started = []


def wait(own):
    """Until the visitor's experiment is over."""
    for _ in follow(own, lambda: own.busy):
        pass
