"""Flags choose experiments: a preset, changed by what was given and by nothing else."""

import argparse
from dataclasses import replace

import pytest

from learner.cli.flags import add_experiment_flags, experiment_of, settings_given
from learner.experiments.settings import ORIGINAL, TUNED


def parsed(line):
    parser = argparse.ArgumentParser()
    add_experiment_flags(parser)
    return parser.parse_args(line.split())


def chosen(line):
    return experiment_of(parsed(line))


def test_without_flags_it_is_the_best_with_the_template():
    assert chosen("") == replace(TUNED, config=replace(TUNED.config, chat_template=True))
    assert chosen("--no-chat-template") == TUNED


def test_the_originals_own_command_means_what_it_meant():
    line = "--episodes 80 --eval-interval 20 --soft-tokens 8 --lr 0.001 --preset original"
    assert chosen(line) == ORIGINAL
    plain = chosen("--preset original --no-chat-template")
    assert plain == replace(ORIGINAL, config=replace(ORIGINAL.config, chat_template=False))
    assert chosen("--preset original --lr 0.5").config.learning_rate == 0.5


@pytest.mark.parametrize(
    ("line", "settings"),
    [
        ("--eval-at 1 5 20", {"eval_at": (1, 5, 20)}),
        (
            "--eval-problems 7 --validation-problems 0",
            {"eval_problems": 7, "validation_problems": 0},
        ),
        ("--families causal sequence causal", {"families": ("causal", "sequence")}),
        ("--difficulty 2 1", {"difficulties": (2, 1)}),
        ("--curriculum", {"order": "curriculum"}),
        ("--sequence", {"order": "sequence"}),
        ("--prompt-per-family", {"per_family": True}),
        ("--anneal", {"annealing": True}),
        ("--init meta", {"start": "meta"}),
        ("--init joint", {"start": "joint"}),
        ("--training-problems 20", {"training_problems": 20}),
        ("--held-out-seed 4", {"held_out_seed": 4}),
    ],
)
def test_flags_of_the_run(line, settings):
    assert chosen(f"--no-chat-template {line}") == replace(TUNED, **settings)


@pytest.mark.parametrize(
    ("line", "settings"),
    [
        ("--seed 5", {"seed": 5}),
        ("--init text", {"initialiser": "text"}),
        ("--loss text", {"loss": "text"}),
        ("--end-weight 0.3", {"end_weight": 0.3}),
        ("--shots 3", {"shots": 3}),
        ("--signal reward --samples-per-problem 4", {"signal": "reward", "samples_per_problem": 4}),
        ("--episodes-per-step 8", {"episodes_per_step": 8}),
    ],
)
def test_flags_of_the_learner(line, settings):
    config = replace(TUNED.config, **settings)
    assert chosen(f"--no-chat-template {line}") == replace(TUNED, config=config)


def test_only_what_was_given_counts_as_given():
    assert settings_given(parsed("")) == []
    assert settings_given(parsed("--lr 1 --curriculum")) == ["--curriculum", "--lr"]
    assert settings_given(parsed("--preset best")) == ["--preset"]
    assert settings_given(parsed("--sequence --no-chat-template")) == [
        "--no-chat-template",
        "--sequence",
    ]
