"""The learner from the command line: ``python -m learner train | evaluate | push | pull``.

    python -m learner train --no-chat-template --episodes 80
    python -m learner evaluate --problems 500 --checkpoint runs/my-prompt
    python -m learner evaluate --model Qwen/Qwen2.5-0.5B-Instruct --checkpoint checkpoint_ep80.pt
    python -m learner evaluate --no-chat-template --json -
    python -m learner push runs/my-prompt
    python -m learner pull user/name runs/their-prompt

``train`` teaches a fresh soft prompt and prints accuracy on the fixed held-out problems before,
during and after; ``evaluate`` measures the model alone or behind a checkpoint; ``push`` and
``pull`` share soft prompts on the Hugging Face Hub.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from arena import held_out, stream
from learner.base_model import DTYPES, POCKET, BaseModel, ModelError, load_base_model
from learner.checkpoint import CheckpointError, OtherModelError, save
from learner.checkpoint_source import open_checkpoint
from learner.completion import complete
from learner.evaluation import Evaluation, compare, evaluate
from learner.hub_commands import add_hub_commands
from learner.soft_prompt import INITIALISERS, LearnerConfig, new_learner
from learner.training import train_step

DEFAULTS = LearnerConfig()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. A person's mistake is one sentence and status 2."""
    options = parser().parse_args(arguments)
    try:
        base_model = load_base_model(options.model, options.device, options.dtype)
        options.command(base_model, options)
    except OtherModelError as error:
        print(f"error: {str(error).rstrip('.')} (--any-model does).", file=sys.stderr)
        return 2
    except (ModelError, CheckpointError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def parser() -> argparse.ArgumentParser:
    """The flags of all commands. Those of the original experiments mean what they meant there."""
    model = argparse.ArgumentParser(add_help=False)
    add = model.add_argument
    add("--model", default=POCKET, help="embedded model (pocket), a folder or a Hub id")
    add("--device", default="auto", help="auto, cpu or cuda")
    add("--dtype", default="auto", choices=["auto", *DTYPES])
    shared = argparse.ArgumentParser(add_help=False, parents=[model])
    add = shared.add_argument
    add("--no-chat-template", action="store_true", help="ask and learn in plain text")

    top = argparse.ArgumentParser(prog="python -m learner", description=__doc__.split("\n")[0])
    commands = top.add_subparsers(required=True, metavar="command")
    training = commands.add_parser(
        "train", parents=[shared], help="teach a fresh soft prompt, measured before and after"
    )
    training.set_defaults(command=run_train)
    add = training.add_argument
    add("--episodes", type=positive, default=80, help="problems to learn from")
    add("--eval-interval", type=positive, default=20, help="episodes between evaluations")
    add("--eval-problems", type=positive, default=200, help="held-out problems an evaluation")
    add("--soft-tokens", type=int, default=DEFAULTS.soft_tokens)
    add("--lr", type=float, default=DEFAULTS.learning_rate, help="Adam's learning rate")
    add("--init", choices=list(INITIALISERS), default=DEFAULTS.initialiser)
    add("--episodes-per-step", type=int, default=DEFAULTS.episodes_per_step)
    add("--seed", type=int, default=DEFAULTS.seed, help="of the initialiser and the problems")
    add("--output", type=Path, help="folder to save the trained soft prompt to")

    evaluating = commands.add_parser(
        "evaluate", parents=[shared], help="accuracy on held-out problems, by family"
    )
    evaluating.set_defaults(command=run_evaluate)
    add = evaluating.add_argument
    add("--problems", type=positive, default=500, help="held-out problems")
    add("--held-out-seed", type=int, default=0, help="another fixed set of held-out problems")
    add("--checkpoint", help="soft prompt to put in front: a folder, a zip or .pt file, a Hub id")
    add("--any-model", action="store_true", help="even if it was made for another base model")
    add("--json", type=Path, help="also write the result to this file; - for standard output only")
    add_hub_commands(commands, model)
    return top


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def run_train(base_model: BaseModel, options: argparse.Namespace) -> None:
    """Teach a fresh soft prompt and print how accuracy on the held-out problems moves."""
    config = LearnerConfig(
        soft_tokens=options.soft_tokens,
        initialiser=options.init,
        learning_rate=options.lr,
        episodes_per_step=options.episodes_per_step,
        chat_template=not options.no_chat_template,
        seed=options.seed,
    )
    learner = new_learner(base_model, config)
    problems = held_out(options.eval_problems)
    measure = partial(
        evaluate, partial(complete, base_model), problems, chat_template=config.chat_template
    )
    alone = measure()
    before = after = measure(learner.prompt)
    print(f"{'model alone':>14}  {summary(alone)}")
    print(f"{'untrained':>14}  {summary(before)}")

    lessons = stream(config.seed, "train")
    training_seconds = 0.0
    with tqdm(total=options.episodes, unit="episode") as bar:
        while learner.episodes < options.episodes:
            due = options.episodes - learner.episodes
            to_evaluation = options.eval_interval - learner.episodes % options.eval_interval
            batch = list(islice(lessons, min(config.episodes_per_step, due, to_evaluation)))
            started = time.perf_counter()
            learner, report = train_step(base_model, learner, batch)
            training_seconds += time.perf_counter() - started
            if not report.accepted:
                raise ValueError(report.message)
            bar.set_postfix(loss=f"{report.loss:.3f}")
            bar.update(len(batch))
            if learner.episodes % options.eval_interval == 0 or due == len(batch):
                after = measure(learner.prompt)
                bar.write(f"{learner.episodes:>5} episodes  {summary(after)}")
    print(f"{options.episodes / training_seconds:.1f} episodes a second while training\n")
    print(family_table(before, after))
    change = compare(before, after)
    print(
        f"\n{change.gained} problems gained, {change.lost} lost of {after.n} by training; "
        f"exact McNemar p = {change.p_value:.2g}"
    )
    if options.output:
        print(f"Saved to {save(learner, options.output)}")


def run_evaluate(base_model: BaseModel, options: argparse.Namespace) -> None:
    """Measure the model alone, or behind a checkpoint and paired against the model alone."""
    chat_template = not options.no_chat_template
    problems = held_out(options.problems, options.held_out_seed)
    measure = partial(evaluate, partial(complete, base_model), problems)
    prompt = None
    if options.checkpoint:
        prompt = open_checkpoint(options.checkpoint, base_model, options.any_model).prompt
    with tqdm(total=len(problems), unit="problem", disable=str(options.json) == "-") as bar:
        result = measure(
            prompt, chat_template=chat_template, progress=lambda done, _: bar.update(done - bar.n)
        )
    record = {
        "model": base_model.name,
        "revision": base_model.revision,
        "dtype": str(base_model.dtype).removeprefix("torch."),
        "chat_template": chat_template,
        "checkpoint": options.checkpoint,
        "held_out_seed": options.held_out_seed,
        **as_record(result),
    }
    text = json.dumps(record, indent=2)
    if str(options.json) == "-":
        print(text)
        return
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    print(family_table(result))
    if prompt is not None:
        alone = measure(chat_template=chat_template)
        change = compare(alone, result)
        print(
            f"\nmodel alone {summary(alone)}\n{change.gained} problems gained, {change.lost} lost "
            f"by the soft prompt; exact McNemar p = {change.p_value:.2g}"
        )


def summary(result: Evaluation) -> str:
    """``62.0 % [55.1, 68.4] of 200, 3 without an answer``: accuracy with its 95 % interval."""
    return (
        f"{result.accuracy:6.1%} [{result.interval.low:.1%}, {result.interval.high:.1%}] "
        f"of {result.n}, "
        f"{result.no_answer} without an answer"
    )


def family_table(*results: Evaluation) -> str:
    """One line a family, one column an evaluation, each with its 95 % interval."""
    columns = [result.by_family() for result in results]
    lines = [f"{'all':>14}  " + "   →   ".join(map(summary, results))]
    for family in columns[0]:
        tallies = [column[family] for column in columns]
        cells = [
            f"{tally.correct / tally.n:6.1%} [{tally.interval.low:.1%}, {tally.interval.high:.1%}]"
            f" of {tally.n}"
            for tally in tallies
        ]
        lines.append(f"{family:>14}  " + "   →   ".join(cells))
    return "\n".join(lines)


def as_record(result: Evaluation) -> dict[str, Any]:
    """An evaluation as JSON-able values: totals, and the same by family and by difficulty."""

    def cells(tallies: dict[Any, Any]) -> dict[str, Any]:
        return {
            str(key): {
                "n": tally.n,
                "correct": tally.correct,
                "no_answer": tally.no_answer,
                "interval": [tally.interval.low, tally.interval.high],
            }
            for key, tally in tallies.items()
        }

    return {
        "n": result.n,
        "correct": result.correct,
        "accuracy": result.accuracy,
        "interval": [result.interval.low, result.interval.high],
        "no_answer": result.no_answer,
        "families": cells(result.by_family()),
        "difficulties": cells(result.by_difficulty()),
    }


if __name__ == "__main__":
    sys.exit(main())
