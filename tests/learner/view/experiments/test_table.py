"""The table of experiments: every accuracy with its interval, every change with its p-value."""

from dataclasses import replace

from learner.experiments.estimates import Arm
from learner.experiments.original import PUBLISHED
from learner.view.experiments.table import COLUMN_WIDTHS, COLUMNS, row_of, row_without, table_of
from tests.learner.experiments.runs import made_up


def cells(row):
    return {name: cell.replace("\u00a0", " ") for name, cell in zip(COLUMNS, row, strict=True)}


def test_a_row_has_accuracies_with_intervals_and_the_change_with_its_p():
    arm = Arm("mine", tuple(made_up(seed) for seed in range(3)))
    row = cells(row_of(arm, "curriculum", "finished"))
    assert (row["Run"], row["What"], row["State"]) == ("mine", "curriculum", "finished")
    assert row["Seeds × n"] == "3 × 40"
    assert row["Model alone"] == "0.0 % [0.0, 8.8]"
    assert row["After"].count("[") == row["Before"].count("[") == 1
    assert row["Change (points)"].startswith("+")
    assert row["p"] == "< 0.0001"
    assert float(row["Episodes/s"]) == 150


def test_what_was_published_has_its_own_row():
    rows = [cells(row_of(Arm(run.name, (run,)), "original", "published")) for run in PUBLISHED]
    assert [row["Seeds × n"] for row in rows] == [
        "1 × 50 (20 before)",
        "1 × 50 (20 before)",
        "1 × 20 (5 before)",
    ]
    assert {row["Model alone"] for row in rows} == {"–"}
    assert rows[0]["p"] == "1"


def test_what_is_not_known_yet_is_not_made_up():
    run = made_up()
    early = replace(run, curve=run.curve[:1], final=run.curve[0], episodes_per_second=0.0)
    row = cells(row_of(Arm("early", (early,)), "best", "running"))
    assert {row[name] for name in ("After", "Change (points)", "p", "Episodes/s")} == {"–"}
    assert "[" in row["Before"]
    nothing = cells(row_without("new", "meta", True, "waiting"))
    assert nothing["Format"] == "with template"
    assert list(nothing.values()).count("–") == 7


def test_there_is_a_heading_and_a_width_for_each_column():
    row = row_without("new", "meta", True, "waiting")
    assert table_of([row]) == {"headers": list(COLUMNS), "data": [list(row)]}
    assert len(COLUMN_WIDTHS) == len(COLUMNS) == len(row)
