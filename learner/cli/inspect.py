"""``python -m learner inspect``: Look inside a soft prompt: what it learnt, each answer checked.

python -m learner inspect --checkpoint runs/mine
python -m learner inspect --checkpoint runs/mine --text "Answer key" --output-dir inside
python -m learner inspect --checkpoint user/name --problems 40 --json
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from tqdm import tqdm

from arena import held_out
from learner import wording
from learner.checkpoint.atomic_folder import write_file
from learner.checkpoint.files import load, save
from learner.cli.flags import add_any_model, add_base_model, add_problems
from learner.experiments.folder import milestones
from learner.hub.opening import open_checkpoint
from learner.inspection.findings import found, made, markdown
from learner.inspection.pictures import pictures
from learner.inspection.record import as_record
from learner.inspection.size import Size, smallest_of
from learner.inspection.whole import ANSWERS_A_PROBLEM, Parts, inspect, material_of
from learner.learning.learner import Learner, new_learner
from learner.measuring import Answers, answers_of
from learner.model.base_model import BaseModel
from learner.model.completion import Ask, Completion
from learner.model.loading import load_base_model
from learner.visitors.moments import Moment

REPORT, RECORD = "inspection.md", "inspection.json"


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    add = parser.add_argument
    add(
        "--checkpoint",
        required=True,
        help="soft prompt to look into: a run, a folder, a zip or .pt file, a Hub id",
    )
    add_any_model(parser)
    add("--text", nargs="+", default=[], help="texts of yours to compare it with")
    add("--output-dir", type=Path, help="folder for the report (default: a new one in runs)")
    add("--json", action="store_true", help="only print the result as JSON")
    add("--save-smallest", type=Path, metavar="FOLDER", help="save the smallest that loses nothing")
    asking = parser.add_argument_group("asking")
    add_problems(asking, 100, "held-out problems", least=2)
    add_base_model(parser)


def run(options: argparse.Namespace) -> None:
    """Run the command. Raises ValueError, in a sentence, for what a person can mend."""
    base_model = load_base_model(options.model, options.device, options.dtype)
    learner = open_checkpoint(options.checkpoint, base_model, options.any_model)
    began = time.perf_counter()
    parts: Parts = {}
    about = options.problems * ANSWERS_A_PROBLEM[base_model.source.is_embedded]
    bar = tqdm(total=about, unit="answer", leave=False)
    material = material_of(
        learner,
        partial(new_learner, base_model),
        base_model,
        _counted(answers_of(base_model), bar),
        lambda work: work(base_model),
        held_out(options.problems, options.held_out_seed),
        options.text,
        _moments(options.checkpoint, learner, base_model, options.any_model),
    )
    for name, part in inspect(material):
        parts[name] = part
        heading, short, evidence = found(part)
        seconds = time.perf_counter() - began
        tqdm.write(f"[{seconds:.1f} s] {heading}\n{short}\n{evidence}\n", file=sys.stderr)
    bar.close()
    record = {
        "model": base_model.name,
        "revision": base_model.revision,
        "dtype": str(base_model.dtype).removeprefix("torch."),
        "chat_template": learner.config.chat_template,
        "episodes": learner.episodes,
        "held_out_seed": options.held_out_seed,
        "seconds": time.perf_counter() - began,
        **{name: as_record(part) for name, part in parts.items()},
    }
    text = json.dumps(record, indent=2)
    if options.json:
        print(text)
    else:
        about = (
            f"{base_model.name}, {'with' if learner.config.chat_template else 'without'} the chat "
            f"template, after {wording.count(learner.episodes, 'episode')}; "
            f"{wording.count(options.problems, 'held-out problem')}, 95 % intervals, "
            f"{record['seconds']:.0f} seconds.\n\n{wording.power(options.problems)}; a hint of "
            "more is no finding. Where a row says *untrained*, or *random*, that is the control."
        )
        _write(options.output_dir or _fresh_folder(base_model), parts, about, text)
    if options.save_smallest:  # last, for its folder may be another's
        _save_smallest(learner, parts, options.save_smallest, base_model)


def _write(folder: Path, parts: Parts, about: str, record: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    drawn = pictures(parts)
    for name, picture in drawn.items():
        write_file(picture, folder / f"{name}.png")
    named = {name: f"{name}.png" for name in drawn}
    write_file(markdown(parts, named, about).encode(), folder / REPORT)
    write_file(f"{record}\n".encode(), folder / RECORD)
    print(f"Written to {folder / REPORT}, with {RECORD} and {len(drawn)} pictures.")


def _counted(answers: Answers, bar: tqdm) -> Answers:
    def counted(asks: Sequence[Ask]) -> Iterator[Sequence[Completion]]:
        before = bar.n
        for completions in answers(asks):
            bar.update(before + sum(one.tokens > 0 for one in completions) - bar.n)
            yield completions

    return counted


def _fresh_folder(base_model: BaseModel) -> Path:
    now = datetime.now().strftime("%Y-%m-%d-%H%M%S")
    return Path("runs") / f"{now}-{base_model.source.short_name}-inside"


def _moments(
    reference: str, learner: Learner, base_model: BaseModel, any_model: bool
) -> list[Moment]:
    """The milestones up to the learner, if it is a run's and they were kept."""
    return [
        Moment(episodes, load(place, base_model, any_model).prompt)
        for episodes, place in milestones(Path(reference))
        if episodes <= learner.episodes
    ]


def _save_smallest(learner: Learner, parts: Parts, folder: Path, base_model: BaseModel) -> None:
    """Save the smallest that loses nothing, in PEFT's format as any other; say so if none does."""
    part = parts["size"]
    assert isinstance(part, Size)
    smaller = smallest_of(learner, part)
    if smaller is None or part.smallest is None:
        print("Nothing smaller is sure to do as well, so nothing was saved.", file=sys.stderr)
        return
    saved = save(smaller, folder, base_model)
    print(f"The smallest, {made(part.smallest)}, is in {saved}.", file=sys.stderr)
