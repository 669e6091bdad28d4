import json
from dataclasses import replace
from pathlib import Path

import pytest

from learner.__main__ import main
from learner.checkpoint.files import load, save
from learner.inspection import size
from learner.learning.learner import LearnerConfig, new_learner
from learner.model.loading import load_base_model


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """An untrained soft prompt of two vectors, said to have learnt something."""
    base_model = load_base_model(dtype="float32")
    learner = new_learner(base_model, LearnerConfig(soft_tokens=2))
    return save(replace(learner, episodes=4), tmp_path / "mine", base_model, curve=False)


def test_a_report_with_its_pictures_and_json_is_written(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "inside"
    given = ["--problems", "3", "--dtype", "float32", "--output-dir", str(out)]
    assert main(["inspect", "--checkpoint", str(checkpoint), *given]) == 0
    captured = capsys.readouterr()
    assert "inspection.md" in captured.out
    assert "no gain can be told from chance" in captured.err
    report = (out / "inspection.md").read_text(encoding="utf-8")
    assert "after 4 episodes; 3 held-out problems" in report
    for line in report.splitlines():
        if line.startswith("!["):
            assert (out / line[line.index("(") + 1 : -1]).is_file()
    record = json.loads((out / "inspection.json").read_text(encoding="utf-8"))
    assert record["model"] == "pocket" and len(record["vectors"]["shares"]) == 2


def test_the_smallest_can_be_saved_and_loads_again(
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is lost where nothing was answered, so one vector of one bit a number will do."""
    monkeypatch.setattr(size, "MARGIN", 0.9)  # of three problems less could not be told
    small = tmp_path / "small"
    given = ["--problems", "3", "--dtype", "float32", "--json", "--save-smallest", str(small)]
    assert main(["inspect", "--checkpoint", str(checkpoint), *given]) == 0
    json.loads(capsys.readouterr().out)
    learner = load(small, load_base_model(dtype="float32"))
    assert learner.prompt.shape == (1, 192)
    assert len(set(learner.prompt[0].tolist())) == 2


def test_the_report_is_kept_where_the_smallest_cannot_be_saved(
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(size, "MARGIN", 0.9)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.tex").touch()
    given = ["--problems", "3", "--dtype", "float32", "--output-dir", str(tmp_path / "inside")]
    smallest = ["--save-smallest", str(tmp_path / "taken")]
    assert main(["inspect", "--checkpoint", str(checkpoint), *given, *smallest]) == 2
    assert "thesis.tex" in capsys.readouterr().err
    assert (tmp_path / "inside" / "inspection.md").is_file()


def test_two_problems_are_the_fewest(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["inspect", "--checkpoint", str(checkpoint), "--problems", "1"])
    assert "--problems" in capsys.readouterr().err


def test_a_run_of_another_model_is_looked_into_on_request(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base_model = load_base_model(dtype="float32")
    learner = load(checkpoint, base_model)
    other = replace(learner, source=replace(learner.source, revision="another"))
    for name in ("best", "checkpoint_ep4"):
        save(other, tmp_path / "run" / name, curve=False)
    asked = ["inspect", "--checkpoint", str(tmp_path / "run"), "--problems", "2", "--json"]
    assert main([*asked, "--dtype", "float32"]) == 2
    assert "(--any-model does)" in capsys.readouterr().err
    assert main([*asked, "--dtype", "float32", "--any-model"]) == 0
    assert "vectors" in json.loads(capsys.readouterr().out)
