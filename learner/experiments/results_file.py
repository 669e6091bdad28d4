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
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
import transformers
from pydantic import FailFast, with_config
from typing_extensions import NotRequired, TypedDict

from arena import Problem
from arena.statistics import transfer
from learner.checkpoint.reading import LENIENT, CheckpointError, Count, parse, shown
from learner.experiments.engine import ALONE, EXAMPLES, Run
from learner.experiments.original import original_results
from learner.experiments.problem_order import Episode
from learner.experiments.results import UNKNOWN, Results, Share
from learner.experiments.settings import Experiment
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
    spent = sum({episode.step: episode.seconds for episode in run.past}.values())
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
        "training_time": spent,
        "episodes_per_sec": run.done / spent if spent > 0 else None,
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


@dataclass(frozen=True)
class _Evaluation:
    """How a set of problems was answered."""

    episode: Count
    outcomes: str

    def __post_init__(self) -> None:
        if set(self.outcomes) - {RIGHT, WRONG, NO_ANSWER}:
            raise ValueError(
                f"outcomes have a letter a problem, {RIGHT} right, {WRONG} wrong, {NO_ANSWER} no "
                f"answer, not {shown(self.outcomes)}."
            )


class _Episode(TypedDict):
    """An `Episode`, by the names that the original experiments used; null is not a number."""

    task_type: str
    difficulty: int
    correct: str
    step: int
    is_correct: bool
    accepted: bool
    seconds: float
    loss: NotRequired[float | None]
    grad_norm: NotRequired[float | None]
    reward: NotRequired[float | None]
    entropy: NotRequired[float | None]
    length: NotRequired[float | None]
    no_answer: NotRequired[float | None]
    message: NotRequired[str]


@dataclass(frozen=True)
class _Asked:
    """A held-out problem."""

    key: str
    task_type: str
    difficulty: Count


@with_config(LENIENT)
@dataclass(frozen=True)
class _Format:
    """What tells whose a ``results.json`` is."""

    format: Any = None


@with_config(LENIENT)
@dataclass(frozen=True)
class RunRecord:
    """What is read again of a ``results.json`` that `as_json` wrote.

    What has a default, files of earlier versions may lack.
    """

    model_name: str
    settings: Experiment
    finished: bool
    checkpoint: str
    kept_episode: Count
    training: Annotated[tuple[_Episode, ...], FailFast()]
    evaluations: Annotated[tuple[_Evaluation, ...], FailFast()]
    validations: Annotated[tuple[_Evaluation, ...], FailFast()]
    problems: Annotated[tuple[_Asked, ...], FailFast()]
    baselines: dict[str, _Evaluation] = field(default_factory=dict)
    model_kind: str = ""
    model_revision: str = ""
    model_parameters: Count = 0
    device: str = "auto"
    dtype: str = "auto"
    versions: dict[str, str] = field(default_factory=dict)
    start_time: str = ""
    elapsed_time: float = 0.0
    continual_learning: dict[str, float] = field(default_factory=dict)


def parse_run_record(data: bytes, file: str = RESULTS) -> RunRecord:
    """What a file says that `as_json` wrote. Raises CheckpointError."""
    if parse(_Format, data, file).format != FORMAT:
        raise CheckpointError(
            f"{file} is not of the format {FORMAT}, so it cannot be gone on with."
        )
    return parse(RunRecord, data, file)


def parse_past(
    record: RunRecord, until: int, file: str = RESULTS
) -> tuple[tuple[Episode, ...], dict[str, tuple[Score, ...]], dict[str, Score]]:
    """What happened in the first ``until`` episodes of a run.

    That is the episodes, the scores ("evaluations" and "validations") and the baselines. Raises
    CheckpointError.
    """

    def score(evaluation: _Evaluation) -> Score:
        chat_template = record.settings.config.chat_template
        return score_of(evaluation.outcomes, chat_template, evaluation.episode)

    try:
        past = tuple(map(_read_episode, record.training[:until]))
    except ValueError as error:
        raise CheckpointError(f"{file} has a training that cannot be: {error}") from error
    scores = {
        "evaluations": tuple(score(one) for one in record.evaluations if one.episode <= until),
        "validations": tuple(score(one) for one in record.validations if one.episode <= until),
    }
    return past, scores, {name: score(one) for name, one in record.baselines.items()}


def _read_episode(entry: _Episode) -> Episode:
    ours = {written: name for name, written in _WRITTEN.items()}
    values: dict[str, Any] = {
        ours.get(name, name): value for name, value in entry.items() if value is not None
    }
    return Episode(**values)


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


def read_results(path: Path) -> Results:
    """The results in a run's folder, or in a ``results.json``. Raises CheckpointError."""
    file = path / RESULTS if path.is_dir() else path
    return parse_results(read_results_file(file), file.resolve().parent.name, str(file))


def parse_results(data: bytes, name: str, file: str = RESULTS) -> Results:
    """The results in a file's bytes, to be shown as ``name``. Raises CheckpointError."""
    if parse(_Format, data, file).format == FORMAT:
        return _ours(parse_run_record(data, file), name, file)
    results = original_results(data, name, file)
    if results is None:
        raise CheckpointError(
            f"{file} is not the {RESULTS} of a run of this program or of the original experiments."
        )
    return results


def _ours(record: RunRecord, name: str, file: str) -> Results:
    experiment, asked = record.settings, record.problems
    past, scores, baselines = parse_past(record, len(record.training), file)
    if len(asked) != experiment.eval_problems:
        raise CheckpointError(
            f"{file} has {len(asked)} problems, and settings that ask {experiment.eval_problems}; "
            "it was changed."
        )
    curve = tuple(_whole(score, len(asked), file) for score in scores["evaluations"])
    if not curve:
        raise CheckpointError(f"{file} is of a run that was stopped before it was ever measured.")
    first, last = curve[0], curve[-1]
    steps = {episode.step: episode.seconds for episode in past}
    spent = sum(steps.values())
    sizes = Counter(episode.step for episode in past)
    return Results(
        name=name,
        model=record.model_name,
        parameters=record.model_parameters,
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
        families=_groups([problem.task_type for problem in asked], first, last),
        difficulties=_groups([str(problem.difficulty) for problem in asked], first, last),
        episodes_per_second=len(past) / spent if spent > 0 else UNKNOWN,
        alone=_baseline(baselines, ALONE, len(asked), file),
        examples_alone=_baseline(baselines, EXAMPLES, len(asked), file),
        kept=next((score for score in curve if score.episodes == record.kept_episode), None),
        validation=tuple(
            _whole(score, experiment.validation_problems, file) for score in scores["validations"]
        ),
        problems=tuple(problem.key for problem in asked),
        training_seconds=spent,
        step_rates=tuple(sizes[step] / seconds for step, seconds in steps.items() if seconds > 0),
        continual=record.continual_learning,
        sampled=tuple(episode for episode in past if episode.sampled),
        experiment=experiment,
        finished=record.finished,
    )


def _whole(score: Score, asked: int, file: str) -> Score:
    if score.n != asked or not asked:
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
