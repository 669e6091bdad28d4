"""``python -m learner reproduce``: Run every experiment, and write a report of them.
What has been run into the folder is not run again, so the same command goes on after a stop.

python -m learner reproduce
python -m learner reproduce --models Qwen/Qwen2.5-0.5B-Instruct --chapters experiments
"""

import argparse
import shlex
import time
from collections.abc import Sequence
from pathlib import Path

from arena.command_line import whole_number
from learner import wording
from learner.checkpoint.atomic_folder import write_file
from learner.cli.flags import COUNT, FORMATS, SEED, SEEDS, add_hardware
from learner.experiments.engine import direct
from learner.experiments.folder import slug
from learner.experiments.results_file import environment
from learner.measuring import Stopped
from learner.model.loading import load_base_model
from learner.model.source import POCKET
from learner.report.reproduction import CHAPTERS, REPORT, require_enough
from learner.report.study import Scale, Study


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    scale = Scale()
    add = parser.add_argument
    add("--chapters", nargs="+", choices=[*CHAPTERS], default=[*CHAPTERS], help="what to run")
    add("--formats", nargs="+", choices=[*FORMATS], default=[*FORMATS], help="to ask in")
    add("--output-dir", type=Path, default=Path("runs/reproduction"), help="folder to write to")
    add = parser.add_argument_group("scale").add_argument
    add("--seeds", type=SEEDS, default=scale.seeds, help="of everything that is learnt")
    add("--episodes", type=COUNT, default=scale.episodes, help="problems to learn from")
    add("--problems", type=COUNT, default=scale.problems, help="held-out problems")
    add("--validation-problems", type=COUNT, default=scale.validation, help="to choose settings by")
    add("--held-out-seed", type=SEED, default=0, help="another fixed set of held-out problems")
    add(
        "--longer",
        type=whole_number(1, 100),
        default=scale.longer,
        help="times as many episodes, for which settings are tried too",
    )
    group = add_hardware(parser)
    group.add_argument("--models", nargs="+", default=[POCKET], help="a report for each")


def run(options: argparse.Namespace) -> None:
    """Run the command. Raises ValueError, in a sentence, for what a person can mend; or Stopped."""
    scale = Scale(
        options.seeds,
        options.episodes,
        options.problems,
        options.validation_problems,
        options.held_out_seed,
        options.longer,
    )
    for model in dict.fromkeys(options.models):
        began = time.perf_counter()
        base_model = load_base_model(model, options.device, options.dtype)
        study = Study(
            direct(base_model),
            options.output_dir / slug(base_model.source.short_name),
            scale,
            tuple(FORMATS[name] for name in dict.fromkeys(options.formats)),
        )
        if not study.formats:
            raise ValueError(f"{base_model.name} has no chat template: ask in --formats plain.")
        study.require_same_hardware()
        require_enough(study, options.chapters)
        chapters = []
        for name in dict.fromkeys(options.chapters):
            print(f"{name} …", flush=True)
            try:
                chapters.append(CHAPTERS[name](study))
            except Stopped as stopped:
                raise Stopped(f"{stopped} The same command goes on with it.") from None
        seconds = time.perf_counter() - began
        arguments = [base_model.name if a == model else a for a in options.arguments]
        heading = _heading(study, base_model.name, seconds, arguments)
        text = "\n\n".join([heading, *chapters, _method(scale)])
        write_file((text + "\n").encode(), study.folder / REPORT)
        print(f"\n{text}\n\nWritten to {study.folder / REPORT}")


def _heading(study: Study, model: str, seconds: float, arguments: Sequence[str]) -> str:
    made_with = environment(study.engine.base_model)
    versions = ", ".join(f"{name} {value}" for name, value in made_with["versions"].items())
    scale = study.scale
    before = f" ({study.reused} experiments had been run before)" if study.reused else ""
    return (
        f"# Soft prompts in front of {model}\n\n"
        f"{wording.count(scale.seeds, 'seed')}, {scale.problems} held-out problems, "
        f"{scale.episodes} episodes unless said otherwise, in {seconds / 60:.1f} minutes{before} "
        f"on {made_with['device']} ({made_with['dtype']}, {made_with['threads']} threads); "
        f"{versions}; base model revision `{made_with['model_revision'][:12]}`. By:\n\n"
        f"```\npython -m learner {shlex.join(arguments)}\n```"
    )


def _method(scale: Scale) -> str:
    return (
        "## How to read this\n\n"
        "Accuracies are greedy answers graded by `arena.grade`, on problems that nobody learns "
        "from and that are the same throughout. Brackets are 95 % intervals. Differences are in "
        "percentage points, taken problem by problem; where seeds vary too, seeds and problems are "
        "both sampled (a crossed layout of two random effects, `arena/crossed.py`). "
        f"{wording.power(scale.problems)}; several seeds see smaller ones. Settings are chosen in "
        "validation, on problems of their own, never on the held-out ones."
    )
