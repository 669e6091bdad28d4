"""Capacity: how many visitors so many replicas serve, by the real scheduler on a simulated clock.

What decides is the code of the service: shares of the time, the queue of training requests, the
requests that share a running batch, and the sizes that it finds out by measuring. Only the model
is replaced, by the seconds that its passes take: measured here, or known of a GPU. Visitors come,
think, ask for a new problem, train 80 episodes with four exams, or give thumbs. A case with two
replicas and the visitors of ``replicas`` stands beside what that benchmark has measured.

Not simulated: the page itself, the network, and memory that runs out.
"""

import gc
import heapq
import math
import os
import random
import time
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import count, islice

import torch

from arena import stream
from learner.learning.learner import LearnerConfig, new_learner
from learner.learning.training import train_steps
from learner.model.base_model import BaseModel
from learner.model.completion import CHUNKS_A_TOKEN, Ask, RunningBatch, Writing
from learner.model.loading import load_base_model
from learner.model.pace import Paces
from learner.service.answering import Answers
from learner.service.in_process import (
    ARREARS,
    CLICK_ROWS,
    KINDS,
    LONG,
    MERGE_SECONDS,
    SHORT,
    TRAINING,
)
from learner.service.in_process import WEIGHTS as SHARES
from learner.service.requests import AskingRequest, TrainingRequest
from learner.service.scheduling import Shares
from learner.service.training_queue import TrainingQueue
from tests.benchmarks.timing import Line, Setting, Spread, duration

ROWS = 256  # that the service decodes together, and learns from together
PROMPT_TOKENS = 80  # of a question in its format
THINK_SECONDS = 15.0  # the mean between two actions
RUN, STEP, EXAMS, MILESTONE, HELD_OUT = 80, 4, 4, 40, 200
ACTIONS = ("click", "run", "thumbs")
OFTEN = (0.75, 0.15, 0.10)
SLOW_CLICK, SLOW_STEP = 2.0, 3.0  # seconds of 19 in 20, from which on it is called saturated:
# a run of 20 steps then takes a minute, whatever it takes alone
CALL_SECONDS = 0.003  # that a call through a handle adds, as `replicas` measures it
REPLICAS = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Costs:
    """Seconds of a pass, for its start and for each row: prompts read, tokens written, learnt from.

    ``answer_tokens`` is how long an answer is on average.
    """

    name: str
    read: tuple[float, float]
    write: tuple[float, float]
    learn: tuple[float, float]
    answer_tokens: float


# Measured on one NVIDIA H200 in bfloat16, CUDA graphs: a step of 1 and of 8 problems 50 and 85 ms,
# a token in 1 and in 512 rows 1.8 and 3.7 ms; reading a prompt is taken as a third of learning.
H200 = Costs("0.5B on one H200", (0.015, 0.0017), (0.0018, 3.7e-6), (0.045, 0.005), 12.0)

Clock = Callable[[], float]
Script = Generator[tuple[str, object], None, None]


class Row:
    """A row of a running batch, of which nothing is known but its length."""

    __slots__ = ("ended", "error", "most", "written")

    def __init__(self, most: int) -> None:
        self.most = most
        self.written: Sequence[int] = ()
        self.ended = False
        self.error = None

    def completion(self) -> None:
        """Nobody reads it."""


class Batch:
    """As `RunningBatch`, with seconds in place of passes; ``seconds`` is what the last one took.

    Of the rows that a token was written in, it tells only those that it was the last one of.
    """

    def __init__(self, costs: Costs, paces: Paces) -> None:
        self._costs, self._paces = costs, paces
        self._unread: deque[Row] = deque()
        self._rows = self._ended = 0  # that are in the batch; that were over in the last turn
        self._written = 0  # tokens of every row that is old enough
        self._ending: defaultdict[int, list[Row]] = defaultdict(list)  # by the last of them
        self._read_since = 0  # chunks, since a token was written
        self.seconds = 0.0

    def __len__(self) -> int:
        return self._rows + len(self._unread)

    @property
    def unread(self) -> int:
        return len(self._unread)

    def add(self, rows: Sequence[Row]) -> None:
        self._unread.extend(rows)

    def drop(self, rows: Sequence[Row]) -> None:
        raise NotImplementedError("nobody leaves here")

    def clear(self) -> list[Row]:
        raise NotImplementedError("nothing fails here")

    def advance(self) -> list[Row]:
        self._rows -= self._ended
        room = min(max(1, self._paces.chunk.size // PROMPT_TOKENS), len(self._unread))
        room = min(room, max(0, self._paces.step.size - self._rows))
        reads = room if self._read_since < CHUNKS_A_TOKEN or not self._rows else 0
        self._read_since = self._read_since + 1 if reads else 0
        if reads:
            about = [self._unread.popleft() for _ in range(reads)]
            self._rows += reads
            for row in about:
                row.written, row.ended = (0,), row.most == 1
                if not row.ended:
                    self._ending[self._written + row.most - 1].append(row)
            self.seconds = _cost(self._costs.read, reads)
            self._paces.chunk.measured(reads * PROMPT_TOKENS, self.seconds)
        else:
            self._written += 1
            about = self._ending.pop(self._written, [])
            for row in about:
                row.written, row.ended = (0, 0), True
            self.seconds = _cost(self._costs.write, self._rows) if self._rows else 0.0
            self._paces.step.measured(self._rows, self.seconds)
        self._ended = sum(row.ended for row in about)
        return about


class Answering(Answers):
    """Nobody leaves, so nobody has to be looked for who has left."""

    def _drop_unwanted(self) -> None:
        pass


class Asked(AskingRequest):
    """A request that calls back when all of its rows are final."""

    def __init__(self, lengths: Sequence[int], since: float, over: Callable[[], None]) -> None:
        super().__init__(lengths, 0, since)  # type: ignore[arg-type]
        self._left = len(lengths)
        self._over = over

    @property
    def wanted(self) -> bool:
        return self._left > 0

    def update(self, completions: object, ended: int) -> None:
        self._left -= ended
        if ended and not self._left:
            self._over()


class Simulation:
    """A clock and what is to happen; whoever has work is called when its time comes."""

    def __init__(self) -> None:
        self.now = 0.0
        self._order = count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []

    def after(self, seconds: float, happens: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._order), happens))

    def run(self, until: float) -> None:
        while self._events and self._events[0][0] <= until:
            self.now, _, happens = heapq.heappop(self._events)
            happens()


class Replica:
    """The loop of `learner.service.in_process.Service`, turn by turn, with its own parts."""

    def __init__(self, simulation: Simulation, costs: Costs) -> None:
        self.ongoing = 0
        self.busy_seconds = 0.0
        self._simulation, self._costs = simulation, costs
        self._paces, self._shares = Paces(), Shares(SHARES, ARREARS)
        self._queue = TrainingQueue(ROWS)
        self._batches = {kind: Batch(costs, self._paces) for kind in (SHORT, LONG)}
        self._answers = {
            kind: Answering(batch, lambda length, _: Row(length), ROWS)  # type: ignore
            for kind, batch in self._batches.items()
        }
        self._pass: list[TrainingRequest] = []
        self._tokens_left = self._pass_seconds = 0.0
        self._ended: list[Callable[[], None]] = []
        self._working = self._awaits = False

    def ask(self, lengths: Sequence[int], over: Callable[[], None]) -> None:
        kind = SHORT if len(lengths) <= CLICK_ROWS else LONG
        request = Asked(lengths, self._simulation.now, lambda: self._ended.append(over))
        self._answers[kind].add(request)
        self._wake()

    def train(self, rows: int, owner: object, over: Callable[[], None]) -> None:
        request = TrainingRequest(None, (), rows, self._simulation.now, owner)  # type: ignore
        request.future.add_done_callback(lambda _: self._ended.append(over))
        self._queue.add(request)
        self._wake()

    def _wake(self) -> None:
        if not self._working:
            self._working = True
            self._simulation.after(0.0, self._turn)

    def _turn(self) -> None:
        ready = [self._has_work(kind) for kind in KINDS]
        if not any(ready):
            self._working = False
            return
        expects = not self._pass and self._queue.expects_somebody and not ready[SHORT]
        if expects and not self._awaits:
            self._awaits = True
            self._simulation.after(MERGE_SECONDS, self._turn)
            return
        self._awaits = False
        self._queue.expect_nobody()
        kind = self._shares.next(ready)
        seconds = self._train() if kind == TRAINING else self._answer(kind)
        self._shares.took(kind, seconds)
        self.busy_seconds += seconds
        ended, self._ended = self._ended, []
        self._simulation.after(seconds, lambda: self._over(ended))

    def _over(self, ended: Sequence[Callable[[], None]]) -> None:
        for over in ended:
            over()
        self._turn()

    def _has_work(self, kind: int) -> bool:
        if kind == TRAINING:
            return bool(self._pass or len(self._queue))
        return kind in self._answers and bool(self._answers[kind])

    def _train(self) -> float:
        if not self._pass:
            (self._pass,) = self._queue.take()
            self._tokens_left = PROMPT_TOKENS * sum(request.rows for request in self._pass)
            self._pass_seconds = 0.0
        tokens = min(self._tokens_left, self._paces.training.size)
        seconds = _cost(self._costs.learn, tokens / PROMPT_TOKENS)
        self._paces.training.measured(int(tokens), seconds)
        self._tokens_left -= tokens
        self._pass_seconds += seconds
        if self._tokens_left <= 0:
            over, self._pass = self._pass, []
            self._queue.pace.measured(sum(request.rows for request in over), self._pass_seconds)
            for request in over:
                request.future.set_result(None)  # type: ignore[arg-type]
        return seconds

    def _answer(self, kind: int) -> float:
        self._answers[kind].advance()
        return self._batches[kind].seconds


@dataclass
class Seen:
    """What visitors saw within the time that counts."""

    clicks: list[float] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    episodes: int = 0

    @property
    def quick(self) -> bool:
        """Whether 19 in 20 have not waited for long."""
        return p95(self.clicks) <= SLOW_CLICK and p95(self.steps) <= SLOW_STEP

    calls: int = 0


class World:
    """Replicas and visitors on one clock; counts from ``warm`` seconds on."""

    def __init__(self, costs: Costs, replicas: int, warm: float, seed: int = 0) -> None:
        self.simulation = Simulation()
        self.replicas = [Replica(self.simulation, costs) for _ in range(replicas)]
        self.seen = Seen()
        self._warm = warm
        self._random = random.Random(seed)

    def visit(self, script: Script) -> None:
        """Have a visitor do what a script says, one after the other."""

        def go_on() -> None:
            try:
                what, how = next(script)
            except StopIteration:
                return
            if what == "think":
                self.simulation.after(float(how), go_on)  # type: ignore[arg-type]
            elif what == "learn":
                rows, owner = how  # type: ignore[misc]
                self._call(
                    lambda one, done: one.train(rows, owner, done),
                    self._noting(self.seen.steps, go_on),
                    rows,
                )
            elif what == "aside":  # an exam: nobody waits for it
                self._call(lambda one, done: one.ask(how, done), lambda: None)  # type: ignore
                go_on()
            else:
                self._call(
                    lambda one, done: one.ask(how, done),  # type: ignore[arg-type]
                    self._noting(self.seen.clicks, go_on),
                )

        go_on()

    def _call(
        self,
        work: Callable[[Replica, Callable[[], None]], None],
        over: Callable[[], None],
        episodes: int = 0,
    ) -> None:
        """As `learner.service.ray_serve.Router`: whoever has the fewest requests."""
        some = self._random.sample(self.replicas, min(8, len(self.replicas)))
        replica = min(some, key=lambda one: one.ongoing)
        replica.ongoing += 1

        def done() -> None:
            replica.ongoing -= 1
            if self.simulation.now >= self._warm:
                self.seen.episodes += episodes
                self.seen.calls += 1
            over()

        self.simulation.after(CALL_SECONDS, lambda: work(replica, done))

    def _noting(self, seen: list[float], over: Callable[[], None]) -> Callable[[], None]:
        """Has it noted what somebody waited for, from now on."""
        began = self.simulation.now

        def note() -> None:
            if self.simulation.now >= self._warm:
                seen.append(self.simulation.now - began)
            over()

        return note


def visitor(seed: int, costs: Costs) -> Script:
    """Somebody who stays: thinks, and does one thing or another."""
    draw = random.Random(seed)

    def lengths(answers: int) -> list[int]:
        return [1 + int(draw.expovariate(1 / costs.answer_tokens)) for _ in range(answers)]

    yield "think", draw.uniform(0, THINK_SECONDS)
    while True:
        (action,) = draw.choices(ACTIONS, OFTEN)
        if action == "run":
            for taken in range(STEP, RUN + 1, STEP):
                yield "learn", (STEP, seed)
                if taken % (RUN // EXAMS) == 0:
                    yield "aside", lengths(HELD_OUT if taken == RUN else MILESTONE)
        elif action == "thumbs":
            yield "click", lengths(4)
            yield "think", draw.expovariate(1 / THINK_SECONDS)
            yield "learn", (4, seed)
        yield "click", lengths(4)
        yield "think", draw.expovariate(1 / THINK_SECONDS)


def crowd(costs: Costs, replicas: int, visitors: int, seconds: float) -> World:
    """So many visitors for so long, after half as long that does not count."""
    world = World(costs, replicas, warm=seconds / 2)
    for seed in range(visitors):
        world.visit(visitor(seed, costs))
    gc.disable()  # it would look through everybody, again and again, and find nothing
    try:
        world.simulation.run(1.5 * seconds)
    finally:
        gc.enable()
    return world


def most_visitors(costs: Costs, replicas: int, seconds: float, guess: int) -> tuple[int, World]:
    """The most visitors for whom it stays quick, to about a tenth, from a guess."""
    visitors, world = guess, crowd(costs, replicas, guess, seconds)
    while not world.seen.quick and visitors > 1:
        visitors = max(1, round(visitors / 1.1))
        world = crowd(costs, replicas, visitors, seconds)
    while visitors >= guess:
        more = max(visitors + 1, round(1.1 * visitors))
        fuller = crowd(costs, replicas, more, seconds)
        if not fuller.seen.quick:
            break
        visitors, world = more, fuller
    return visitors, world


def run(setting: Setting) -> Iterator[Line | str]:
    base = load_base_model(os.environ.get("REPLICAS_MODEL", "pocket"))
    here = measured(base, setting.small)
    yield f"{here.name}: {told(here)}"
    yield from held_against_the_real_one(here, setting)
    seconds = 5.0 if setting.small else 60.0
    for costs in (here, H200):
        each = 4 if costs is here else 64
        for replicas in REPLICAS[: 1 if setting.small else None]:
            visitors, world = most_visitors(costs, replicas, seconds, each * replicas)
            each = max(1, visitors // replicas)
            yield line(costs, replicas, visitors, world, seconds)
    if not setting.small:
        visitors, seconds = 100_000, seconds / 2
        replicas = math.ceil(visitors / each)
        world = crowd(H200, replicas, visitors, seconds)
        yield line(H200, replicas, visitors, world, seconds)


def line(costs: Costs, replicas: int, visitors: int, world: World, seconds: float) -> str:
    """What so many visitors saw, and what an hour of one replica has served."""
    clicks, episodes = world.seen.clicks, world.seen.episodes / seconds
    middle = sorted(clicks)[len(clicks) // 2] if clicks else 0.0
    busy = sum(one.busy_seconds for one in world.replicas) / replicas / (1.5 * seconds)
    return (
        f"{costs.name}, {replicas} replica{'s' * (replicas > 1)}: {visitors} visitors, "
        f"a click median {duration(middle)}, p95 {duration(p95(clicks))}, a step p95 "
        f"{duration(p95(world.seen.steps))}; {episodes:.1f} episodes/s, "
        f"{world.seen.calls / seconds:.0f} calls/s, busy {busy:.0%}; "
        f"an hour of one replica: {visitors / replicas:.0f} visitor hours, "
        f"{3600 * episodes / replicas:.0f} episodes"
    )


def held_against_the_real_one(costs: Costs, setting: Setting) -> Iterator[Line | str]:
    """The visitors of ``replicas``, who never think: simulated, and with Ray the real ones too."""
    from tests.benchmarks import replicas as real  # here: it is the only use of it

    rounds, visitors = (1, 3) if setting.small else (real.ROUNDS, real.VISITORS)
    for number in (1, 2):
        world = World(costs, number, warm=0.0)
        for seed in range(visitors):
            world.visit(_rounds(seed, costs, rounds))
        world.simulation.run(math.inf)
        took, clicks = world.simulation.now, world.seen.clicks
        came, ratio = "not run: it needs Ray", None
        if find_spec("ray") is not None:
            with real.replicated(number) as service:
                real.visit_all(service, visitors, 1)
                began = time.perf_counter()
                visits = real.visit_all(service, visitors, rounds)
                seconds = time.perf_counter() - began
            came = f"{duration(seconds)}, a click {real.told(real.clicks_of(visits))}"
            ratio = Spread.of([took / seconds])
        yield Line(
            f"{visitors} visitors who never think on {number}: simulated, and in truth",
            f"{duration(took)}, a click {real.told(clicks)}",
            came,
            ratio,
        )


def _rounds(seed: int, costs: Costs, rounds: int) -> Script:
    from tests.benchmarks import replicas as real

    for _ in range(rounds):
        for _ in range(real.STEPS):
            yield "learn", (real.EPISODES, seed)
        yield "click", [math.ceil(costs.answer_tokens)] * 4


def measured(base: BaseModel, small: bool = False) -> Costs:
    """What passes of this model take on this machine: a line through few rows and many."""
    few, many = 2, 16 if small else 48
    problems = list(islice(stream(0, "train"), 2 * many))

    def answering(rows: int) -> tuple[float, float, float]:
        batch = RunningBatch(base)
        written = [Writing(base, Ask(one.question, True), 32) for one in problems[:rows]]
        batch.add(written)
        began = time.perf_counter()
        batch.advance()
        read, began, tokens = time.perf_counter() - began, time.perf_counter(), 0
        whole = 0  # tokens with all rows still there
        seconds = 0.0
        while batch.advance():
            tokens += 1
            if not any(row.ended for row in written):
                whole, seconds = tokens, time.perf_counter() - began
        length = sum(row.completion().tokens for row in written) / rows
        return read, (seconds / whole if whole else read / rows), length

    def learning(rows: int) -> float:
        learners = [new_learner(base, LearnerConfig(seed=seed)) for seed in range(rows // 2)]
        requests = [(one, problems[2 * i : 2 * i + 2]) for i, one in enumerate(learners)]
        began = time.perf_counter()
        train_steps(base, requests)
        return time.perf_counter() - began

    for rows in (few, many):  # once before it counts
        answering(rows)
        learning(rows)
    (read, write, _), (read_many, write_many, length) = answering(few), answering(many)
    return Costs(
        f"{base.name} on a CPU, {torch.get_num_threads()} threads",
        _line(few, read, many, read_many),
        _line(few, write, many, write_many),
        _line(few, learning(few), many, learning(many)),
        length,
    )


def told(costs: Costs) -> str:
    """The costs in milliseconds."""
    parts = ((costs.read, "reading"), (costs.write, "a token"), (costs.learn, "learning"))
    return (
        ", ".join(f"{what} {1000 * a:.1f} + {1000 * b:.2f} ms a row" for (a, b), what in parts)
        + f", {costs.answer_tokens:.1f} tokens an answer"
    )


def p95(seconds: Sequence[float]) -> float:
    """What 19 of 20 stayed within; 0 of nothing."""
    ordered = sorted(seconds)
    return ordered[-(-19 * len(ordered) // 20) - 1] if ordered else 0.0


def _line(few: int, seconds: float, many: int, more: float) -> tuple[float, float]:
    slope = max(0.0, (more - seconds) / (many - few))
    return max(seconds - few * slope, 1e-5), slope


def _cost(line: tuple[float, float], rows: float) -> float:
    return line[0] + line[1] * rows
