"""The command line, as a person runs it, on the embedded model."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from arena.command_line import NOBODY_READS
from learner.__main__ import main
from learner.model.source import POCKET_FOLDER
from tests.learner.checkpoints import OriginalExperiment
from tests.learner.experiments.originals import train_qwen_record
from tests.learner.tiny_gguf import write_gguf
from tests.learner.tiny_models import build_model, build_tokenizer

ROOT = Path(__file__).parents[3]


def test_training_without_the_template_shows_the_rise_and_saves(tmp_path, capsys):
    folder = tmp_path / "run"
    arguments = "train --no-chat-template --episodes 40 --eval-problems 50 --validation-problems 20"
    assert main([*arguments.split(), "--output-dir", str(folder)]) == 0
    printed = capsys.readouterr().out
    for line in ("model alone", "before learning", "20 episodes", "after 40", "logic_grid"):
        assert line in printed
    assert "p < 0.0001 (paired)" in printed
    assert "n = 50 can only see changes above ±" in printed

    compared = ["evaluate", "--problems", "50", "--json", "-"]
    written = tmp_path / "answers.jsonl"
    told = ["--checkpoint", str(folder), "--completions", str(written)]
    assert main([*compared, *told]) == 0
    taught = json.loads(capsys.readouterr().out)
    assert not taught["chat_template"]  # as it learnt
    lines = [json.loads(line) for line in written.read_text().splitlines()]
    assert [line["asked_of"] for line in lines] == ["model alone"] * 50 + ["soft prompt"] * 50
    assert sum(line["grade"] == "right" for line in lines[50:]) == taught["correct"]
    assert main([*compared, "--no-chat-template"]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert taught["n"] == alone["n"] == 50
    assert taught["correct"] > alone["correct"] + 10
    assert taught["interval"][0] <= taught["accuracy"] <= taught["interval"][1]
    assert taught["alone"]["outcomes"] == alone["outcomes"]
    assert taught["gained"] - taught["lost"] == taught["correct"] - alone["correct"]


def test_seeds_learn_side_by_side_into_folders_of_their_own(tmp_path, capsys):
    small = ["--episodes", "4", "--eval-problems", "5", "--validation-problems", "0"]
    folder = tmp_path / "run"
    assert main(["train", *small, "--seed", "3", "--seeds", "2", "--output-dir", str(folder)]) == 0
    assert "of 5 problems, 2 seeds" in capsys.readouterr().out
    names = {path.name for path in folder.iterdir()}
    assert names == {"seed-3", "seed-4", "learning_curves.png"}
    assert main(["train", *small, "--output-dir", str(folder)]) == 2
    assert "holds a run already" in capsys.readouterr().err
    assert main(["train", "--resume", str(folder)]) == 0  # there is nothing left to do
    assert main(["train", "--resume", str(folder), "--lr", "1"]) == 2
    assert "leave out --lr" in capsys.readouterr().err
    assert main(["train", "--resume", str(folder), "--curriculum"]) == 2
    assert "leave out --curriculum" in capsys.readouterr().err
    elsewhere = str(tmp_path / "elsewhere")
    for flag, value in (
        ("--output-dir", elsewhere),
        ("--seeds", "2"),
        ("--preset", "best"),
        ("--dtype", "bfloat16"),
    ):
        assert main(["train", "--resume", str(folder), flag, value]) == 2
        assert f"leave out {flag}" in capsys.readouterr().err


def test_a_run_goes_on_on_another_device_if_that_is_asked_for(tmp_path, capsys, monkeypatch):
    small = "--episodes 4 --eval-problems 5 --validation-problems 0 --no-chat-template".split()
    assert main(["train", *small, "--device", "cpu", "--output-dir", str(tmp_path / "run")]) == 0
    results = tmp_path / "run" / "results.json"
    results.write_text(results.read_text().replace('"device": "cpu"', '"device": "cuda"'))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    capsys.readouterr()
    assert main(["train", "--resume", str(tmp_path / "run")]) == 2
    assert "use --device cpu" in capsys.readouterr().err
    assert main(["train", "--resume", str(tmp_path / "run"), "--device", "cpu"]) == 0
    assert "Note: it was started on cuda, and this is cpu" in capsys.readouterr().out


def test_a_prompt_per_family_is_evaluated_family_by_family(tmp_path, capsys):
    folder = tmp_path / "run"
    small = ["--episodes", "5", "--eval-problems", "5", "--validation-problems", "0"]
    assert main(["train", "--prompt-per-family", *small, "--output-dir", str(folder)]) == 0
    asked = ["evaluate", "--problems", "5", "--json", "-", "--checkpoint"]
    capsys.readouterr()
    assert main([*asked, str(folder)]) == 0
    together = json.loads(capsys.readouterr().out)
    assert main([*asked, str(folder / "checkpoint_ep5")]) == 0
    assert json.loads(capsys.readouterr().out)["outcomes"] == together["outcomes"]


def test_runs_and_the_originals_numbers_are_compared_in_one_table(tmp_path, capsys):
    small = ["--episodes", "4", "--eval-problems", "5"]
    run = tmp_path / "mine"
    assert main(["train", *small, "--validation-problems", "0", "--output-dir", str(run)]) == 0
    results = tmp_path / "original.json"
    results.write_text(json.dumps(train_qwen_record()))
    out = ["--output-dir", str(tmp_path / "table")]
    models = ["--models", "pocket", "--formats", "plain", "--presets", "best", "original"]
    arguments = [str(run), str(results), *models, "--seeds", "2", *small, "--original", *out]
    assert main(["compare", *arguments]) == 0
    printed = capsys.readouterr().out
    assert "| winner |" in printed
    for name in ("mine", "original.json", "pocket, plain, original", "original TinyLlama"):
        assert name in printed
    written = {path.name for path in (tmp_path / "table").iterdir() if path.is_file()}
    assert written == {"comparison.md", "comparison.csv", "comparison.png"}
    again = tmp_path / "again" / "original.json"
    again.parent.mkdir()
    again.write_bytes(results.read_bytes())
    assert main(["compare", *map(str, (run, results, again, run)), *out]) == 0
    assert f"|  | mine | {results} | {again} | winner |" in capsys.readouterr().out
    assert main(["compare", *out]) == 2
    assert "Say what to compare" in capsys.readouterr().err
    assert main(["compare", str(results), "--output-dir", str(results / "within")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and str(results) in line


def test_models_of_both_kinds_are_compared_in_the_formats_they_know(tmp_path, capsys):
    for architecture, template in (("qwen2", "chatml"), ("llama", "none")):
        build_model(architecture).save_pretrained(tmp_path / architecture)
        build_tokenizer(template).save_pretrained(tmp_path / architecture)
    models = [str(tmp_path / "qwen2"), str(tmp_path / "llama")]
    scale = "--seeds 2 --episodes 2 --eval-problems 4 --validation-problems 0".split()
    arguments = ["compare", "--models", *models, *scale, "--output-dir", str(tmp_path / "table")]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert f"{models[1]} has no chat template, so it is compared in plain text only" in printed
    assert "|  | qwen2, chat | qwen2, plain | llama, plain | winner |" in printed
    assert main(["compare", "--models", models[1], *scale, "--formats", "chat"]) == 2
    assert "ask in --formats plain" in capsys.readouterr().err


def test_models_of_one_name_are_told_apart_and_nonsense_is_refused_before_anything_runs(
    tmp_path, capsys
):
    models = [str(tmp_path / whose / "qwen2") for whose in ("ada", "bob")]
    for model in models:
        build_model("qwen2").save_pretrained(model)
        build_tokenizer("none").save_pretrained(model)
    scale = "--seeds 2 --episodes 2 --eval-problems 4 --validation-problems 0 --formats plain"
    arguments = ["compare", *scale.split(), "--output-dir", str(tmp_path / "table"), "--models"]
    assert main([*arguments, models[0], "no such model"]) == 2
    assert "no such model is neither a folder nor a model id" in capsys.readouterr().err
    assert not (tmp_path / "table").exists()
    assert main([*arguments, *models]) == 0
    assert f"|  | {models[0]}, plain | {models[1]}, plain |" in capsys.readouterr().out
    assert len([path for path in (tmp_path / "table").iterdir() if path.is_dir()]) == 2


def test_a_report_is_written_with_its_command(tmp_path, capsys):
    scale = "--seeds 2 --episodes 4 --problems 5 --validation-problems 5"
    arguments = ["reproduce", *scale.split(), "--chapters", "comparison"]
    arguments += ["--output-dir", str(tmp_path), "--dtype"]
    assert main([*arguments, "float32"]) == 0
    report = (tmp_path / "pocket" / "report.md").read_text()
    assert report in capsys.readouterr().out
    assert "python -m learner reproduce --seeds 2" in report
    assert "2 seeds, 5 held-out problems" in report
    assert "## Comparison" in report
    assert main([*arguments, "bfloat16"]) == 2
    assert "choose another folder by --output-dir" in capsys.readouterr().err


def test_evaluate_prints_every_family_with_its_interval(capsys):
    assert main(["evaluate", "--problems", "25"]) == 0
    printed = capsys.readouterr().out
    for family in ("causal", "comparison", "logic_grid", "math_word", "sequence"):
        assert f"{family}  " in printed
    assert printed.count("of 5\n") == 10  # five families and five difficulties
    assert "No answer could be read in" in printed


def test_worked_examples_alone_are_compared_with_the_model_alone(capsys):
    assert main(["evaluate", "--problems", "10", "--shots", "2", "--no-chat-template"]) == 0
    assert "model alone  →  with worked examples" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["evaluate", "--model", "no/such/folder"], "no/such/folder"),
        (["evaluate", "--checkpoint", "nowhere"], "nowhere"),
        (["train", "--soft-tokens", "0"], "1 to 1000"),
        (["train", "--lr", "nan"], "learning rate"),
        (["train", "--episodes", "0"], "1 to 100000 episodes"),
        (["train", "--eval-problems", "1"], "2 to 10000 problems, not 1"),
        (["train", "--resume"], "which run to go on with"),
        (["train", "--resume", "nowhere"], "no run in nowhere"),
        (["train", "--sequence", "--families", "causal"], "at least two families"),
        (["compare", "nowhere"], "nowhere"),
        (["reproduce", "--seeds", "1"], "at least 2 seeds"),
        (["reproduce", "--problems", "1"], "2 to 10000 problems, not 1"),
        (["reproduce", "--problems", "3"], "these 3 held-out problems are not of all"),
        (["reproduce", "--episodes", "3"], "an episode for each"),
        (
            ["reproduce", "--validation-problems", "0"],
            "give it at least 1 of --validation-problems",
        ),
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
    assert "model alone  →  with soft prompt" in capsys.readouterr().out


def test_a_reader_that_has_gone_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "learner", "evaluate", "--problems", "1"]
    with os.fdopen(writing, "wb") as pipe:
        run = subprocess.run(
            command, cwd=ROOT, stdout=pipe, stderr=subprocess.PIPE, text=True, check=False
        )
    assert run.returncode == NOBODY_READS
    assert "Error" not in run.stderr and "Exception" not in run.stderr


def test_evaluate_says_in_which_format_it_asks_and_why(tmp_path, capsys):
    small = "--no-chat-template --episodes 4 --eval-problems 5 --validation-problems 0".split()
    assert main(["train", *small, "--output-dir", str(tmp_path)]) == 0
    asked = ["evaluate", "--problems", "5", "--checkpoint", str(tmp_path)]
    for flags, says in (
        ([], "5 held-out problems, asked in plain text, as the soft prompt was taught."),
        (["--chat-template"], "5 held-out problems, asked with the chat template."),
    ):
        capsys.readouterr()
        assert main([*asked, *flags]) == 0
        assert says in capsys.readouterr().out


@pytest.mark.parametrize("command", ["train", "evaluate", "compare", "reproduce", "push", "pull"])
def test_each_command_has_help_with_examples(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    printed = capsys.readouterr().out
    _, _, examples = printed.partition("examples:\n")
    assert f"  python -m learner {command} " in f"{examples} "
    assert "base model:" in printed  # flags are in groups


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        (["evaluate", "--problems", "0"], "--problems: 0 is not a whole number from 1"),
        (["evaluate", "--problems", "9" * 5000], "is not a whole number"),
        (["train", "--epsiodes", "4"], "There is no --epsiodes; did you mean --episodes?"),
        (["trian"], "command cannot be trian; did you mean train?"),
        (["pull", "a/b"], "folder"),
        (["train", "--episodes", "x"], "--episodes"),
        (["train", "--seeds", "0"], "--seeds: 0 is not a whole number from 1"),
        (["compare", "--models", "pocket", "--seeds", "0"], "--seeds: 0 is not a whole number"),
        (["train", "--curriculum", "--sequence"], "--curriculum"),
        (["train", "--init", "magic"], "--init"),
        (["train", "--families", "chess"], "--families"),
    ],
)
def test_flags_that_make_no_sense_are_refused_by_name(arguments, flag, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert flag in line


def test_a_run_on_a_local_model_goes_on_where_the_model_lies_by_now(tmp_path, capsys):
    here, there = tmp_path / "tiny.gguf", tmp_path / "moved.gguf"
    write_gguf(here)
    run = str(tmp_path / "run")
    flags = ("--episodes", "4", "--eval-at", "4", "--eval-problems", "5", "--no-chat-template")
    settings = (*flags, "--validation-problems", "0", "--device", "cpu", "--dtype", "float32")
    assert main(["train", "--model", str(here), *settings, "--output-dir", run]) == 0
    here.rename(there)
    capsys.readouterr()
    assert main(["train", "--resume", run]) == 2
    assert "made with tiny.gguf, which is on no Hub; say by --model" in capsys.readouterr().err
    assert main(["train", "--resume", run, "--model", str(there)]) == 0
    for written in (tmp_path / "run").rglob("*.*"):
        assert not written.is_file() or str(tmp_path).encode() not in written.read_bytes()
