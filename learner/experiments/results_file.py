"""``results.json``: what a run did, for people, for plots and for going on with it, and reading it.

The keys of the original experiments' file are there with their meanings, so whatever reads that one
reads this one; the rest is ours. It holds each problem's outcome at every evaluation, because only
pairs tell a gain from luck. Times apart, the same run writes the same bytes. The original's own
files are read too (`original`).
"""

import json
import math
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import transformers

from arena import Problem
from arena.statistics import transfer
from learner.checkpoint.reading import CheckpointError, parse_json, parse_record, shown
from learner.experiments.engine import ALONE, EXAMPLES, Run
from learner.experiments.fields import Fields, parse_fields
from learner.experiments.original import train_continuous, train_qwen
from learner.experiments.problem_order import Episode
from learner.experiments.results import Results, Share
from learner.experiments.settings import Experiment, parse_experiment
from learner.measuring import NO_ANSWER, RIGHT, WRONG, Score, Tally, score_of
from learner.model.base_model import ModelFacts

RESULTS = "results.json"
FORMAT = "soft-prompt-arena/1"
MAX_BYTES = 1 << 26  # a hundred thousand episodes are some 30 MB, told a reward 50
_WRITTEN = {"answer": "correct", "right": "is_correct", "family": "task_type"}  # as the original's


def environment(base_model: ModelFacts) -> dict[str, Any]:
    """What a run was made with, apart from its settings."""
    return {
        "model_name": base_model.name,
        "model_kind": base_model.source.kind,
        "model_revision": base_model.revision,
        "model_parameters": base_model.parameter_count,
        "device": str(base_model.device),
        "dtype": str(base_model.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
    }


def as_json(run: Run, made_with: Mapping[str, Any], checkpoint: str) -> bytes:
    """The file's bytes. ``made_with`` is `environment`; ``checkpoint`` names the folder, beside the
    file, that the run goes on from."""
    experiment, config = run.experiment, run.experiment.config
    problems = experiment.problems()
    steps = {episode.step: episode.seconds for episode in run.past}
    record: dict[str, Any] = {
        "format": FORMAT,
        **made_with,
        "n_episodes": experiment.episodes,
        "n_soft_tokens": config.soft_tokens,
        "learning_rate": config.learning_rate,
        "use_chat_template": config.chat_template,
        "seed": config.seed,
        "settings": experiment.as_dict(),
        "start_time": run.started,
        "elapsed_time": run.elapsed,
        "training_time": sum(steps.values()),
        "episodes_per_sec": run.done / sum(steps.values()) if run.done else None,
        "finished": run.finished,
        "checkpoint": checkpoint,
        "kept_episode": run.kept_episodes,
        "baselines": {name: _evaluation(score, problems) for name, score in run.baselines.items()},
        "training": [_episode(number, episode) for number, episode in enumerate(run.past, 1)],
        "evaluations": [_evaluation(score, problems) for score in run.held_out],
        "validations": [
            _evaluation(score, experiment.problems("validation")) for score in run.validation
        ],
    }
    if run.finished:
        by_episode = {score.episodes: score for score in run.held_out}
        record["final_evaluation"] = _evaluation(run.held_out[-1], problems)
        record["kept_evaluation"] = _evaluation(by_episode[run.kept_episodes], problems)
        if experiment.order == "sequence":
            record["continual_learning"] = asdict(transfer(*_accuracies(run)))
    record["problems"] = [
        {"key": problem.key, "task_type": problem.family, "difficulty": problem.difficulty}
        for problem in problems
    ]
    return json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False).encode()


def _accuracies(run: Run) -> tuple[list[list[float]], list[float]]:
    """Accuracy on each family of a sequence after each of them was learnt, and before any was."""
    problems, families = run.experiment.problems(), run.experiment.families
    table = {
        score.episodes: [score.by_family(problems)[family].accuracy for family in families]
        for score in run.held_out
    }
    return [table[end] for end in run.experiment.phase_ends], table[0]


def read_results_file(file: Path) -> bytes:
    """The bytes of a run's file. Raises CheckpointError if it cannot be read, or is no run's."""
    try:
        with open(file, "rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise CheckpointError(
            f"There is no run in {file.parent}: {file.name} cannot be read ({error.strerror})."
        ) from error
    if len(data) > MAX_BYTES:
        raise CheckpointError(f"{file} is larger than any run's results.")
    return data


def parse_run_record(data: bytes, file: str = RESULTS) -> dict[str, Any]:
    """The JSON object of a file that `as_json` wrote. Raises CheckpointError."""
    record = parse_json(data, file)
    if record.get("format") != FORMAT:
        raise CheckpointError(
            f"{file} is not of the format {FORMAT}, so it cannot be gone on with."
        )
    return record


def parse_past(
    record: Mapping[str, Any], until: int, file: str = RESULTS
) -> tuple[Experiment, tuple[Episode, ...], dict[str, tuple[Score, ...]], dict[str, Score]]:
    """The experiment, and what happened in its first ``until`` episodes.

    That is the episodes, the scores ("evaluations" and "validations") and the baselines. Raises
    CheckpointError.
    """
    experiment = parse_experiment(record.get("settings"), file)
    chat_template = experiment.config.chat_template
    past = tuple(_parse_episode(entry, file) for entry in _list(record, "training", file)[:until])
    scores = {}
    for name in ("evaluations", "validations"):
        read = (_parse_score(entry, chat_template, file) for entry in _list(record, name, file))
        scores[name] = tuple(item for item in read if item.episodes <= until)
    baselines = {
        str(name): _parse_score(entry, chat_template, file)
        for name, entry in dict(record.get("baselines") or {}).items()
    }
    return experiment, past, scores, baselines


def _evaluation(score: Score, problems: Sequence[Problem]) -> dict[str, Any]:
    by_difficulty = score.by([problem.difficulty for problem in problems])
    return {
        "episode": score.episodes,
        "accuracy": score.accuracy,
        "interval": [score.interval.low, score.interval.high],
        "per_task_accuracy": _shares(score.by_family(problems)),
        "per_difficulty_accuracy": _shares(by_difficulty),
        "n_correct": score.correct,
        "n_total": score.n,
        "no_answer": score.no_answer,
        "outcomes": score.outcomes,
    }


def _shares(groups: Mapping[Any, Tally]) -> dict[str, float]:
    return {str(key): group.accuracy for key, group in groups.items()}


def _episode(number: int, episode: Episode) -> dict[str, Any]:
    values = {_WRITTEN.get(name, name): value for name, value in asdict(episode).items()}
    # JSON has no NaN; a loss is there in any case, because plots look for it.
    wanted = {k: v for k, v in values.items() if k == "loss" or (v == v and v != "")}
    return {"episode": number} | {k: v if v == v else None for k, v in wanted.items()}


def _parse_episode(entry: object, file: str) -> Episode:
    read = {name: ours for ours, name in _WRITTEN.items()}
    if isinstance(entry, dict):
        known = ((k, v) for k, v in entry.items() if k != "episode" and v is not None)
        entry = {read.get(name, name): value for name, value in known}
    return parse_record(Episode, entry, file, "training")


def _parse_score(entry: object, chat_template: bool, file: str) -> Score:
    if not isinstance(entry, dict):
        raise CheckpointError(f"{file} has an evaluation that is not an object.")
    outcomes, episodes = entry.get("outcomes"), entry.get("episode")
    if not isinstance(outcomes, str) or set(outcomes) - {RIGHT, WRONG, NO_ANSWER}:
        raise CheckpointError(
            f"{file} has the outcomes {shown(outcomes)}; a letter a problem would be right: "
            f"{RIGHT} right, {WRONG} wrong, {NO_ANSWER} no answer."
        )
    if type(episodes) is not int:
        raise CheckpointError(
            f"{file} has an evaluation after {shown(episodes)} episodes; a whole number would be "
            "right."
        )
    return score_of(outcomes, chat_template, episodes)


def _list(record: Mapping[str, Any], name: str, file: str) -> list[Any]:
    value = record.get(name)
    if not isinstance(value, list):
        raise CheckpointError(f"{file} has no list of {name}; it is not a whole {RESULTS}.")
    return value


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
