"""``python -m arena``: Print a few problems to look at, as text or as JSON lines.

python -m arena --family causal --difficulty 3
python -m arena -n 1000 --split validation --json
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice

from arena.command_line import Parser, run_command, whole_number
from arena.families import FAMILIES
from arena.problem import Problem
from arena.sampling import DIFFICULTIES, SPLITS, stream


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the first problems of one stream; without ``--seed`` always the same ones."""
    parser = Parser(prog="python -m arena", text=__doc__)
    parser.add_argument("--family", choices=FAMILIES, help="only this family (default: all)")
    parser.add_argument(
        "--difficulty", type=int, choices=DIFFICULTIES, help="only this one (default: all)"
    )
    parser.add_argument("--split", choices=SPLITS, default="train", help="default: %(default)s")
    parser.add_argument(
        "--seed", type=whole_number(most=2**63 - 1), default=0, help="default: %(default)s"
    )
    parser.add_argument(
        "-n", type=whole_number(), default=10, help="how many (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    chosen = parser.parse_args(arguments)

    families = [chosen.family] if chosen.family else None
    problems = stream(chosen.seed, chosen.split, families, chosen.difficulty)
    for problem in islice(problems, chosen.n):
        print(json.dumps(asdict(problem)) if chosen.json else as_text(problem))


def as_text(problem: Problem) -> str:
    heading = f"{problem.family}, difficulty {problem.difficulty}"
    answer = f"{problem.answer}   ({problem.explanation})"
    return f"{heading}\n  {problem.question}\n  → {answer}\n"


if __name__ == "__main__":
    sys.exit(run_command(main))
