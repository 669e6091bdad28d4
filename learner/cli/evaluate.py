"""``python -m learner evaluate``: Measure accuracy, of the model alone and of a soft prompt.

python -m learner evaluate --problems 500
python -m learner evaluate --checkpoint runs/mine
python -m learner evaluate --model Qwen/Qwen2.5-0.5B-Instruct --checkpoint checkpoint_ep80.pt
python -m learner evaluate --no-chat-template --shots 4 --json -
python -m learner evaluate --checkpoint runs/mine --completions answers.jsonl
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from tqdm import tqdm

from arena import Problem, held_out
from arena.statistics import McNemar, mcnemar_exact
from learner import wording
from learner.cli.flags import COUNT, add_any_model, add_base_model, add_problems
from learner.experiments.completions import SOFT_PROMPT, lines_of, write_completions
from learner.experiments.engine import ALONE, EXAMPLES
from learner.hub.opening import open_checkpoints
from learner.learning.learner import Learner
from learner.learning.worked_examples import worked_examples
from learner.measuring import Measurement, Score, Tally, Written, answers_of, behind, measured
from learner.model.base_model import BaseModel
from learner.model.loading import load_base_model


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    add = parser.add_argument
    add(
        "--checkpoint",
        help="soft prompt to put in front: a run, a folder, a zip or .pt file, a Hub id",
    )
    add_any_model(parser)
    add("--json", type=Path, help="also write the result to this file; - for standard output only")
    add(
        "--completions",
        type=Path,
        metavar="FILE",
        help="also write what the model wrote to this file, one answer a line, as JSON",
    )
    asking = parser.add_argument_group("asking")
    add_problems(asking, 500, "held-out problems")
    asking.add_argument(
        "--chat-template",
        action=argparse.BooleanOptionalAction,
        help="ask with it, or in plain text (default: as the soft prompt was taught)",
    )
    asking.add_argument(
        "--shots", type=COUNT, help="worked examples before every question (default: as it learnt)"
    )
    add_base_model(parser)


def run(options: argparse.Namespace) -> None:
    """Run the command. Raises ValueError, in a sentence, for what a person can mend."""
    problems = tuple(held_out(options.problems, options.held_out_seed))
    base_model = load_base_model(options.model, options.device, options.dtype)
    learners: Mapping[str, Learner] = {}
    if options.checkpoint is not None:
        learners = open_checkpoints(options.checkpoint, base_model, options.any_model)
    chat_template, why = _format(options.chat_template, learners, base_model)
    alone = asked = Measurement(problems, chat_template)
    if learners:
        asked = behind(learners, problems, chat_template)
    if options.shots is not None:
        asked = replace(asked, examples=worked_examples(options.shots))
    is_same = not asked.prompts and not asked.examples
    measurements = [alone] if is_same else [alone, asked]
    quiet = str(options.json) == "-"
    written: dict[tuple[int, int], Written] = {}

    def keep(i: int, place: int, one: Written) -> None:
        written[i, place] = one

    with tqdm(total=len(problems) * len(measurements), unit="problem", disable=quiet) as bar:
        before, *after = measured(
            answers_of(base_model), measurements, lambda done, _: bar.update(done - bar.n), keep
        )
    if options.completions is not None:
        who = [ALONE, SOFT_PROMPT if asked.prompts else EXAMPLES]
        lines = [
            lines_of(
                (one for key, one in sorted(written.items()) if key[0] == i), who[i], m.episodes
            )
            for i, m in enumerate(measurements)
        ]
        write_completions(chain(*lines), options.completions)
    score = after[0] if after else before
    change = mcnemar_exact(before.right, score.right) if after else None
    record = {
        "model": base_model.name,
        "revision": base_model.revision,
        "dtype": str(base_model.dtype).removeprefix("torch."),
        "chat_template": chat_template,
        "checkpoint": options.checkpoint,
        "shots": len(asked.examples),
        "held_out_seed": options.held_out_seed,
        **_as_record(problems, score),
    }
    if change is not None:
        record["alone"] = _as_record(problems, before)
        record |= {"gained": change.gained, "lost": change.lost, "p_value": change.p_value}
    text = json.dumps(record, indent=2)
    if quiet:
        print(text)
        return
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    manner = "with the chat template" if chat_template else "in plain text"
    print(f"{wording.count(len(problems), 'held-out problem')}, asked {manner}{why}.\n")
    names = ["worked examples"] * bool(asked.examples) + ["soft prompt"] * bool(asked.prompts)
    print(_report(problems, {"model alone": before, f"with {' and '.join(names)}": score}, change))


def _format(
    told: bool | None, learners: Mapping[str, Learner], base_model: BaseModel
) -> tuple[bool, str]:
    """Whether to ask with the chat template, and why, as the end of a sentence."""
    if told is not None:
        return told, ""
    if learners:
        learner = next(iter(learners.values()))
        was_taught = learner.steps > 0 or learner.episodes > 0
        return learner.config.chat_template, ", as the soft prompt was taught" * was_taught
    return base_model.has_chat_template, ""


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
