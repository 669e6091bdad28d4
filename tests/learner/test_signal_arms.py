"""The comparison of signals measures what it says, and says what it measured."""

import json
from pathlib import Path

import pytest

from arena import Grade, Problem, held_out
from learner import reward, signals
from learner.base_model import BaseModel
from learner.signals import Arm, Curve, Stretch, learn, main, table, verdict

PROBLEMS = held_out(4, difficulty=1)
NOTHING = Stretch(0.0, 0.0, 0.0, 0.0, 0.0)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short samples, of which about half are right; one step timed."""

    def by_length(_: Problem, text: str) -> Grade:
        return Grade(len(text) % 2 == 1, text, "")

    monkeypatch.setattr(reward, "MAX_SAMPLE_TOKENS", 4)
    monkeypatch.setattr(reward, "grade", by_length)
    monkeypatch.setattr(signals, "TIMED", 1)


def curve(accuracy: dict[int, tuple[float, ...]], last: Stretch = NOTHING) -> Curve:
    arm = Arm("reward", False, seeds=len(accuracy[0]), steps=60)
    return Curve(arm, 200, accuracy, 0.25, (60, 58), NOTHING, last)


@pytest.mark.parametrize("signal", ["answer", "reward", "mix"])
def test_every_seed_is_measured_where_asked_and_at_the_end(
    base_model: BaseModel, signal: str
) -> None:
    arm = Arm(signal, chat_template=True, seeds=2, steps=3)
    found = learn(base_model, arm, PROBLEMS, measured_at=(2,))
    assert list(found.accuracy) == [0, 2, 3]
    assert all(len(values) == 2 for values in found.accuracy.values())
    assert all(0 < steps <= 3 for steps in found.taken) and found.seconds_a_step > 0
    if signal == "answer":
        assert found.first == found.last == NOTHING
    else:
        assert 0 < found.last.reward < 1 and found.last.entropy > 0
        assert 1 <= found.last.length <= 4 and 0 < found.last.with_signal <= 1


def test_one_seed_among_others_learns_what_it_learns_alone(qwen2: BaseModel) -> None:
    pair, one = (
        learn(qwen2, Arm("reward", False, seeds=seeds, steps=2), PROBLEMS) for seeds in (2, 1)
    )
    assert pair.taken[0] == one.taken[0]
    assert [values[0] for values in pair.accuracy.values()] == [
        values[0] for values in one.accuracy.values()
    ]


def test_the_table_has_accuracy_with_its_interval_seconds_and_what_was_sampled() -> None:
    sampled = Stretch(0.5, 0.29, 0.51, 2.7, 0.02)
    text = table([curve({0: (0.0, 0.0), 20: (0.6, 0.64)}, sampled)])
    assert "reward, without template, learning rate 0.01 (250 ms a step" in text
    assert "20 steps     5.0 s    62.0% [36.6%, 87.4%]   each seed: 60.0 64.0" in text
    assert "entropy 0.00 → 0.29" in text and "no answer 0% → 2%" in text
    assert "steps taken of 60 tried: 60, 58" in text
    assert "samples" not in table([curve({0: (0.0, 0.0)})])


def test_a_single_seed_has_the_interval_of_its_problems() -> None:
    assert "50.0% [43.1%, 56.9%]" in table([curve({0: (0.5,)})])


def test_the_verdict_counts_seeds_that_came_near_the_templated_accuracy() -> None:
    found = curve({0: (0.0, 0.0, 0.0), 20: (0.63, 0.62, 0.1), 60: (0.5, 0.64, 0.2)})
    assert "2 of 3 seeds reached 90% of the templated accuracy" in verdict(found, 0.7)


def test_the_command_prints_and_writes_the_comparison(
    qwen2: BaseModel,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(signals, "load_base_model", lambda *_: qwen2)
    flags = "--seeds 2 --steps 1 --problems 4 --formats plain --signals reward"
    path = tmp_path / "signals.json"
    assert main([*flags.split(), "--json", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "4 held-out problems, 2 seeds" in printed and "of 2 seeds reached 90%" in printed
    (written,) = json.loads(path.read_text())
    assert written["arm"]["signal"] == "reward" and set(written["accuracy"]) == {"0", "1"}
    assert main([*flags.split(), "--learning-rates", "1e-3", "1e-2"]) == 0
    printed = capsys.readouterr().out
    assert "4 validation problems" in printed
    assert "learning rate 0.001" in printed and "learning rate 0.01" in printed


def test_a_mistake_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", "no/such/model"]) == 2
    assert capsys.readouterr().err.startswith("error: ")
