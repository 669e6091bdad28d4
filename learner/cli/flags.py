"""The flags that several commands share. Those of the original experiments mean the same here.

Flags of an experiment that were not given are absent from the namespace, so that a preset can stand
in for them.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from arena import DIFFICULTIES, FAMILIES
from arena.command_line import whole_number
from learner.experiments.settings import MAX_PROBLEMS, PRESETS, STARTS, TUNED, Experiment
from learner.learning.learner import INITIALISERS, LOSSES, MAX_SHOTS
from learner.learning.signals import SIGNALS
from learner.model.loading import AUTO, DEVICES, DTYPES
from learner.model.source import POCKET

COUNT = whole_number()
SEED = whole_number(most=2**64 - 1)
SEEDS = whole_number(1, 1000)
FORMATS = {"chat": True, "plain": False}  # with the chat template, or without

_LEARNER = {
    "soft_tokens": "soft_tokens",
    "lr": "learning_rate",
    "episodes_per_step": "episodes_per_step",
    "seed": "seed",
    "loss": "loss",
    "end_weight": "end_weight",
    "shots": "shots",
    "signal": "signal",
    "samples_per_problem": "samples_per_problem",
}
_RUN = (
    "episodes",
    "training_problems",
    "eval_interval",
    "eval_at",
    "eval_problems",
    "validation_problems",
    "held_out_seed",
)


def add_base_model(parser: argparse.ArgumentParser, default: str = AUTO) -> None:
    """Which base model to load, and where; ``default`` as of `add_hardware`."""
    group = add_hardware(parser, default)
    group.add_argument(
        "--model",
        default=POCKET,
        help="embedded model (pocket), a folder, a GGUF file, or one on the Hub",
    )


def add_hardware(parser: argparse.ArgumentParser, default: str = AUTO) -> argparse._ArgumentGroup:
    """Where base models run, and in what, by ``default``; returns the group of flags."""
    group = parser.add_argument_group("base model")
    group.add_argument("--device", default=default, choices=DEVICES, help="where it runs")
    group.add_argument("--dtype", default=default, choices=[AUTO, *DTYPES], help="of its weights")
    return group


def add_any_model(parser: argparse.ArgumentParser) -> None:
    """Leave to use a soft prompt in front of another base model than its own."""
    parser.add_argument(
        "--any-model", action="store_true", help="even if it was made for another base model"
    )


def add_problems(
    group: argparse._ActionsContainer, default: int, text: str, least: int = 1
) -> None:
    """How many held-out problems, and which."""
    count = whole_number(least, MAX_PROBLEMS)
    group.add_argument("--problems", type=count, default=default, help=f"{text} ({default})")
    group.add_argument(
        "--held-out-seed", type=SEED, default=0, help="another fixed set of held-out problems (0)"
    )


def add_experiment_flags(parser: argparse.ArgumentParser) -> None:
    """Everything that decides a run but the model."""
    best, config = TUNED, TUNED.config

    def adding(title: str) -> Callable[..., None]:
        group = parser.add_argument_group(title)

        def add(*names: str, default: object = None, help: str, **rest: Any) -> None:
            text = help if default is None else f"{help} (default: {default})"
            group.add_argument(*names, default=argparse.SUPPRESS, help=text, **rest)

        return add

    parser.add_argument(
        "--preset",
        choices=[*PRESETS],
        default=argparse.SUPPRESS,
        help="settings to start from: the best measured here (default), or the original "
        "experiments'",
    )
    add = adding("problems")
    add("--episodes", type=COUNT, default=best.episodes, help="problems to learn from")
    add("--families", nargs="+", choices=[*FAMILIES], help="of problems (default: all)")
    add("--difficulty", type=int, nargs="+", choices=DIFFICULTIES, help="of them (default: all)")
    add("--training-problems", type=COUNT, help="so many again and again (default: new ones)")
    order = parser.add_mutually_exclusive_group()
    for flag, value, text in (
        ("--curriculum", "curriculum", "difficulty follows accuracy, easy problems first"),
        ("--sequence", "sequence", "the families one after another, for what is forgotten"),
    ):
        order.add_argument(
            flag,
            dest="order",
            action="store_const",
            const=value,
            default=argparse.SUPPRESS,
            help=text,
        )
    add = adding("learner")
    add("--no-chat-template", action="store_true", help="ask and learn in plain text")
    add("--soft-tokens", type=COUNT, default=config.soft_tokens, help="vectors to learn")
    add("--prompt-per-family", action="store_true", help="a soft prompt of its own for each family")
    add(
        "--init",
        choices=[*INITIALISERS, *STARTS[1:]],
        default=config.initialiser,
        help="where to start: an initialiser, or what was learnt (meta, joint) on other families",
    )
    add("--seed", type=SEED, default=config.seed, help="of the initialiser and of the problems")
    add("--lr", type=float, default=config.learning_rate, help="Adam's learning rate")
    add("--anneal", action="store_true", help="let that fall to nothing by the end of the run")
    add("--episodes-per-step", type=COUNT, default=config.episodes_per_step, help="problems a step")
    add("--loss", choices=LOSSES, default=config.loss, help="over the answer or the whole text")
    add(
        "--end-weight",
        type=float,
        default=config.end_weight,
        help="how much the token that ends an answer counts beside each of its others",
    )
    add(
        "--shots",
        type=COUNT,
        default=config.shots,
        help=f"worked examples before every question, up to {MAX_SHOTS}",
    )
    add("--signal", choices=SIGNALS, default=config.signal, help="what the learner is told")
    add(
        "--samples-per-problem",
        type=COUNT,
        default=config.samples_per_problem,
        help="completions sampled for each problem, where it is told a reward",
    )
    add = adding("measuring")
    add("--eval-interval", type=COUNT, default=best.eval_interval, help="episodes between measures")
    add("--eval-at", type=COUNT, nargs="+", help="measure after these episodes instead")
    add("--eval-problems", type=COUNT, default=best.eval_problems, help="held-out ones a measure")
    add(
        "--validation-problems",
        type=COUNT,
        default=best.validation_problems,
        help="problems of a split of their own that choose the prompt to keep; 0 keeps the last",
    )
    add("--held-out-seed", type=SEED, default=0, help="another fixed set of held-out problems")


def experiment_of(options: argparse.Namespace) -> Experiment:
    """The experiment that the flags choose. Raises ValueError for what cannot be."""
    given = vars(options)
    experiment = PRESETS[given.get("preset", "best")]
    learner: dict[str, Any] = {
        name: given[flag] for flag, name in _LEARNER.items() if flag in given
    }
    learner["chat_template"] = not given.get("no_chat_template", False)
    run: dict[str, Any] = {name: given[name] for name in (*_RUN, "order") if name in given}
    for flag, name in (("families", "families"), ("difficulty", "difficulties")):
        if flag in given:
            run[name] = tuple(dict.fromkeys(given[flag]))
    if "eval_at" in run:
        run["eval_at"] = tuple(run["eval_at"])
    if given.get("prompt_per_family"):
        run["per_family"] = True
    if given.get("anneal"):
        run["annealing"] = True
    if given.get("init") in STARTS:
        run["start"] = given["init"]
    elif "init" in given:
        learner["initialiser"] = given["init"]
    return replace(experiment, config=replace(experiment.config, **learner), **run)


def settings_given(options: argparse.Namespace) -> list[str]:
    """The flags among them, as they were typed, that would change an experiment."""
    given = vars(options)
    own = {"families", "difficulty", "prompt_per_family", "anneal", "init", "no_chat_template"}
    names = {*_LEARNER, *_RUN, *own, "preset", "seeds", "dtype"}
    typed = [f"--{name.replace('_', '-')}" for name in names & given.keys()]
    if "order" in given:
        typed.append(f"--{given['order']}")  # each order has a flag of its own
    return sorted(typed)
