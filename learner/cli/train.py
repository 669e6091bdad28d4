"""``python -m learner train``: Teach a fresh soft prompt, measured before and after.

python -m learner train --no-chat-template --episodes 80 --output-dir runs/mine
python -m learner train --preset original --seeds 5
python -m learner train --resume runs/mine
"""

import argparse
from datetime import datetime
from pathlib import Path

from learner import wording
from learner.checkpoint.files import BEST_FOLDER
from learner.checkpoint.reading import CheckpointError
from learner.cli.flags import (
    SEEDS,
    add_base_model,
    add_experiment_flags,
    experiment_of,
    settings_given,
)
from learner.experiments.driving import drive
from learner.experiments.engine import direct
from learner.experiments.estimates import Arm
from learner.experiments.folder import open_record, run_folders, seed_folders
from learner.experiments.results_file import RESULTS, RunRecord, environment
from learner.experiments.running import draw_together
from learner.experiments.settings import Experiment
from learner.measuring import Stopped
from learner.model.base_model import BaseModel
from learner.model.loading import AUTO, load_base_model
from learner.model.source import HUB, locate, recorded_source
from learner.report.tables import summary

_HERE = object()  # --resume without a folder: the one that --output-dir names


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    add = parser.add_argument
    add("--output-dir", type=Path, help="folder to write to (default: a new one in runs)")
    add(
        "--resume",
        type=Path,
        nargs="?",
        const=_HERE,
        metavar="FOLDER",
        help="go on with the run in this folder, or in --output-dir, exactly as it would have; on "
        "another --device, but not to the same bits",
    )
    add(
        "--seeds",
        type=SEEDS,
        default=argparse.SUPPRESS,
        help="how many seeds, from --seed on, side by side (1)",
    )
    add_experiment_flags(parser)
    add_base_model(parser, argparse.SUPPRESS)


def run(options: argparse.Namespace) -> None:
    """Run the command. Raises ValueError, in a sentence, for what a person can mend; or Stopped."""
    if options.resume is not None:
        base_model, folder, experiments, folders = _resumed(options)
    else:
        base_model, folder, experiments, folders = _new(options)
    print(f"{base_model.name}, {_described(experiments[0])}, {wording.count(len(folders), 'seed')}")
    print(f"{wording.power(experiments[0].eval_problems)}\n")
    try:
        results = drive(direct(base_model), experiments, folders)
    except Stopped as stopped:
        raise Stopped(
            f"{stopped} Go on with it by:\n  python -m learner train --resume {folder}"
        ) from None
    draw_together(folder, results)
    print(
        f"\n{summary(Arm('', results))}\n\nSaved to {folder}; its best soft prompt: "
        f"{', '.join(str(path / BEST_FOLDER) for path in folders)}"
    )


def _new(
    options: argparse.Namespace,
) -> tuple[BaseModel, Path, list[Experiment], list[Path]]:
    experiment, given = experiment_of(options), vars(options)
    seeds = range(experiment.seed, experiment.seed + given.get("seeds", 1))
    folder = options.output_dir or _fresh_folder(options.model, experiment)
    folders = seed_folders(folder, seeds)
    if folder.is_dir() and (taken := next(folder.glob(f"**/{RESULTS}"), None)):
        raise CheckpointError(
            f"{taken.parent} holds a run already; go on with it by --resume {folder}, or choose "
            "another folder."
        )
    base_model = load_base_model(options.model, given.get("device", AUTO), given.get("dtype", AUTO))
    return base_model, folder, [experiment.with_seed(seed) for seed in seeds], folders


def _resumed(
    options: argparse.Namespace,
) -> tuple[BaseModel, Path, list[Experiment], list[Path]]:
    folder = options.output_dir if options.resume is _HERE else options.resume
    if folder is None:
        raise ValueError("Say which run to go on with: --resume FOLDER.")
    if options.output_dir not in (None, folder):
        raise ValueError(f"The run in {folder} goes on where it lies, so leave out --output-dir.")
    if given := settings_given(options):
        raise ValueError(
            f"A run goes on with the settings it was started with, so leave out {given[0]}."
        )
    if folder.is_file():
        raise ValueError(f"{folder} is a file: unzip it, and go on with the folder that is in it.")
    folders = run_folders(folder)
    records = [open_record(path) for path in folders]
    experiments = [record.settings for record in records]
    made_with = records[0]
    base_model = _same_model(
        made_with, options.model, vars(options).get("device", made_with.device)
    )
    here = environment(base_model)
    changes = [
        (f"with {name} {then}", here["versions"].get(name))
        for name, then in made_with.versions.items()
        if here["versions"].get(name) != then
    ]
    if made_with.device not in (AUTO, here["device"]):
        changes.append((f"on {made_with.device}", here["device"]))
    for then, now in changes:
        print(
            f"Note: it was started {then}, and this is {now}; "
            "the last bits of its numbers may differ from an uninterrupted run's."
        )
    return base_model, folder, experiments, folders


def _same_model(made_with: RunRecord, given: str, device: str) -> BaseModel:
    """The base model that a run was made with, on ``device``; ``given`` is where a local one may be
    by now."""
    name, revision = made_with.model_name, made_with.model_revision
    source = recorded_source(name, revision, made_with.model_kind)
    if source.is_local and not locate(given).source.is_embedded:
        name = given
    elif source.is_local and not Path(name).exists():
        raise ValueError(
            f"The run was made with {source.name}, which is on no Hub; say by --model where it "
            "lies on this machine."
        )
    return load_base_model(name, device, made_with.dtype, revision if source.kind == HUB else None)


def _fresh_folder(model: str, experiment: Experiment) -> Path:
    now = datetime.now().strftime("%Y-%m-%d-%H%M%S")
    manner = "chat" if experiment.config.chat_template else "plain"
    return Path("runs") / f"{now}-{locate(model).source.short_name}-{manner}"


def _described(experiment: Experiment) -> str:
    config = experiment.config
    where = "with the chat template" if config.chat_template else "without chat template"
    return (
        f"{where}: {experiment.episodes} episodes, {config.soft_tokens} soft tokens, "
        f"learning rate {config.learning_rate:g}, {config.episodes_per_step} a step"
    )
