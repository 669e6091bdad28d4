"""Live: what a visitor waits for in the app, against the bare learner that does the same.

`--model` says on which base model (a GGUF file, a folder; by default the embedded one), `--rows`
which of these are measured:

    open     the real app, just started, with nothing measured yet: a visitor opens a session and
             trains 80 episodes at once. Until they are learnt; until the first point of the curve
             is there; until the final score over the whole held-out set is. Afterwards the session
             is read back and its run repeated by the bare learner: the same losses at first.
    click    all four answers to a new problem, and their first token, while a learner trains and
             its exams are taken, against the same on an idle service
    people   16 learners at once, exams included, against one alone
    step     a decoding step of 1 row and of 64, against its bare products

The last three are in this process, the middle two on the service and the runs behind the page.
What computes does so on a thread that ends with it (`learner.model.own_thread` says why).
"""

import statistics
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import count, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep

import torch
import torch.nn.functional as F
from gradio_client import Client

from arena import Problem, held_out, stream
from learner.learning.learner import Learner, LearnerConfig, new_learner
from learner.measuring import answers_of, behind, measured
from learner.model.base_model import BaseModel
from learner.model.completion import Ask, RunningBatch, Writing
from learner.model.loading import load_base_model
from learner.model.own_thread import in_own_thread
from learner.model.threads import use_fast_threads
from learner.service.in_process import Service
from learner.visitors.comparison import CONDITIONS
from learner.visitors.exam import HELD_OUT_PROBLEMS, Exam
from learner.visitors.run import EXAMS_PER_RUN, training_run
from learner.visitors.sessions import Sessions
from tests.benchmarks.app_load import repeated
from tests.benchmarks.timing import (
    LIVE_ROWS,
    Line,
    Setting,
    Spread,
    Target,
    duration,
    measure_in_turn,
    require_close_loss,
    short,
)
from tests.browser.running_app import open_app

EPISODES = 80
PEOPLE, EACH = 16, 40
LOOK_SECONDS = 0.1  # how often it is looked how far a run is
ASK_SECONDS = 0.5  # how often an app is asked, which costs it time; a page is told
LOSS_TOLERANCE = 0.05  # of a step's loss or of a nat
# Of a run's first steps, which have the same problems. Rounding grows from step to step: a prompt
# that is another by a millionth comes to 0.07 of a nat in the sixth step of 0.5B in float32.
COMPARED = 4
TOKENS = 8  # of a row, whose steps are timed together


@dataclass(frozen=True)
class Visit:
    """Seconds from opening the page: to the episodes, to the first point, to the last score."""

    trained: float
    first_point: float
    first_problems: int
    scored: float


@dataclass(frozen=True)
class Click:
    """Seconds from a click to the first token of any answer, and to the end of all four."""

    first: float
    all: float


def run(setting: Setting) -> Iterator[Line | str]:
    base = load_base_model(setting.model, setting.device.type, setting.dtype)
    setting = replace(setting, dtype=short(base.dtype))
    threads = use_fast_threads(base)  # as the app does: other sums are rounded otherwise
    yield f"{base.name}, {short(base.dtype)}, threads: {threads}."
    rows = dict(zip(LIVE_ROWS, (_open, _click, _people, _step), strict=True))
    for row in setting.rows or LIVE_ROWS:
        yield from rows[row](base, setting)


# --- a page that was just opened ------------------------------------------------------------------


def _open(base: BaseModel, setting: Setting) -> Iterator[Line | str]:
    episodes, problems = (8, 20) if setting.small else (EPISODES, HELD_OUT_PROBLEMS)
    visits: list[Visit] = []
    trained: list[float] = []
    scored: list[float] = []
    for _ in range(setting.repetitions):
        with TemporaryDirectory(prefix="live-") as name:
            folder = Path(name)
            visit_, session = visit(folder, episodes, problems, setting)
            visits.append(visit_)
            sessions = Sessions(folder / "sessions", base, partial(new_learner, base))
            kept = sessions.get(session)
            began = perf_counter()
            alone = in_own_thread(repeated, base, kept.learner, kept.seed)
            trained.append(perf_counter() - began)
            both = zip(kept.learner.history, alone.history, strict=True)
            for record, own in islice(both, COMPARED):
                require_close_loss(f"step {own.step}", record.loss, own.loss, LOSS_TOLERANCE)
            sessions.close()
        began = perf_counter()
        in_own_thread(measured, answers_of(base), [behind(alone, held_out(problems))])
        scored.append(perf_counter() - began)
    ours = [one.trained for one in visits]
    yield Line(
        f"from the click to {episodes} episodes, page just opened",
        f"{duration(statistics.median(ours))} in the app",
        f"{duration(statistics.median(trained))} bare learner",
        Spread.of([app / bare for app, bare in zip(ours, trained, strict=True)]),
        target=Target("≤", 1.3),
        samples={"app": ours, "bare learner": trained},
    )
    points = [one.first_point for one in visits]
    problems_ = statistics.median(one.first_problems for one in visits)
    yield Line(
        f"until the first point of the curve, over {problems_:.0f} problems",
        duration(statistics.median(points)),
        "",
        Spread.of(points),
        unit=" s",
        target=Target("≤", 10),
        samples={"first point": points},
    )
    ends = [max(one.scored - one.trained, ASK_SECONDS) for one in visits]  # no finer than that
    yield Line(
        f"the final exam ({problems}) from the end of training, baselines unknown",
        f"{duration(statistics.median(ends))} in the app",
        f"{duration(statistics.median(scored))} evaluate alone",
        Spread.of([alone / app for app, alone in zip(ends, scored, strict=True)]),
        unit="× its pace",
        target=Target("≥", 0.9),
        samples={"app": ends, "evaluate": scored},
    )


def visit(folder: Path, episodes: int, problems: int, setting: Setting) -> tuple[Visit, str]:
    """Open the app and train in it at once: when what was there, and the session."""
    flags = ("--model", setting.model, "--dtype", setting.dtype, "--held-out", str(problems))
    point: tuple[float, int] | None = None
    trained = scored = None
    with open_app(folder, program=("app.py", *flags)) as url:
        client = Client(url, verbose=False)
        while any(model["doing"] for model in client.predict(api_name="/list_models")):
            sleep(LOOK_SECONDS)  # the embedded model stands in for one that still loads
        began = perf_counter()
        session = client.predict(api_name="/new_session")
        client.predict(session, episodes, False, api_name="/start_training")
        while True:
            found = client.predict(session, api_name="/progress")
            now = perf_counter() - began
            score = found["learner"]["held_out"]
            if trained is None and found["learner"]["episodes"] >= episodes:
                trained = now
            if point is None and score:
                point = now, score["n"]
            if scored is None and score and (score["episodes"], score["n"]) == (episodes, problems):
                scored = now
            if not found["running"]:  # also what it measured on the way
                break
            sleep(ASK_SECONDS)
    assert trained and point and scored, "the run was broken off"
    return Visit(trained, *point, scored), session


# --- beside others --------------------------------------------------------------------------------


def _click(base: BaseModel, setting: Setting) -> Iterator[Line | str]:
    problems = stream(7, "held-out", difficulty=1)
    with Service(base) as service:
        exam = Exam(service, 20 if setting.small else HELD_OUT_PROBLEMS)
        learner = new_learner(base, LearnerConfig())
        click(service, next(problems), learner)  # so that paces are known
        idle = [click(service, next(problems), learner) for _ in range(setting.repetitions)]
        busy: list[Click] = []
        begun, enough = threading.Event(), threading.Event()

        def train() -> None:
            for seed in count():  # until all clicks are made
                fresh = new_learner(base, LearnerConfig(seed=seed))
                lessons = stream(seed, "train")
                states = training_run(
                    service, exam, fresh, lessons, EPISODES, EXAMS_PER_RUN, "me", enough.is_set
                )
                for state in states:
                    if state.result or state.examining:  # an exam is going on beside it
                        begun.set()
                if enough.is_set():
                    return

        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(train)
            exam.measure_shared(learner)
            while not begun.wait(LOOK_SECONDS):
                assert not running.done(), running.result()
            busy += [click(service, next(problems), learner) for _ in range(setting.repetitions)]
            enough.set()
            running.result()
    firsts, wholes = [one.first for one in busy], [one.all for one in busy]
    alone = [one.all for one in idle]
    yield Line(
        "New problem beside training and exams, all four answers",
        f"{duration(statistics.median(wholes))} beside them",
        f"{duration(statistics.median(alone))} idle",
        Spread.of([one / statistics.median(alone) for one in wholes]),
        unit="× idle",
        target=Target("≤", 1.5),
        samples={"beside": wholes, "idle": alone},
    )
    yield Line(
        "– their first token",
        f"{duration(statistics.median(firsts))} beside them",
        f"{duration(statistics.median(one.first for one in idle))} idle",
        Spread.of(firsts),
        unit=" s",
        target=Target("≤", 0.5),
        samples={"beside": firsts, "idle": [one.first for one in idle]},
    )


def click(service: Service, problem: Problem, learner: Learner) -> Click:
    """Ask a problem in all four ways, behind a soft prompt that nobody has asked before."""
    prompt = learner.prompt.clone()
    asks = [Ask(problem.question, chat, prompt if soft else None) for chat, soft in CONDITIONS]
    began, first = perf_counter(), None
    for written in service.ask(asks):
        if first is None and any(one.tokens for one in written):
            first = perf_counter() - began
    assert first is not None, "nothing was written"
    return Click(first, perf_counter() - began)


def _people(base: BaseModel, setting: Setting) -> Iterator[Line | str]:
    people, episodes = (3, 8) if setting.small else (PEOPLE, EACH)
    alone: list[float] = []
    together: list[list[float]] = []
    with Service(base) as service:
        exam = Exam(service, 20 if setting.small else HELD_OUT_PROBLEMS)
        train_at_once(service, exam, 1, 8)  # so that paces are known
        for _ in range(setting.repetitions):
            alone += train_at_once(service, exam, 1, episodes)
            together.append(train_at_once(service, exam, people, episodes))
    total = [people * episodes / max(each) for each in together]
    single = [episodes / one for one in alone]
    yield Line(
        f"{people} people at once, {episodes} episodes each, exams beside",
        f"{statistics.median(total):.3g} episodes/s in total",
        f"{statistics.median(single):.3g} episodes/s of one alone",
        Spread.of([many / one for many, one in zip(total, single, strict=True)]),
        target=Target("≥", 1.2),
        samples={"together": [max(each) for each in together], "alone": alone},
    )
    yield Line(
        "– the slowest person's share of the fastest's",
        f"{duration(statistics.median(map(max, together)))} slowest",
        f"{duration(statistics.median(map(min, together)))} fastest",
        Spread.of([min(each) / max(each) for each in together]),
        target=Target("≥", 0.7),
        samples={f"repetition {i + 1}": each for i, each in enumerate(together)},
    )


def train_at_once(service: Service, exam: Exam, people: int, episodes: int) -> list[float]:
    """Seconds until each has learnt; nobody's exams end before all have."""
    left = [people]
    lock, over = threading.Lock(), threading.Event()

    def train(seed: int) -> float:
        learner = service.new_learner(LearnerConfig(seed=seed))
        began, trained = perf_counter(), 0.0
        states = training_run(
            service,
            exam,
            learner,
            stream(seed, "train"),
            episodes,
            EXAMS_PER_RUN,
            str(seed),
            over.is_set,
        )
        with closing(states):
            for state in states:
                if not trained and state.done == episodes:
                    trained = perf_counter() - began
                    with lock:
                        left[0] -= 1
                        if not left[0]:
                            over.set()
        return trained

    with ThreadPoolExecutor(people) as pool:
        return list(pool.map(train, range(people)))


# --- a token --------------------------------------------------------------------------------------


def _step(base: BaseModel, setting: Setting) -> Iterator[Line | str]:
    prompt = new_learner(base, LearnerConfig(chat_template=base.has_chat_template)).prompt
    for rows, most in ((1, 1.25), (64, 1.1)):
        asks = [
            Ask(problem.question, base.has_chat_template, prompt)
            for problem in islice(stream(0, "train", difficulty=(4, 5)), rows)
        ]
        samples = in_own_thread(_timed, base, asks, setting)
        ours, bare = ([one / TOKENS for one in samples[name]] for name in ("steps", "products"))
        yield Line(
            f"a decoding step, {rows} row{'s' * (rows > 1)}, {short(base.dtype)}",
            duration(statistics.median(ours)),
            f"{duration(statistics.median(bare))} for its bare products",
            Spread.of([mine / theirs for mine, theirs in zip(ours, bare, strict=True)]),
            unit="× its products",
            target=Target("≤", most),
            samples={"step": ours, "products": bare},
        )


def _timed(base: BaseModel, asks: Sequence[Ask], setting: Setting) -> dict[str, list[float]]:
    """Seconds of some steps over these rows, and of as many times their bare products."""
    batch = started(base, asks, TOKENS * (setting.repetitions + 3))
    products = forward_products(base, len(asks))
    contenders: dict[str, Callable[[], object]] = {
        "steps": lambda: [batch.advance() for _ in range(TOKENS)],
        "products": lambda: [products() for _ in range(TOKENS)],
    }
    return measure_in_turn(contenders, setting)


def started(base: BaseModel, asks: Sequence[Ask], tokens: int) -> RunningBatch:
    """A batch of these rows that were read, of which none ends before so many tokens."""
    batch = RunningBatch(base)
    rows = [_Endless(base, ask, tokens) for ask in asks]
    batch.add(rows)
    batch.advance()
    return batch


class _Endless(Writing):
    """A row that goes on after its end."""

    def _ends(self, token: int) -> bool:
        return False


def forward_products(base: BaseModel, rows: int) -> Callable[[], None]:
    """A function that multiplies so many rows with each weight matrix once, and does no more."""
    weights = [m.weight for m in base.model.modules() if isinstance(m, torch.nn.Linear)]
    inputs = {
        width: torch.ones(rows, width, device=base.device, dtype=base.dtype)
        for width in {weight.shape[1] for weight in weights}
    }

    def replay() -> None:
        with torch.inference_mode():
            for weight in weights:
                F.linear(inputs[weight.shape[1]], weight)

    return replay
