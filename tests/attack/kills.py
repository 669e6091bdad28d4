"""End the app at random moments while somebody trains and clicks; nothing acknowledged is lost.

Acknowledged is what an answer said had been learnt: two seconds ago or more if it is killed, since
runs are saved as they end, by a thread that may wait for a disk; at any time if it is told to end,
which it then does soon, with status 0 and without a complaint.
"""

import random
import subprocess
import threading
import time
from pathlib import Path

import httpx

from tests.attack.victim import Caller
from tests.browser.running_app import app_process

KILLS, STOPS = 100, 50
COMPLAINTS = ("Traceback", "FATAL")
STOPPED_AFTER = 30.0  # seconds at most
LONGEST = 6.0  # seconds of life
ACKNOWLEDGED = 2.0  # seconds


def survived(folder: Path, kills: int, told_to: bool = False, seed: int = 0) -> int:
    """How often something was lost, or it did not end well though it was ``told_to`` (SIGTERM).

    Prints a line for each such time, and one in the end.
    """
    rng = random.Random(seed)
    session, known, lost, runs = "", 0, 0, 0
    for number in range(kills + 1):
        with app_process(folder) as (url, process):
            with Caller(url) as caller:
                if not known:  # nothing of a session is kept before it has learnt something
                    session = str(caller.call("new_session"))
                found = _episodes(caller, session)
            if found < known:
                lost += 1
                print(f"kill {number}: {known} episodes were acknowledged, {found} came back")
            known = found
            if number == kills:
                break
            told: list[tuple[float, int]] = []
            working = threading.Thread(target=_train, args=(url, session, told))
            working.start()
            time.sleep(rng.uniform(0.0, LONGEST))
            killed = time.monotonic()
            if told_to:
                process.terminate()
                complaint = _complaint(process, folder)
                if complaint:
                    lost += 1
                    print(f"stop {number}: {complaint}")
            process.kill()
            working.join()
            runs += len(told)
            age = 0.0 if told_to else ACKNOWLEDGED
            known = max([known, *(n for at, n in told if killed - at >= age)])
    what = "stops" if told_to else "kills"
    print(f"{kills} {what}, {runs} runs acknowledged, {lost} losses, {known} episodes in the end")
    return lost


def _complaint(process: "subprocess.Popen[str]", folder: Path) -> str:
    """How it did not end as it was told to; empty if it did."""
    try:
        status = process.wait(STOPPED_AFTER)
    except subprocess.TimeoutExpired:
        return f"it goes on after {STOPPED_AFTER:g} seconds"
    log = (folder / "log.txt").read_text()
    if status or any(complaint in log for complaint in COMPLAINTS):
        return f"it ended with status {status}, saying {log[-500:]!r}"
    return ""


def _episodes(caller: Caller, session: str) -> int:
    """How many a session has learnt from; none if there is no such session."""
    try:
        return int(caller.call("learner", session)["episodes"])  # type: ignore[index]
    except ValueError:
        return 0


def _train(url: str, session: str, told: list[tuple[float, int]]) -> None:
    """Train and click until the app is gone; note down what was said to have been learnt."""
    with Caller(url) as caller:
        try:
            while True:
                learner = caller.call("train", session, 4, False, "answer")
                told.append((time.monotonic(), int(learner["episodes"])))  # type: ignore[index]
                caller.click(session)
                caller.call("save", session)
        except (httpx.HTTPError, ValueError):
            return
