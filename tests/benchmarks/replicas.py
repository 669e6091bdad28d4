"""Replicas: two of one thread behind the page's calls, against one of one thread; and their death.

16 visitors train (runs of 5 steps of 4 problems) and ask (one problem in four ways) at the same
time. Before anything is told, what they learnt is compared with the service in this process. Then a
random replica is killed, again and again under the same load: no step may be missing or come twice.
Needs Ray (learner/service/ray-requirements.txt), and OMP_NUM_THREADS=1 for all sides to be of one
thread. REPLICAS_MODEL and REPLICAS_KILLS choose another model and another number of deaths.
"""

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from arena import stream
from learner.learning.learner import Learner, LearnerConfig
from learner.model.completion import Ask
from learner.model.loading import load_base_model
from learner.service.bridge import Bridge, Deployment
from learner.service.in_process import Service
from learner.service.protocol import ModelService
from learner.service.replicas import ReplicaService
from tests.benchmarks.timing import (
    DifferentWork,
    Line,
    Setting,
    Spread,
    Target,
    duration,
    require_close_loss,
)
from tests.browser.running_app import app_process

MODEL = os.environ.get("REPLICAS_MODEL", "pocket")
VISITORS = 16
ROUNDS, STEPS, STEPS_ALONE = (6, 5, 40) if MODEL == "pocket" else (1, 2, 12)
EPISODES = 4  # a step
LOSS_TOLERANCE = 0.05  # of steps that were rounded in other batches
KILLS = int(os.environ.get("REPLICAS_KILLS", "50"))


@dataclass
class Visit:
    """What one visitor did: when values came, how long clicks took, and what they have learnt."""

    seed: int
    learner: Learner
    clicks: list[float] = field(default_factory=list)
    came: list[float] = field(default_factory=list)
    steps: int = 0


def run(setting: Setting) -> Iterator[Line | str]:
    if find_spec("ray") is None:
        yield "Not run: it needs Ray (pip install -r learner/service/ray-requirements.txt)."
        return
    rounds, visitors = (1, 3) if setting.small else (ROUNDS, VISITORS)
    warming = visitors if MODEL == "pocket" else 4
    totals: dict[int, list[float]] = {1: [], 2: []}
    clicks: dict[int, list[float]] = {1: [], 2: []}
    with Service(load_base_model(MODEL)) as service:
        visit_all(service, warming, 1)
        began = time.perf_counter()
        expected = visit_all(service, visitors, rounds)
        seconds = time.perf_counter() - began
        alone = steps_alone(service)
    yield f"In this process: {duration(seconds)} in all, a click {told(clicks_of(expected))}."
    for flags in ((), ("--replicas", "2")):
        yield opened(*flags)
    overhead = []
    for replicas in (1, 2):
        with replicated(replicas) as far:
            visit_all(far, warming, 1)
            for _ in range(setting.repetitions):
                began = time.perf_counter()
                visits = visit_all(far, visitors, rounds)
                totals[replicas].append(time.perf_counter() - began)
                clicks[replicas] += clicks_of(visits)
                for one, other in zip(visits, expected, strict=True):
                    require_same(one, other)
            if replicas == 1:
                overhead = steps_alone(far)
            elif KILLS and not setting.small:
                yield from killed(far, visitors)
    ratios = [one / two for one, two in zip(totals[1], totals[2], strict=True)]
    yield Line(
        f"{visitors} visitors, {rounds} rounds: two replicas against one",
        f"{duration(Spread.of(totals[2]).median)}, a click {told(clicks[2])}",
        f"{duration(Spread.of(totals[1]).median)}, a click {told(clicks[1])}",
        Spread.of(ratios),
        target=Target("≥", 1.7),
        samples={"two": totals[2], "one": totals[1]},
    )
    yield Line(
        "a step through a handle, one visitor, against in this process",
        duration(Spread.of(overhead).median),
        duration(Spread.of(alone).median),
        Spread.of([1000 * (Spread.of(overhead).median - Spread.of(alone).median)]),
        unit=" ms more",
        samples={"handle": overhead, "in process": alone},
    )


@contextmanager
def replicated(replicas: int) -> Iterator[ReplicaService]:
    """So many replicas on this machine."""
    deployment = Deployment(((MODEL, None),), "auto", "auto", replicas, replicas, "")
    with Bridge(deployment) as bridge, ReplicaService(bridge) as service:
        yield service


def opened(*flags: str) -> str:
    """How long the app takes to open with these flags, and how much memory all of it takes up."""
    began = time.perf_counter()
    with (
        TemporaryDirectory() as folder,
        app_process(Path(folder), ("app.py", "--models", MODEL, *flags)) as (_, process),
    ):
        seconds = time.perf_counter() - began
        command = " ".join(("python app.py", *flags))
        try:
            return f"`{command}` is open after {duration(seconds)}; {memory(process.pid)}."
        finally:
            process.terminate()
            process.wait()


def visit_all(service: ModelService, visitors: int, rounds: int) -> list[Visit]:
    """Have that many visitors train and ask at the same time."""
    visits = [
        Visit(seed, service.new_learner(LearnerConfig(chat_template=seed % 2 == 0, seed=seed)))
        for seed in range(visitors)
    ]

    def work(visit: Visit) -> None:
        lessons = stream(visit.seed, "train")
        for _ in range(rounds):
            one_round(service, visit, lessons)

    with ThreadPoolExecutor(visitors) as pool:
        list(pool.map(work, visits))
    return visits


def one_round(service: ModelService, visit: Visit, lessons: Iterator) -> None:
    """One run, and one question in four ways."""
    steps = [list(islice(lessons, EPISODES)) for _ in range(STEPS)]
    for learner, _ in service.train_run(visit.learner, steps, visit.seed):
        visit.learner = learner
        visit.steps += 1
        visit.came.append(time.perf_counter())
    question = next(stream(visit.seed, "held-out")).question
    began = time.perf_counter()
    service.complete(
        [
            Ask(question, chat_template, prompt)
            for prompt in (None, visit.learner.prompt)
            for chat_template in (True, False)
        ]
    )
    visit.clicks.append(time.perf_counter() - began)
    visit.came.append(time.perf_counter())


def killed(service: ReplicaService, visitors: int) -> Iterator[Line | str]:
    """Kill replicas while all visitors work; what they waited for, and what they have learnt."""
    over = threading.Event()
    visits = [
        Visit(seed, service.new_learner(LearnerConfig(seed=seed))) for seed in range(visitors)
    ]

    def work(visit: Visit) -> None:
        lessons = stream(visit.seed, "train")
        while not over.is_set():
            one_round(service, visit, lessons)

    kills: list[float] = []
    choice = random.Random(0)
    with ThreadPoolExecutor(visitors) as pool:
        working = [pool.submit(work, visit) for visit in visits]
        try:
            while len(kills) < KILLS:
                time.sleep(choice.uniform(1, 5))
                if pids := replica_pids():
                    os.kill(choice.choice(pids), signal.SIGKILL)
                    kills.append(time.perf_counter())
        finally:
            over.set()
        for one in working:
            one.result()
    delays, lost = [], 0
    for visit in visits:
        history = [record.episodes for record in visit.learner.history]
        every = list(range(EPISODES, EPISODES * visit.steps + 1, EPISODES))
        lost += history != every[-len(history) :] or visit.learner.steps != visit.steps
        for kill in kills:
            later = next((came for came in visit.came if came > kill), None)
            delays += [later - kill] if later else []
    if lost:
        raise DifferentWork(f"{lost} of {visitors} visitors have lost or repeated an episode")
    steps = sum(visit.steps for visit in visits)
    yield (
        f"{KILLS} replicas killed with {visitors} visitors at work: {steps} steps of {EPISODES} "
        f"episodes, none lost and none learnt twice; from a kill to a visitor's next value "
        f"{told(delays)}, longest {duration(max(delays))}."
    )


def require_same(visit: Visit, expected: Visit) -> None:
    """The losses of every step, wherever it was made."""
    for one, other in zip(visit.learner.history, expected.learner.history, strict=True):
        if one.episodes != other.episodes:
            raise DifferentWork(f"visitor {visit.seed} has learnt other episodes")
        require_close_loss(f"loss of step {one.step}", one.loss, other.loss, LOSS_TOLERANCE)


def steps_alone(service: ModelService) -> list[float]:
    """Seconds of steps of one visitor, each asked for by itself."""
    learner = service.new_learner(LearnerConfig())
    lessons, took = stream(0, "train"), []
    for _ in range(STEPS_ALONE):
        step = list(islice(lessons, EPISODES))
        began = time.perf_counter()
        learner, _ = service.train(learner, step, "alone").result()
        took.append(time.perf_counter() - began)
    return took[STEPS_ALONE // 4 :]


def processes(root: int | None = None) -> dict[int, str]:
    """The command lines of a process (or of this one) and of all that come from it, by pid."""
    parents, names = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            names[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
            parents[int(folder.name)] = int(stat[1])
        except OSError:
            continue  # it has just ended
    ours = {root or os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return {pid: names[pid] for pid in ours if pid in names}


def replica_pids() -> list[int]:
    """The processes of the replicas that are there."""
    return [pid for pid, name in processes().items() if "ray::ServeReplica" in name]


def memory(root: int) -> str:
    """What an app and all that comes from it takes up, shared pages counted once."""
    parts = {"the page": 0, "replicas": 0, "Ray": 0}
    for pid, name in processes(root).items():
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        size = sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        kind = "replicas" if "ray::ServeReplica" in name else "Ray"
        parts["the page" if pid == root else kind] += size
    return "memory " + ", ".join(f"{kind} {size >> 10} MB" for kind, size in parts.items())


def told(seconds: list[float]) -> str:
    """Their median, and what 19 of 20 stayed within."""
    ordered = sorted(seconds)
    middle, most = ordered[len(ordered) // 2], ordered[-(-19 * len(ordered) // 20) - 1]
    return f"median {duration(middle)}, p95 {duration(most)}"


def clicks_of(visits: list[Visit]) -> list[float]:
    """How long everybody waited for answers."""
    return [click for visit in visits for click in visit.clicks]
