"""Scores as a CSV file, a line an exam, for spreadsheets and statistics programs."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from learner.experiments.plan import TECHNIQUES
from learner.experiments.results import Results
from learner.measuring import Score

_SCORE = ("episodes", "n", "correct", "no_answer", "accuracy", "low", "high")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_csv(scores: Iterable[tuple[Mapping[str, object], Score]]) -> str:
    """A line for each score, behind its labels: all of them have the same ones, by column.

    ``low`` and ``high`` are the 95 % interval of the accuracy. No text is taken for a formula.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    for number, (labels, score) in enumerate(scores):
        if number == 0:
            table.writerow([*labels, *_SCORE])
        counts = (score.episodes, score.n, score.correct, score.no_answer)
        shares = (score.accuracy, score.interval.low, score.interval.high)
        table.writerow(
            [*map(_cell, labels.values()), *counts, *(f"{share:.4f}" for share in shares)]
        )
    return text.getvalue()


def run_table(runs: Sequence[Results], technique: str) -> str:
    """Every exam of every seed of an experiment as CSV; ``technique`` is a key."""
    rows: list[tuple[Mapping[str, object], Score]] = []
    for run in runs:
        labels = {
            "run": run.name,
            "what": TECHNIQUES[technique].name,
            "model": run.model,
            "chat_template": run.chat_template,
            "seed": run.seed,
        }
        baselines = {"model alone": run.alone, "worked examples alone": run.examples_alone}
        rows += [
            ({**labels, "asked_of": name}, score) for name, score in baselines.items() if score
        ]
        rows += [({**labels, "asked_of": "soft prompt"}, score) for score in run.curve]
    return as_csv(rows)


def _cell(value: object) -> str:
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
