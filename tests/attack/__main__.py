"""Attack the real app on loopback and print what a bystander noticed.

python -m tests.attack                     everything; about twenty minutes on two cores
python -m tests.attack followers fuzz      some of it
python -m tests.attack kills --kills 20
python -m tests.attack stops --stops 5
"""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.attack.attacks import ALL
from tests.attack.kills import KILLS, STOPS, survived
from tests.attack.report import ELSEWHERE, HERE, suffered, table
from tests.attack.victim import Caller, victim

NAMES = [attack.__name__ for _, attack, _ in ALL]


def main(arguments: list[str] | None = None) -> int:
    """Run the attacks that are named, or all; 0 if all of them were held off."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__)
    every = [*NAMES, "kills", "stops"]
    parser.add_argument("attacks", nargs="*", metavar="ATTACK", help=", ".join(every))
    parser.add_argument("--kills", type=int, default=KILLS, help=f"how many ({KILLS})")
    parser.add_argument("--stops", type=int, default=STOPS, help=f"how many ({STOPS})")
    parser.add_argument(
        "--here", action="store_true", help="the bystander is at the address that attacks come from"
    )
    options = parser.parse_args(arguments)
    address = HERE if options.here else ELSEWHERE
    chosen = options.attacks or every
    if unknown := [name for name in chosen if name not in every]:
        parser.error(f"there is no attack named {unknown[0]}")
    lines = []
    for name, attack, episodes in ALL:
        if attack.__name__ in chosen:
            with TemporaryDirectory(prefix="attack-") as folder, victim(Path(folder)) as app:
                with Caller(app.url) as caller:  # what is made once is made before it is counted
                    caller.call("train", str(caller.call("new_session")), 80, False, "answer")
                lines.append(suffered(app, name, attack, episodes, address))
            print(table(lines[-1:]).splitlines()[-1], flush=True)
    if lines:
        print(table(lines))
    lost = 0
    for name, times in (("kills", options.kills), ("stops", options.stops)):
        if name in chosen:
            with TemporaryDirectory(prefix=f"attack-{name}-") as folder:
                lost += survived(Path(folder), times, told_to=name == "stops")
    return int(lost > 0 or any(line.verdict != "held" for line in lines))


if __name__ == "__main__":
    sys.exit(main())
