"""``python -m learner evaluate``: held-out accuracy, of the model alone and of a soft prompt.

python -m learner evaluate --problems 500
python -m learner evaluate --no-chat-template --checkpoint runs/mine
python -m learner evaluate --model Qwen/Qwen2.5-0.5B-Instruct --checkpoint checkpoint_ep80.pt
python -m learner evaluate --no-chat-template --shots 4 --json -
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from arena import Problem, held_out
from arena.statistics import McNemar, mcnemar_exact
from learner import wording
from learner.hub.opening import open_checkpoints
from learner.learning.learner import Learner
from learner.learning.worked_examples import worked_examples
from learner.measuring import Measurement, Score, Tally, answers_of, measured
from learner.model.loading import load_base_model


def add_evaluate_command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", model: argparse.ArgumentParser
) -> None:
    """Add the command and its flags; ``model`` has the flags that choose the base model."""
    evaluating = commands.add_parser(
        "evaluate", parents=[model], help="accuracy on held-out problems, by family and difficulty"
    )
    evaluating.set_defaults(experiment=run_evaluate)
    add = evaluating.add_argument
    add("--problems", type=int, default=500, help="held-out problems")
    add("--held-out-seed", type=int, default=0, help="another fixed set of held-out problems")
    add(
        "--checkpoint",
        help="soft prompt to put in front: a run, a folder, a zip or .pt file, a Hub id",
    )
    add("--any-model", action="store_true", help="even if it was made for another base model")
    add("--no-chat-template", action="store_true", help="ask in plain text")
    add("--shots", type=int, help="worked examples before every question (default: as it learnt)")
    add("--json", type=Path, help="also write the result to this file; - for standard output only")


def run_evaluate(options: argparse.Namespace) -> None:
    """Run the command. Raises ValueError, in a sentence, for what a person can mend."""
    if options.problems < 1:
        raise ValueError(f"An evaluation takes at least 1 problem, not {options.problems}.")
    problems = tuple(held_out(options.problems, options.held_out_seed))
    base_model = load_base_model(options.model, options.device, options.dtype)
    learners: Mapping[str, Learner] = {}
    if options.checkpoint is not None:
        learners = open_checkpoints(options.checkpoint, base_model, options.any_model)
    shots = next((learner.config.shots for learner in learners.values()), 0)
    examples = worked_examples(shots if options.shots is None else options.shots)
    chat_template = not options.no_chat_template
    prompts = {name: learner.prompt for name, learner in learners.items()}
    measurements = [Measurement(problems, chat_template)]
    if prompts or examples:
        measurements.append(Measurement(problems, chat_template, prompts, examples))
    quiet = str(options.json) == "-"
    with tqdm(total=len(problems) * len(measurements), unit="problem", disable=quiet) as bar:
        alone, *asked = measured(
            answers_of(base_model), measurements, lambda done, _: bar.update(done - bar.n)
        )
    score = asked[0] if asked else alone
    change = mcnemar_exact(alone.right, score.right) if asked else None
    record = {
        "model": base_model.name,
        "revision": base_model.revision,
        "dtype": str(base_model.dtype).removeprefix("torch."),
        "chat_template": chat_template,
        "checkpoint": options.checkpoint,
        "shots": len(examples),
        "held_out_seed": options.held_out_seed,
        **_as_record(problems, score),
    }
    if change is not None:
        record["alone"] = _as_record(problems, alone)
        record |= {"gained": change.gained, "lost": change.lost, "p_value": change.p_value}
    text = json.dumps(record, indent=2)
    if quiet:
        print(text)
        return
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    names = ["worked examples"] * bool(examples) + ["soft prompt"] * bool(prompts)
    print(_report(problems, {"model alone": alone, f"with {' and '.join(names)}": score}, change))


def _report(problems: Sequence[Problem], asked: Mapping[str, Score], change: McNemar | None) -> str:
    """The scores by name; only the first ones if there is no ``change`` between them."""
    shown = asked if change is not None else dict([next(iter(asked.items()))])
    columns = [*shown.values()]
    lines = [f"{'':>14}  {'  →  '.join(shown)}"]
    lines.append(_line("all", columns))
    for keys in (
        [problem.family for problem in problems],
        [f"difficulty {problem.difficulty}" for problem in problems],
    ):
        groups = [column.by(keys) for column in columns]
        lines.append("")
        lines += [_line(name, [group[name] for group in groups]) for name in groups[0]]
    silent = "  →  ".join(str(column.no_answer) for column in columns)
    lines.append(
        f"\nNo answer could be read in {silent} of {len(problems)} completions: wrong ones."
    )
    if change is not None:
        lines.append(
            f"{change.gained} problems gained and {change.lost} lost against the model alone; "
            f"exact McNemar {wording.p_value(change.p_value)}."
        )
    lines.append(wording.power(len(problems)) + ".")
    return "\n".join(lines)


def _line(name: str, groups: Sequence[Tally]) -> str:
    cells = [wording.accuracy(group.accuracy, group.interval) for group in groups]
    return f"{name:>14}  {'  →  '.join(cells)} of {groups[0].n}"


def _as_record(problems: Sequence[Problem], score: Score) -> dict[str, Any]:
    """A score as values that JSON can hold: totals, and the same by family and by difficulty."""
    by_difficulty = score.by([problem.difficulty for problem in problems])
    return {
        **_cell(score),
        "families": {name: _cell(group) for name, group in score.by_family(problems).items()},
        "difficulties": {str(level): _cell(group) for level, group in by_difficulty.items()},
        "outcomes": score.outcomes,
    }


def _cell(tally: Tally) -> dict[str, Any]:
    return {
        "n": tally.n,
        "correct": tally.correct,
        "accuracy": tally.accuracy,
        "interval": [tally.interval.low, tally.interval.high],
        "no_answer": tally.no_answer,
    }
