"""Kill the app at random moments while somebody trains and clicks; nothing acknowledged is lost.

Acknowledged is what an answer said had been learnt, two seconds ago or more: runs are saved as they
end, by a thread that may wait for a disk.
"""

import random
import threading
import time
from pathlib import Path

import httpx

from tests.attack.victim import Caller
from tests.browser.running_app import app_process

KILLS = 100
LONGEST = 6.0  # seconds of life
ACKNOWLEDGED = 2.0  # seconds


def survived(folder: Path, kills: int, seed: int = 0) -> int:
    """How often something was lost. Prints a line for each loss, and one in the end."""
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
            process.kill()
            working.join()
            runs += len(told)
            known = max([known, *(n for at, n in told if killed - at >= ACKNOWLEDGED)])
    print(f"{kills} kills, {runs} runs acknowledged, {lost} losses, {known} episodes in the end")
    return lost


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
