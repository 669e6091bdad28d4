"""What an attack did to a bystander and to the app, as a line of a table."""

import multiprocessing
import statistics
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from tests.attack.attacks import Attack
from tests.attack.victim import Caller, Seen, Victim

FEWEST = 20  # clicks that a 95th percentile is taken of
LOOK = 0.3  # seconds between two clicks: a person's are further apart
SOON = 10.0  # seconds after an attack, when a click must be what it was
PATIENCE = 120.0  # seconds after an attack, when all that it took must be given back


@dataclass(frozen=True)
class Line:
    """One attack: how its requests were answered, and clicks (p95, seconds) and app over time."""

    name: str
    answers: "Counter[str]"
    seconds: float
    before: float
    during: float
    after: float
    held: tuple[Seen, Seen, Seen]  # before, at most, and after
    back: float  # seconds until threads and memory were back

    @property
    def verdict(self) -> str:
        """What was missed, or that nothing was."""
        first, _, last = self.held
        missed = [
            name
            for name, is_missed in (
                ("slow during", self.during > 3 * self.before),
                ("slow after", self.after > 3 * self.before),
                ("threads", last.threads > 1.2 * first.threads),
                ("memory", last.memory > 1.2 * first.memory),
                ("500s", any(status.startswith("5") for status in self.answers)),
            )
            if is_missed
        ]
        return "held" if not missed else "MISSED: " + ", ".join(missed)


def suffered(victim: Victim, name: str, attack: Attack) -> Line:
    """Attack the app while somebody else uses it."""
    with (
        Caller(victim.url) as bystander,
        ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool,
    ):
        session = str(bystander.call("new_session"))
        pool.submit(int).result()  # it has started
        before = [_click(bystander, session) for _ in range(FEWEST)]
        first = most = victim.seen()
        began = time.monotonic()
        attacking = pool.submit(attack, victim.url)
        during = []
        while not attacking.done() or len(during) < FEWEST:
            during.append(_click(bystander, session))
            now = victim.seen()
            most = Seen(
                max(most.threads, now.threads),
                max(most.memory, now.memory),
                max(most.disk, now.disk),
            )
        answers, seconds = attacking.result(), time.monotonic() - began
        time.sleep(SOON)
        after = [_click(bystander, session) for _ in range(FEWEST)]
        ended = time.monotonic()
        last = victim.seen()
        while not _is_back(first, last) and time.monotonic() - ended < PATIENCE:
            time.sleep(2.0)
            last = victim.seen()
    return Line(
        name,
        answers,
        seconds,
        *(p95(clicks) for clicks in (before, during, after)),
        (first, most, last),
        time.monotonic() - ended + SOON,
    )


def table(lines: list[Line]) -> str:
    """All lines, in Markdown."""
    head = (
        "| attack | requests | seconds | click p95 before / during / after | threads before / most "
        "/ after | memory, MB | disk, MB | back after | verdict |\n" + "|---" * 9 + "|"
    )
    return "\n".join([head, *map(_row, lines)])


def p95(values: list[float]) -> float:
    """The 95th percentile."""
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


def _row(line: Line) -> str:
    answers = ", ".join(f"{number} × {status}" for status, number in sorted(line.answers.items()))
    clicks = " / ".join(f"{1000 * value:.0f}" for value in (line.before, line.during, line.after))
    threads, memory, disk = (
        " / ".join(f"{getattr(seen, what):.0f}" for seen in line.held)
        for what in ("threads", "memory", "disk")
    )
    cells = line.name, answers, f"{line.seconds:.0f}", f"{clicks} ms", threads, memory, disk
    return "| " + " | ".join([*cells, f"{line.back:.0f} s", line.verdict]) + " |"


def _click(bystander: Caller, session: str) -> float:
    seconds = bystander.click(session)
    time.sleep(LOOK)
    return seconds


def _is_back(first: Seen, now: Seen) -> bool:
    return now.threads <= 1.2 * first.threads and now.memory <= 1.2 * first.memory
