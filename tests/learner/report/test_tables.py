"""The table: metrics by arms, a winner only where one is significantly better than all others."""

import csv
import io
import json
from dataclasses import replace

import pytest

from learner.experiments.estimates import Arm, final, versus
from learner.experiments.original import PUBLISHED
from learner.experiments.results_file import parse_results
from learner.report.tables import METRICS, NOBODY, as_csv, markdown, winner
from tests.learner.experiments.originals import train_continuous_record, train_qwen_record
from tests.learner.experiments.runs import made_up

BY_NAME = {metric.name: metric for metric in METRICS}


def arm(name, seeds=5, **settings):
    return Arm(name, tuple(made_up(seed, name=name, **settings) for seed in range(seeds)))


def test_a_clear_winner_is_named():
    arms = [arm("good", after=0.9), arm("bad", after=0.3), arm("worse", after=0.2)]
    assert winner(BY_NAME["final accuracy"], arms) == "good"
    assert winner(BY_NAME["improvement (points)"], arms) == "good"
    assert winner(BY_NAME["model size"], arms) == NOBODY


def test_nobody_wins_by_luck():
    arms = [arm("one", seeds=2), arm("other", seeds=2)]
    assert winner(BY_NAME["initial accuracy"], arms) == NOBODY
    assert winner(BY_NAME["final accuracy"], arms) == NOBODY
    assert winner(BY_NAME["final accuracy"], arms[:1]) == NOBODY


def test_two_that_are_equally_good_share_no_victory():
    arms = [arm("a", after=0.9), arm("b", after=0.9), arm("bad", after=0.2)]
    assert winner(BY_NAME["final accuracy"], arms) == NOBODY


def test_nobody_wins_against_what_the_shared_seeds_say():
    high = [made_up(seed, name="some", after=0.9) for seed in (1, 2)]
    some = Arm("some", (made_up(0, name="some", after=0.2), *high))
    arms = [some, arm("one", seeds=1, after=0.6)]
    paired = versus(*arms, final)
    assert paired.value < 0 and paired.p_value < 0.01  # though in the mean it is ahead
    for name in ("final accuracy", "improvement (points)"):
        assert BY_NAME[name].value(some) > BY_NAME[name].value(arms[1])
        assert winner(BY_NAME[name], arms) == NOBODY


def test_speed_is_judged_in_the_unit_that_it_is_shown_in():
    speed = BY_NAME["episodes a second"]
    arms = [arm("five side by side"), arm("alone", seeds=1)]  # a run of each is as fast
    assert speed.shown(arms[0]) == "250.00" and speed.shown(arms[1]) == "50.00"
    assert winner(speed, arms) == "five side by side"
    quick = replace(arms[1].runs[0], step_rates=tuple(r * 5 for r in arms[0].runs[0].step_rates))
    assert winner(speed, [arms[0], Arm("as fast in each step", (quick,))]) == NOBODY


def test_the_originals_claims_have_no_winner_in_improvement():
    arms = [Arm(run.name, (run,)) for run in PUBLISHED]
    assert winner(BY_NAME["improvement (points)"], arms) == NOBODY
    assert winner(BY_NAME["episodes a second"], arms) == NOBODY
    assert winner(BY_NAME["initial accuracy"], arms) == NOBODY  # 13 of 20 against 1 of 5


def test_markdown_has_a_row_a_metric_and_a_column_an_arm():
    arms = [arm("a | b"), Arm("published", (PUBLISHED[1],))]
    lines = markdown(arms).splitlines()
    assert len(lines) == 2 + len(METRICS)
    assert lines[0] == "|  | a \\| b | published | winner |"
    assert all(line.replace("\\|", "").count("|") == 5 for line in lines)
    text = "\n".join(lines)
    assert "10.0 % [2.8, 30.1]" in text
    assert "(separate samples)" in text
    assert "1 seed, 50 problems (first: 20)" in text


def test_csv_has_a_row_an_arm_with_numbers():
    rows = list(csv.DictReader(io.StringIO(as_csv([arm("mine"), Arm("p", (PUBLISHED[0],))]))))
    assert [row["name"] for row in rows] == ["mine", "p"]
    assert float(rows[0]["final_low"]) < float(rows[0]["final"]) < float(rows[0]["final_high"])
    assert (rows[0]["seeds"], rows[0]["paired"], rows[1]["paired"]) == ("5", "yes", "no")
    assert (rows[0]["alone"], rows[1]["alone"]) == ("0.0", "")
    assert float(rows[1]["change"]) == pytest.approx(-0.03)


def test_files_of_the_original_can_be_put_in_the_table():
    for record in (train_qwen_record(), train_continuous_record()):
        run = parse_results(json.dumps(record).encode(), "original")
        assert run.model in as_csv([Arm("original", (run,))])
        assert "initial accuracy" in markdown([Arm("original", (run,))])
