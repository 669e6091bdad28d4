"""Kill an app that saves, at random moments, and look what is left of what it said was saved.

python -m tests.learner.visitors.killing 200            # of a database
python -m tests.learner.visitors.killing 200 objects
"""

import dataclasses
import itertools
import multiprocessing
import os
import random
import signal
import sys
import tempfile
from functools import partial
from pathlib import Path

import torch

from learner.learning.learner import new_learner
from learner.visitors.session import SessionBusy
from learner.visitors.session_data import unpack_session
from learner.visitors.sessions import Sessions
from learner.visitors.stores.leases import ObjectLeases
from learner.visitors.stores.object_store import ObjectStore
from learner.visitors.stores.objects import FolderObjects
from learner.visitors.stores.sqlite import SqliteStore
from tests.learner.tiny_models import build_base_model

VISITORS = 4
LONGEST_LIFE = 0.25  # seconds


def in_objects(folder):
    """A store of objects, as on a mounted bucket, in which a killed app's leases run out soon."""
    store = ObjectStore(FolderObjects(folder))
    store.leases = ObjectLeases(FolderObjects(folder), seconds=0.2)
    return store


def app(folder, store, ids, told):
    """Open the visitors' sessions, teach them in turn, and tell what is saved, until killed."""
    base_model = build_base_model("qwen2")
    fresh = partial(new_learner, base_model)
    sessions = Sessions(folder, base_model, fresh, store=store(folder), save_interval=0.001)
    known = [sessions.open(session_id) for session_id in ids]
    known += [sessions.open() for _ in range(VISITORS - len(known))]
    told.send(("open", 0))
    for session in itertools.cycle(known):
        try:
            with session.run():
                for _ in range(3):
                    steps = session.learner.steps + 1
                    prompt = torch.full_like(session.learner.prompt, steps / 1000)
                    session.adopt(dataclasses.replace(session.learner, steps=steps, prompt=prompt))
        except SessionBusy:  # it is still leased to the app that was killed before this one
            continue
        sessions.flush()
        told.send((session.id, session.learner.steps))


def kill(folder, times, seed=0, store=SqliteStore):
    """Start and kill the app so many times; the number of learners it had said were saved.

    ``store`` makes the store in a folder.

    Raises AssertionError if one of them is not there, or not whole.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.learner.visitors.killing"])
    rng = random.Random(seed)
    base_model = build_base_model("qwen2")
    saved, told_in_all = {}, 0
    for _ in range(times):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=app, args=(folder, store, [*saved], theirs), daemon=True)
        process.start()
        theirs.close()
        assert ours.recv() == ("open", 0)
        process.join(rng.uniform(0.0, LONGEST_LIFE))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        try:
            while True:
                session_id, steps = ours.recv()
                assert steps > saved.get(session_id, 0)
                saved[session_id] = steps
                told_in_all += 1
        except EOFError:
            check(folder, store(folder), base_model, saved)
    return told_in_all


def check(folder, store, base_model, saved):
    """Everything that was said to be saved is in the store, or something later of the same."""
    sessions = Sessions(folder, base_model, partial(new_learner, base_model), store=store)
    for session_id, steps in saved.items():
        row = store.read(sessions._key(session_id, base_model.source))
        learner = unpack_session(row.data, base_model).learner
        assert learner.steps >= steps
        assert torch.equal(learner.prompt, torch.full_like(learner.prompt, learner.steps / 1000))
    sessions.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        kills = int(sys.argv[1])
        store = in_objects if "objects" in sys.argv else SqliteStore
        told = kill(Path(folder), kills, store=store)
        print(f"{kills} kills, {told} learners said to be saved, none lost")
