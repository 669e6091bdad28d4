"""What an attack did to a bystander and to the app, as a line of a table."""

import multiprocessing
import statistics
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from tests.attack.attacks import Attack
from tests.attack.victim import Caller, Seen, Victim

HERE, ELSEWHERE = "127.0.0.1", "127.0.0.2"  # where attacks come from, and another address
FEWEST = 20  # clicks that a 95th percentile is taken of
LOOK = 0.3  # seconds between two clicks: a person's are further apart
SOON = 10.0  # seconds after an attack, when a click must be what it was
PATIENCE = 120.0  # seconds after an attack, when all that it took must be given back


@dataclass(frozen=True)
class Line:
    """One attack: how its requests were answered, and clicks (p95, seconds) and app over time.

    ``beside`` is how long a click takes while somebody trains and nobody attacks, where the attack
    is on one who trains; elsewhere it is as ``before``.
    """

    name: str
    answers: "Counter[str]"
    seconds: float
    before: float
    beside: float
    during: float
    after: float
    refused: int  # of the bystander's clicks
    held: tuple[Seen, Seen, Seen]  # before, at most, and after
    back: float  # seconds until threads and memory were back
    paces: tuple[float, float]  # episodes a second of the run, before the attack and during it
    computed: tuple[float, float]  # seconds of a core that the app and the attack took meanwhile

    @property
    def verdict(self) -> str:
        """What was missed, or that nothing was."""
        first, _, last = self.held
        missed = [
            name
            for name, is_missed in (
                ("slow during", self.during > 3 * self.beside),
                ("slow after", self.after > 3 * self.before),
                ("clicks refused", self.refused > 0),
                ("threads", last.threads > 1.2 * first.threads),
                ("memory", last.memory > 1.2 * first.memory),
                ("500s", any(status.startswith("5") for status in self.answers)),
            )
            if is_missed
        ]
        return "held" if not missed else "MISSED: " + ", ".join(missed)


class Bystander:
    """Somebody who draws a problem now and then, and looks at its answers."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._session = str(caller.call("new_session"))
        self.refused = 0

    def click(self) -> float:
        """Seconds that a click took, also one that was refused."""
        began = time.perf_counter()
        try:
            self._caller.click(self._session)
        except ValueError:
            self.refused += 1
        seconds = time.perf_counter() - began
        time.sleep(LOOK)
        return seconds

    def clicks(self) -> float:
        """The 95th percentile of some."""
        return p95([self.click() for _ in range(FEWEST)])


class Run:
    """A session that is trained meanwhile, again and again so many episodes; with none, idle."""

    def __init__(self, caller: Caller, episodes: int) -> None:
        self._caller = caller
        self._episodes = episodes
        self._began = 0.0
        self._before = 0  # episodes of the runs that are over
        self.session = str(caller.call("new_session"))

    def begin(self) -> None:
        self._began, self._before = time.monotonic(), 0
        self._start()

    def go_on(self) -> int:
        """Have it run still, or again; how many episodes it has learnt from since it began."""
        if not self._episodes:
            return 0
        done = self._caller.call("progress", self.session)["done"]  # type: ignore[index]
        if done is None:
            self._before += self._episodes
            self._start()
        return self._before + (done or 0)

    def end(self) -> float:
        """Stop it; how many episodes a second it has learnt from."""
        pace = self.go_on() / (time.monotonic() - self._began)
        if self._episodes:
            self._caller.call("stop", self.session)
            while self._caller.call("progress", self.session)["running"]:  # type: ignore[index]
                pass
        return pace

    def _start(self) -> None:
        if self._episodes:
            self._caller.call("start_training", self.session, self._episodes, False, "answer")


def suffered(
    victim: Victim, name: str, attack: Attack, episodes: int, address: str = ELSEWHERE
) -> Line:
    """Attack the app while somebody else uses it, who is at this ``address``.

    Where there are ``episodes``, the attack is on one who trains for so many.
    """
    with (
        Caller(victim.url, address) as caller,
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool,
    ):
        victim.wait_until_idle()
        pool.submit(int).result()  # it has started
        bystander = Bystander(caller)
        before = bystander.clicks()
        first = most = victim.seen()
        with Caller(victim.url) as teacher:
            run = Run(teacher, episodes)
            run.begin()
            beside = bystander.clicks() if episodes else before
            alone = run.end()
            run.begin()
            began, computed = time.monotonic(), victim.computed()
            attacking = pool.submit(_computing, attack, victim.url, run.session)
            during = []
            while not attacking.done() or len(during) < FEWEST:
                during.append(bystander.click())
                run.go_on()
                most = most.or_more(victim.seen())
            (answers, taken), seconds = attacking.result(), time.monotonic() - began
            computed = victim.computed() - computed
            paces = alone, run.end()
        time.sleep(SOON)
        after = bystander.clicks()
        ended = time.monotonic()
        last = victim.seen()
        while not _is_back(first, last) and time.monotonic() - ended < PATIENCE:
            time.sleep(2.0)
            last = victim.seen()
    return Line(
        name,
        answers,
        seconds,
        *(before, beside, p95(during), after),
        bystander.refused,
        (first, most, last),
        time.monotonic() - ended + SOON,
        paces,
        (computed, taken),
    )


def _computing(attack: Attack, url: str, session: str) -> "tuple[Counter[str], float]":
    """What an attack says, and for how many seconds its process computed."""
    began = time.process_time()
    return attack(url, session), time.process_time() - began


def table(lines: list[Line]) -> str:
    """All lines, in Markdown."""
    head = (
        "| attack | requests | seconds | click p95 before / beside a run / during / after "
        "| threads before / most / after | memory, MB | disk, MB | back after "
        "| episodes a second | CPU seconds of app / attack | verdict |\n" + "|---" * 11 + "|"
    )
    return "\n".join([head, *map(_row, lines)])


def p95(values: list[float]) -> float:
    """The 95th percentile."""
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


def _row(line: Line) -> str:
    answers = ", ".join(f"{status}: {number}" for status, number in sorted(line.answers.items()))
    beside = f"{1000 * line.beside:.0f}" if line.beside != line.before else "–"
    before, during, after = (
        f"{1000 * value:.0f}" for value in (line.before, line.during, line.after)
    )
    clicks = f"{before} / {beside} / {during} / {after}"
    paces = " → ".join(f"{pace:.0f}" for pace in line.paces) if any(line.paces) else "–"
    threads, memory, disk = (
        " / ".join(f"{getattr(seen, what):.0f}" for seen in line.held)
        for what in ("threads", "memory", "disk")
    )
    computed = "{:.1f} / {:.1f}".format(*line.computed)
    cells = line.name, answers, f"{line.seconds:.0f}", f"{clicks} ms", threads, memory, disk
    return "| " + " | ".join([*cells, f"{line.back:.0f} s", paces, computed, line.verdict]) + " |"


def _is_back(first: Seen, now: Seen) -> bool:
    return now.threads <= 1.2 * first.threads and now.memory <= 1.2 * first.memory
