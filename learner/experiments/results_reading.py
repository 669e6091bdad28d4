"""Results of any run, read from its ``results.json``: ours, or the original experiments'."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from learner.checkpoint.reading import CheckpointError, parse_json
from learner.experiments.engine import ALONE, EXAMPLES
from learner.experiments.fields import Fields, parse_fields
from learner.experiments.original import train_continuous, train_qwen
from learner.experiments.results import Results, Share
from learner.experiments.results_file import FORMAT, RESULTS, parse_past, read_results_file
from learner.measuring import Score


def read_results(path: Path) -> Results:
    """The results in a run's folder, or in a ``results.json``. Raises CheckpointError."""
    file = path / RESULTS if path.is_dir() else path
    return parse_results(read_results_file(file), file.resolve().parent.name, str(file))


def parse_results(data: bytes, name: str, file: str = RESULTS) -> Results:
    """The results in a file's bytes, to be shown as ``name``. Raises CheckpointError."""
    fields = parse_fields(data, file)
    if "format" in fields and fields.text("format") == FORMAT:
        return _ours(fields, parse_json(data, file), name, file)
    for key, reader in (("training", train_qwen), ("training_results", train_continuous)):
        if key in fields and "format" not in fields:
            return reader(fields, name)
    raise CheckpointError(
        f"{file} is not the {RESULTS} of a run of this program or of the original experiments."
    )


def _ours(fields: Fields, record: dict[str, Any], name: str, file: str) -> Results:
    training = fields.items("training")
    experiment, past, scores, baselines = parse_past(record, len(training), file)
    asked = fields.items("problems")
    families = [problem.text("task_type") for problem in asked]
    difficulties = [problem.count("difficulty") for problem in asked]
    curve = tuple(_whole(score, len(asked), file) for score in scores["evaluations"])
    if not curve:
        raise CheckpointError(f"{file} is of a run that was stopped before it was ever measured.")
    first, last = curve[0], curve[-1]
    kept = fields.count("kept_episode")
    steps = {episode.step: episode.seconds for episode in past}
    sizes = Counter(episode.step for episode in past)
    return Results(
        name=name,
        model=fields.text("model_name"),
        parameters=fields.count("model_parameters"),
        chat_template=experiment.config.chat_template,
        soft_tokens=experiment.config.soft_tokens,
        learning_rate=experiment.config.learning_rate,
        episodes=experiment.episodes,
        seed=experiment.seed,
        losses=tuple(
            (number, episode.loss)
            for number, episode in enumerate(past, 1)
            if math.isfinite(episode.loss)
        ),
        curve=curve,
        final=curve[-1],
        families=_groups(families, first, last),
        difficulties=_groups([str(difficulty) for difficulty in difficulties], first, last),
        episodes_per_second=len(past) / sum(steps.values()) if past else 0.0,
        alone=_baseline(baselines, ALONE, len(asked), file),
        examples_alone=_baseline(baselines, EXAMPLES, len(asked), file),
        kept=next((score for score in curve if score.episodes == kept), None),
        validation=tuple(
            _whole(score, experiment.validation_problems, file) for score in scores["validations"]
        ),
        problems=tuple(problem.text("key") for problem in asked),
        training_seconds=sum(steps.values()),
        step_rates=tuple(sizes[step] / seconds for step, seconds in steps.items() if seconds > 0),
        continual=fields.fields("continual_learning").numbers()
        if "continual_learning" in fields
        else {},
        sampled=tuple(episode for episode in past if episode.sampled),
        experiment=experiment,
        finished=fields.flag("finished"),
    )


def _whole(score: Score, asked: int, file: str) -> Score:
    if score.n != asked:
        raise CheckpointError(f"{file} has {score.n} outcomes of {asked} problems; it was changed.")
    return score


def _baseline(baselines: Mapping[str, Score], name: str, asked: int, file: str) -> Score | None:
    return _whole(baselines[name], asked, file) if name in baselines else None


def _groups(keys: Sequence[str], before: Score, after: Score) -> dict[str, tuple[Share, Share]]:
    then, now = before.by(keys), after.by(keys)
    return {
        key: (Share(then[key].accuracy, then[key].n), Share(now[key].accuracy, now[key].n))
        for key in then
    }
