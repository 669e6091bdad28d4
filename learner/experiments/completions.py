"""``completions.jsonl``: what the model wrote at every exam, one answer a line, to be looked at.

A run's file lies beside its ``results.json`` and is written whole at every milestone, before it: so
what a crash leaves may be ahead of the results by one milestone, which is measured again then and
replaces its own lines. Where it would grow too long the exams in the middle go, never those of the
start and the latest one.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import with_config

from learner.checkpoint.atomic_folder import write_file
from learner.checkpoint.reading import LENIENT, CheckpointError, Count, parse
from learner.measuring import NO_ANSWER, RIGHT, WRONG, Written

COMPLETIONS = "completions.jsonl"
MAX_BYTES = 1 << 24
SOFT_PROMPT = "soft prompt"  # who was asked, where it was not one of the baselines
GRADES = {RIGHT: "right", WRONG: "wrong", NO_ANSWER: "no answer"}


@with_config(LENIENT)
@dataclass(frozen=True)
class Line:
    """An answer: who was asked, after how many ``episodes``, what, and what came of it.

    ``grade`` is one of ``GRADES``; ``extracted`` is the answer that was read off the completion,
    and ``span`` where in it that stands, [start, end).
    """

    asked_of: str
    split: str
    episodes: Count
    key: str
    family: str
    difficulty: Count
    question: str
    gold: str
    completion: str
    grade: str
    extracted: str | None
    reason: str
    span: tuple[int, int] | None

    def __post_init__(self) -> None:
        if self.grade not in GRADES.values():
            raise ValueError(f"a grade is {', '.join(GRADES.values())}.")


def lines_of(
    written: Iterable[Written], asked_of: str, episodes: int, split: str = "held-out"
) -> tuple[Line, ...]:
    """The lines of one exam."""
    return tuple(
        Line(
            asked_of=asked_of,
            split=split,
            episodes=episodes,
            key=one.problem.key,
            family=one.problem.family,
            difficulty=one.problem.difficulty,
            question=one.problem.question,
            gold=one.problem.answer,
            completion=one.completion,
            grade=GRADES[one.outcome],
            extracted=one.grade.extracted,
            reason=one.grade.reason,
            span=one.grade.span,
        )
        for one in written
    )


def write_completions(lines: Iterable[Line], path: Path) -> Path:
    """Make the file hold exactly these lines, in one step. Raises OSError."""
    return write_file("".join(map(_text, lines)).encode(), path)


def add_completions(lines: Sequence[Line], path: Path) -> None:
    """Add the exams of a milestone, in place of what there is of it and of later ones.

    Raises CheckpointError if what is there cannot be read, OSError if it cannot be written.
    """
    now = max(line.episodes for line in lines)
    before = read_completions(path) if path.is_file() else ()
    new = {_exam(line) for line in lines}
    kept = [line for line in before if line.episodes <= now and _exam(line) not in new]
    write_completions(_thinned([*kept, *lines]), path)


def keep_ends(path: Path) -> None:
    """Keep the exams before learning and after it alone, if there are any."""
    if not path.is_file():
        return
    lines = read_completions(path)
    last = max((line.episodes for line in lines), default=0)
    write_completions((line for line in lines if line.episodes in (0, last)), path)


def read_completions(path: Path) -> tuple[Line, ...]:
    """The lines of a file. Raises CheckpointError if it is none, or too large."""
    try:
        with open(path, "rb") as file:
            data = file.read(2 * MAX_BYTES + 1)
    except OSError as error:
        raise CheckpointError(f"{path.name} cannot be read ({error.strerror}).") from error
    return parse_completions(data, path.name)


def parse_completions(data: bytes, file: str = COMPLETIONS) -> tuple[Line, ...]:
    """The lines in a file's bytes. Raises CheckpointError."""
    if len(data) > 2 * MAX_BYTES:
        raise CheckpointError(f"{file} is larger than any run's completions.")
    rows = data.split(b"\n")
    return tuple(
        parse(Line, row, f"{file}, line {number},") for number, row in enumerate(rows, 1) if row
    )


def _exam(line: Line) -> tuple[str, str, int]:
    return line.asked_of, line.split, line.episodes


def _thinned(lines: list[Line]) -> list[Line]:
    """The lines without the earliest exams after the start, as far as there is no room."""
    sizes: Counter[int] = Counter()  # bytes, by the milestone
    for line in lines:
        sizes[line.episodes] += len(_text(line).encode())
    middle = sorted(sizes)[1:-1]
    while middle and sizes.total() > MAX_BYTES:
        del sizes[middle.pop(0)]
    return [line for line in lines if line.episodes in sizes]


def _text(line: Line) -> str:
    return json.dumps(asdict(line), ensure_ascii=False) + "\n"
