"""App load: 16 people train in the real app at once, against one person alone.

The app runs on the embedded model in a process of its own; each person is a `gradio_client` that
opens a session and trains 40 episodes, held-out exams included. One more asks for a new problem
meanwhile, looks at it for a second, and asks for the next. Afterwards every session is read back
from where the app keeps it and its run repeated alone: the losses of every step must be the same,
up to rounding in other batches.

The app's cost over the bare learner is the time of one person's run against the same steps and
exams in a plain loop.
"""

import statistics
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from gradio_client import Client

from arena import held_out, stream
from learner.learning.learner import Learner, LearnerConfig, new_learner
from learner.learning.training import train_step
from learner.measuring import answers_of, behind, measured
from learner.model.base_model import BaseModel
from learner.model.loading import load_base_model
from learner.visitors.exam import HELD_OUT_PROBLEMS
from learner.visitors.run import EXAMS_PER_RUN
from learner.visitors.sessions import Sessions
from tests.benchmarks.timing import (
    Line,
    Setting,
    Spread,
    Target,
    compared,
    duration,
    require_close_loss,
)
from tests.browser.running_app import open_app

USERS = 16
EPISODES = 40
LOSS_TOLERANCE = 0.05  # of a step's loss or of a nat, in bfloat16
SECONDS_FOR_A_CLICK = 2.0
SECONDS_TO_LOOK = 1.0


@dataclass
class Times:
    """Seconds, by repetition: one alone, the bare learner, each of all at once; and all clicks."""

    alone: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    exams: list[float] = field(default_factory=list)  # of the bare learner's time
    together: list[list[float]] = field(default_factory=list)
    clicks: list[float] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)  # of those who trained together


def run(setting: Setting) -> Iterator[Line | str]:
    users, episodes = (3, 8) if setting.small else (USERS, EPISODES)
    base = load_base_model()
    times = Times()
    with TemporaryDirectory(prefix="app-load-") as folder:
        with open_app(Path(folder)) as url:
            clients = [Client(url, verbose=False) for _ in range(users + 1)]
            _settle(clients[0])
            for _ in range(setting.repetitions):
                times.alone.append(train(clients[0], episodes)[0])
                whole, exams = bare_learner(base, episodes)
                times.bare.append(whole)
                times.exams.append(exams)
                train_together(clients, episodes, times)
        worst = check_results(
            Sessions(Path(folder) / "sessions", base, partial(new_learner, base)),
            times.sessions,
            base,
        )
    yield from _lines(times, users, episodes)
    yield (
        f"{len(times.sessions)} runs that others trained beside were repeated alone: "
        f"no step's loss differs by more than {worst:.2g} of itself, or of a nat if it is less."
    )
    share = statistics.median(
        exam / bare for exam, bare in zip(times.exams, times.bare, strict=True)
    )
    yield f"Exams take {share:.0%} of the bare learner's time, the median run's."


def train(client: Client, episodes: int) -> tuple[float, str]:
    """Open a session and train in it: seconds of the run, and the session."""
    session = client.predict(api_name="/new_session")
    began = perf_counter()
    client.predict(session, episodes, False, api_name="/train")
    return perf_counter() - began, session


def train_together(clients: list[Client], episodes: int, times: Times) -> None:
    """All but the last client train at once; the last asks for problems until they are done."""
    *trainers, clicker = clients
    done = threading.Event()
    session = clicker.predict(api_name="/new_session")

    def click() -> None:
        while True:
            began = perf_counter()
            clicker.predict(session, api_name="/new_problem")
            times.clicks.append(perf_counter() - began)
            if done.wait(SECONDS_TO_LOOK):
                return

    with ThreadPoolExecutor(len(clients)) as pool:
        clicking = pool.submit(click)
        try:
            results = list(pool.map(partial(train, episodes=episodes), trainers))
        finally:
            done.set()
        clicking.result()
    times.together.append([seconds for seconds, _ in results])
    times.sessions.extend(session for _, session in results)


def bare_learner(base: BaseModel, episodes: int) -> tuple[float, float]:
    """Seconds of one person's steps and exams in a plain loop, and of the exams among them."""
    learner = new_learner(base, LearnerConfig())
    lessons = stream(0, "train")
    problems = held_out(HELD_OUT_PROBLEMS)
    began = perf_counter()
    exams: list[float] = []
    while learner.episodes < episodes:
        batch = list(islice(lessons, learner.config.episodes_per_step))
        learner, _ = train_step(base, learner, batch)
        if learner.episodes * EXAMS_PER_RUN >= episodes * (len(exams) + 1):
            start = perf_counter()
            measured(answers_of(base), [behind(learner, problems)])
            exams.append(perf_counter() - start)
    return perf_counter() - began, sum(exams)


def check_results(sessions: Sessions, ids: list[str], base: BaseModel) -> float:
    """Raise DifferentWork unless every run comes out as alone; the largest difference in loss."""
    worst = 0.0
    for session_id in ids:
        session = sessions.get(session_id)
        alone = repeated(base, session.learner, session.seed)
        for record, own in zip(session.learner.history, alone.history, strict=True):
            what = f"loss of step {own.step}"
            worst = max(worst, require_close_loss(what, record.loss, own.loss, LOSS_TOLERANCE))
    sessions.close()
    return worst


def repeated(base: BaseModel, trained: Learner, seed: int) -> Learner:
    """The learner after the same problems as ``trained``, with nobody beside it."""
    learner = new_learner(base, trained.config)
    lessons = stream(seed, "train")
    while learner.episodes < trained.episodes:
        batch = list(islice(lessons, learner.config.episodes_per_step))
        learner, _ = train_step(base, learner, batch)
    return learner


def _settle(client: Client) -> None:
    """Wait until the app has measured what all visitors share, by having it answer more."""
    session = client.predict(api_name="/new_session")
    shared = 2 * 2 * HELD_OUT_PROBLEMS  # two formats, with and without an untrained prompt
    asked = 0
    while client.predict(api_name="/status")["completions"] < shared + asked:
        client.predict(session, False, api_name="/evaluate")
        asked += HELD_OUT_PROBLEMS


def _lines(times: Times, users: int, episodes: int) -> Iterator[Line]:
    total = [users * episodes / max(each) for each in times.together]
    single = [episodes / alone for alone in times.alone]
    yield Line(
        f"{users} people at once, {episodes} episodes each",
        f"{statistics.median(total):.3g} episodes/s in total",
        f"{statistics.median(single):.3g} episodes/s of one alone",
        Spread.of([many / one for many, one in zip(total, single, strict=True)]),
        target=Target("≥", 1.0),
        samples={"together": [max(each) for each in times.together], "alone": times.alone},
    )
    shares = [min(each) / max(each) for each in times.together]
    yield Line(
        "the slowest person's share of the fastest's",
        f"{duration(statistics.median(map(max, times.together)))} slowest",
        f"{duration(statistics.median(map(min, times.together)))} fastest",
        Spread.of(shares),
        target=Target("≥", 0.5),
        samples={f"repetition {i + 1}": each for i, each in enumerate(times.together)},
    )
    slowest = p95(times.clicks)
    yield Line(
        f"a new problem and its answers meanwhile, 95th percentile of {len(times.clicks)}",
        f"{duration(statistics.median(times.clicks))} median",
        "",
        Spread.of([slowest]),
        unit=" s",
        target=Target("≤", SECONDS_FOR_A_CLICK),
        samples={"clicks": times.clicks},
    )
    samples = {"bare learner": times.bare, "app": times.alone}
    line = compared("an episode in the app", samples, "bare learner", "app", per=episodes)
    yield Line(
        line.case, line.rival, line.ours, line.value, unit="× the bare learner", samples=samples
    )


def p95(values: list[float]) -> float:
    """The 95th percentile: the least value that 95 % of the values do not exceed."""
    ordered = sorted(values)
    return ordered[-(-95 * len(ordered) // 100) - 1]
