"""``python -m learner compare``: Put models, formats, settings and runs in one table.
What has been run into the folder is not run again, so the same command goes on after a stop.

python -m learner compare runs/mine runs/theirs results.json
python -m learner compare --models pocket --formats chat plain --presets best original --seeds 3
python -m learner compare --models Qwen/Qwen2.5-0.5B-Instruct Qwen/Qwen2.5-0.5B --original
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from learner.checkpoint.atomic_folder import write_file
from learner.cli.flags import COUNT, FORMATS, SEED, SEEDS, add_hardware
from learner.experiments.driving import drive
from learner.experiments.engine import direct
from learner.experiments.estimates import Arm
from learner.experiments.figures import comparison
from learner.experiments.folder import read_runs
from learner.experiments.original import PUBLISHED
from learner.experiments.settings import PRESETS, TUNED, Experiment
from learner.measuring import Stopped
from learner.model.loading import load_base_model
from learner.model.source import locate
from learner.report.tables import as_csv, markdown


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    add = parser.add_argument
    add("runs", type=Path, nargs="*", help="runs to compare: folders, or files of results")
    add("--original", action="store_true", help="put the original's published numbers beside them")
    add("--output-dir", type=Path, default=Path("runs/comparison"), help="folder to write to")
    add = parser.add_argument_group("what is to be run first").add_argument
    add("--models", nargs="+", default=[], help="base models to run it on")
    add("--formats", nargs="+", choices=[*FORMATS], default=[*FORMATS], help="to ask in")
    add("--presets", nargs="+", choices=[*PRESETS], default=["best"], help="settings to run")
    add("--seeds", type=SEEDS, default=3, help="seeds of each, side by side (3)")
    add("--episodes", type=COUNT, default=TUNED.episodes, help="problems to learn from")
    add("--eval-problems", type=COUNT, default=TUNED.eval_problems, help="held-out ones a measure")
    add(
        "--validation-problems",
        type=COUNT,
        help="to choose the prompt to keep (default: the preset's)",
    )
    add("--held-out-seed", type=SEED, default=0, help="another fixed set of held-out problems")
    add_hardware(parser)


def run(options: argparse.Namespace) -> None:
    """Run the command. Raises ValueError, in a sentence, for what a person can mend; or Stopped."""
    if not options.runs and not options.models:
        raise ValueError("Say what to compare: runs, or --models to run it on.")
    arms = [Arm(name, read_runs(path)) for name, path in _named(options.runs).items()]
    for model, name in _called(options.models).items():
        arms += _arms_of(model, name, options)
    if not arms:
        raise ValueError("No arm is left to compare: ask in --formats plain.")
    if options.original:
        arms += [Arm(run.name, (run,)) for run in PUBLISHED]
    folder: Path = options.output_dir
    text = markdown(arms)
    folder.mkdir(parents=True, exist_ok=True)
    write_file((text + "\n").encode(), folder / "comparison.md")
    write_file(as_csv(arms).encode(), folder / "comparison.csv")
    write_file(comparison({arm.name: arm.runs for arm in arms}), folder / "comparison.png")
    print(f"{text}\n\nSaved to {folder} as comparison.md, comparison.csv and comparison.png")


def _named(paths: Sequence[Path]) -> dict[str, Path]:
    """Each by its name, or as it was given where another one is of that name."""
    different = dict.fromkeys(paths)
    names = Counter(path.name for path in different)
    return {
        path.name if path.name and names[path.name] == 1 else str(path): path for path in different
    }


def _called(models: Sequence[str]) -> dict[str, str]:
    """What each model is called: its short name, or as it was given where another one has that.

    Raises ModelError for what is no model, before the first one has been run for hours.
    """
    short = {model: locate(model).source.short_name for model in models}
    names = Counter(short.values())
    return {model: name if names[name] == 1 else model for model, name in short.items()}


def _arms_of(model: str, called: str, options: argparse.Namespace) -> list[Arm]:
    """Every preset in every format on one model."""
    base_model = load_base_model(model, options.device, options.dtype)
    arms, folder = [], quote(called, safe=" ")  # as different as the names are
    for preset in options.presets:
        for manner in options.formats:
            if FORMATS[manner] and not base_model.has_chat_template:
                print(f"{model} has no chat template, so it is compared in plain text only.")
                continue
            experiment = _experiment(preset, FORMATS[manner], options)
            name = f"{called}, {manner}" + (f", {preset}" if len(options.presets) > 1 else "")
            seeds = range(options.seeds)
            place = options.output_dir / f"{folder}-{manner}-{preset}"
            try:
                runs = drive(
                    direct(base_model),
                    [experiment.with_seed(seed) for seed in seeds],
                    [place / f"seed-{seed}" for seed in seeds],
                    name,
                )
            except Stopped as stopped:
                raise Stopped(f"{stopped} The same command goes on with it.") from None
            arms.append(Arm(name, runs))
    return arms


def _experiment(preset: str, chat_template: bool, options: argparse.Namespace) -> Experiment:
    experiment = PRESETS[preset]
    if options.validation_problems is not None:
        experiment = replace(experiment, validation_problems=options.validation_problems)
    return replace(
        experiment,
        config=replace(experiment.config, chat_template=chat_template),
        episodes=options.episodes,
        eval_problems=options.eval_problems,
        held_out_seed=options.held_out_seed,
    )
