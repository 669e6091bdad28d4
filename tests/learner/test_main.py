"""The command line, as a person runs it, on the embedded model."""

import json

import pytest

from learner.__main__ import main
from learner.base_model import POCKET_FOLDER
from tests.learner.checkpoints import OriginalExperiment


def test_training_without_the_template_shows_the_rise_and_saves(tmp_path, capsys):
    folder = tmp_path / "prompt"
    arguments = "train --no-chat-template --episodes 40 --eval-interval 20 --eval-problems 50"
    assert main([*arguments.split(), "--output", str(folder)]) == 0
    printed = capsys.readouterr().out
    for line in ("model alone", "untrained", "20 episodes", "40 episodes", "logic_grid"):
        assert line in printed
    assert "exact McNemar p =" in printed

    compared = ["evaluate", "--no-chat-template", "--problems", "50", "--json", "-"]
    assert main([*compared, "--checkpoint", str(folder)]) == 0
    taught = json.loads(capsys.readouterr().out)
    assert main(compared) == 0
    alone = json.loads(capsys.readouterr().out)
    assert taught["n"] == alone["n"] == 50
    assert taught["correct"] > alone["correct"] + 10
    assert taught["interval"][0] <= taught["accuracy"] <= taught["interval"][1]


def test_evaluate_prints_every_family_with_its_interval(capsys):
    assert main(["evaluate", "--problems", "25"]) == 0
    printed = capsys.readouterr().out
    for family in ("causal", "comparison", "logic_grid", "math_word", "sequence"):
        assert f"{family}  " in printed
    assert printed.count("of 5") == 5


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["evaluate", "--model", "no/such/folder"], "no/such/folder"),
        (["evaluate", "--checkpoint", "nowhere"], "nowhere"),
        (["train", "--soft-tokens", "0"], "1 to 1000"),
        (["train", "--lr", "nan"], "learning rate"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(arguments, complaint, capsys):
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert complaint in printed.err
    assert len(printed.err.strip().splitlines()) == 1
    assert "Traceback" not in printed.err


def test_a_checkpoint_whose_model_is_not_known_is_used_on_request(tmp_path, capsys):
    path = tmp_path / "checkpoint_ep2.pt"
    size = json.loads((POCKET_FOLDER / "config.json").read_text())["hidden_size"]
    path.write_bytes(OriginalExperiment(size).learn(2).saved())
    arguments = ["evaluate", "--problems", "5", "--checkpoint", str(path)]
    assert main(arguments) == 2
    assert "checkpoint_ep2.pt does not say" in (complaint := capsys.readouterr().err)
    assert complaint.endswith("(--any-model does).\n")
    assert main([*arguments, "--any-model"]) == 0
    assert "by the soft prompt" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["train", "--episodes", "0"], ["train", "--episodes", "x"]])
def test_flags_that_make_no_sense_are_refused_by_name(arguments, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert "--episodes" in capsys.readouterr().err
