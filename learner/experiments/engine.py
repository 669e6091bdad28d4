"""The engine: takes runs forward, step by step and milestone by milestone, many of them at once.

A `Run` is a value, and `advance` yields new ones; whoever consumes it may show them, save them, or
walk away and go on later from any of them. Runs share passes: five seeds cost little more than
one. An `Engine` is what touches the model: the bare functions (`direct`), or the service that other
people use at the same time (`through`).
"""

import math
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import partial
from itertools import islice
from typing import TypeVar

from arena import FAMILIES, Problem
from learner.experiments.completions import SOFT_PROMPT, Line, lines_of
from learner.experiments.problem_order import Episode, next_problems
from learner.experiments.settings import Experiment
from learner.experiments.starts import Train, joint_starts, meta_starts
from learner.learning.learner import Learner, LearnerConfig, new_learner
from learner.learning.step_report import summarise
from learner.learning.training import StepReport, train_steps
from learner.learning.worked_examples import worked_examples
from learner.measuring import (
    SHARED,
    Answers,
    Measurement,
    Score,
    Written,
    answers_of,
    behind,
    measured,
)
from learner.model.base_model import BaseModel, ModelFacts
from learner.model.completion import Ask, Completion
from learner.service.protocol import ModelService, ServiceBusy

Learners = Mapping[str, Learner]
"""A run's learners: one for each family, or one under ``SHARED``."""

ALONE, EXAMPLES = "model alone", "worked examples alone"  # baselines, by name
SPLITS = ("held-out", "validation")  # what soft prompts are measured on
BUSY_SECONDS = 60.0  # that a run waits at most where the service is full
Began = TypeVar("Began")
Trained = tuple[Learner, StepReport]
Pause = Callable[[float], object]
"""Lets so many seconds pass; may raise to end what waits."""


@dataclass(frozen=True)
class Engine:
    """A base model and the three functions that use it."""

    base_model: ModelFacts
    fresh_learner: Callable[[LearnerConfig], Learner]
    train: Train
    answers: Answers


@dataclass(frozen=True, eq=False)
class Run:
    """An experiment as far as it has come.

    ``past`` holds every problem learnt from, ``held_out`` and ``validation`` the scores at every
    milestone so far. ``kept`` are the learners that did best in validation, as they were after
    ``kept_episodes``. ``baselines`` are held-out scores without a soft prompt. ``written`` is what
    was answered when it was measured just now. ``elapsed`` counts seconds of learning and
    measuring; ``started`` is a time in ISO 8601.
    """

    experiment: Experiment
    learners: Learners
    kept: Learners
    kept_episodes: int = 0
    past: tuple[Episode, ...] = ()
    held_out: tuple[Score, ...] = ()
    validation: tuple[Score, ...] = ()
    baselines: Mapping[str, Score] = field(default_factory=dict)
    written: tuple[Line, ...] = ()
    elapsed: float = 0.0
    started: str = ""

    @property
    def done(self) -> int:
        """How many problems were learnt from."""
        return len(self.past)

    @property
    def measured(self) -> bool:
        """Whether this is a milestone that has been measured."""
        return bool(self.held_out) and self.held_out[-1].episodes == self.done

    @property
    def due(self) -> bool:
        """Whether it has to be measured before it learns on."""
        return self.done in self.experiment.milestones and not self.measured

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.done == self.experiment.episodes and self.measured


def direct(base_model: BaseModel) -> Engine:
    """The engine on a model of one's own."""
    return Engine(
        base_model,
        partial(new_learner, base_model),
        partial(train_steps, base_model),
        answers_of(base_model),
    )


def through(service: ModelService, owner: Hashable, pause: Pause = time.sleep) -> Engine:
    """The engine on the model that ``service`` owns, in turn with everybody else.

    Requests are ``owner``'s. Where too many of others' wait it waits too, `BUSY_SECONDS` at most,
    by one ``pause`` after another. Raises what the service and ``pause`` raise.
    """
    admitted = partial(_admitted, pause)

    def train(
        requests: Sequence[tuple[Learner, Sequence[Problem]]],
    ) -> list[tuple[Learner, StepReport]]:
        calls = [
            partial(service.train, learner, problems, owner=(owner, i))
            for i, (learner, problems) in enumerate(requests)
        ]
        futures = [admitted(call) for call in calls]
        return [
            _trained(future, call, admitted) for future, call in zip(futures, calls, strict=True)
        ]

    def ask(asks: Sequence[Ask]) -> Iterator[Sequence[Completion]]:
        def begin() -> tuple[Iterator[Sequence[Completion]], list[Sequence[Completion]]]:
            coming = iter(service.ask(asks))
            return coming, list(islice(coming, 1))

        coming, first = admitted(begin)
        yield from first
        yield from coming

    return Engine(service.base_model, service.new_learner, train, ask)


def _trained(
    future: "Future[Trained]",
    call: Callable[[], "Future[Trained]"],
    admitted: Callable[[Callable[[], Trained]], Trained],
) -> Trained:
    """What comes of a step; it is asked for again where it hears only then that there is no room,
    as from far away."""
    try:
        return future.result()
    except ServiceBusy:
        return admitted(lambda: call().result())


def _admitted(pause: Pause, begin: Callable[[], Began]) -> Began:
    """What ``begin`` returns, once the service has room for it."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return begin()
        except ServiceBusy:
            if time.monotonic() > until:
                raise
        pause(BUSY_SECONDS / 200)


def start_runs(
    engine: Engine,
    experiments: Sequence[Experiment],
    progress: Callable[[int, int], object] | None = None,
) -> tuple[Run, ...]:
    """Runs that have learnt nothing yet; ``progress(done, total)`` follows what comes before."""
    fresh = [engine.fresh_learner(experiment.config) for experiment in experiments]
    for kind, learn in (("meta", meta_starts), ("joint", joint_starts)):
        wanting = [i for i, experiment in enumerate(experiments) if experiment.start == kind]
        began = [(fresh[i], _families_elsewhere(experiments[i])) for i in wanting]
        if wanting:
            for i, prompt in zip(wanting, learn(engine.train, began, progress), strict=True):
                fresh[i] = replace(fresh[i], prompt=prompt)
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    runs = []
    for experiment, learner in zip(experiments, fresh, strict=True):
        names = experiment.families if experiment.per_family else (SHARED,)
        learners = {
            name: replace(
                learner,
                families=tuple(sorted(experiment.families)) if name == SHARED else (name,),
            )
            for name in names
        }
        runs.append(Run(experiment, learners, kept=learners, started=now))
    return tuple(runs)


def advance(
    engine: Engine,
    runs: Sequence[Run],
    measuring: Callable[[int, int], object] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[tuple[Run, ...]]:
    """Take all runs to their end; yields them after every step and every measurement.

    Runs that reach a milestone wait until the others have reached theirs, and are measured with
    them; ``measuring(done, total)`` follows that. Raises what the engine raises.
    """
    state = list(runs)
    while not all(run.finished for run in state):
        learning = [i for i, run in enumerate(state) if not (run.due or run.finished)]
        members = learning or [i for i, run in enumerate(state) if run.due]
        chosen = [state[i] for i in members]
        began = clock()
        chosen = _learn(engine, chosen, clock) if learning else _measure(engine, chosen, measuring)
        seconds = clock() - began
        for i, run in zip(members, chosen, strict=True):
            state[i] = replace(run, elapsed=run.elapsed + seconds)
        yield tuple(state)


def _families_elsewhere(experiment: Experiment) -> tuple[str, ...]:
    """The families that the experiment does not train on; all, if it trains on all."""
    return tuple(f for f in FAMILIES if f not in experiment.families) or tuple(FAMILIES)


def _learn(engine: Engine, runs: Sequence[Run], clock: Callable[[], float]) -> list[Run]:
    """One step of every run."""
    plans = []
    for run in runs:
        room = next(end for end in run.experiment.milestones if end > run.done) - run.done
        plans.append(next_problems(run.experiment, run.past, room))
    requests = [
        (_annealed(run, run.learners[name]), problems)
        for run, plan in zip(runs, plans, strict=True)
        for name, problems in plan.items()
    ]
    began = clock()
    results = iter(engine.train(requests))
    seconds = clock() - began
    stepped = []
    for run, plan in zip(runs, plans, strict=True):
        learners, past = dict(run.learners), list(run.past)
        step = past[-1].step + 1 if past else 1
        for name, problems in plan.items():
            learner, report = next(results)
            learners[name] = replace(learner, config=learners[name].config)
            past += _episodes(problems, report, step, seconds)
        kept, kept_episodes = run.kept, run.kept_episodes
        if not run.experiment.validation_problems:
            kept, kept_episodes = learners, len(past)
        stepped.append(
            replace(
                run,
                learners=learners,
                past=tuple(past),
                kept=kept,
                kept_episodes=kept_episodes,
                written=(),
            )
        )
    return stepped


def _annealed(run: Run, learner: Learner) -> Learner:
    """The learner with the rate at which it takes the run's next step."""
    if not run.experiment.annealing:
        return learner
    left = 1 - run.done / run.experiment.episodes
    rate = learner.config.learning_rate * left
    return replace(learner, config=replace(learner.config, learning_rate=rate))


def _episodes(
    problems: Sequence[Problem], report: StepReport, step: int, seconds: float
) -> list[Episode]:
    drawn = [summarise([group]) for group in report.groups]
    rights = [False] * len(problems)  # of a step that could not be run
    if drawn:
        rights = [one.reward > 0.5 for one in drawn]
    if report.correct:
        rights = list(report.correct)
    episodes = [
        Episode(
            family=problem.family,
            difficulty=problem.difficulty,
            answer=problem.answer,
            step=step,
            right=right,
            accepted=report.accepted,
            seconds=seconds,
            loss=report.loss if math.isfinite(report.loss) else math.nan,
            grad_norm=report.grad_norm if math.isfinite(report.grad_norm) else math.nan,
            message=report.message,
        )
        for problem, right in zip(problems, rights, strict=True)
    ]
    if not drawn:
        return episodes
    return [
        replace(
            episode,
            reward=one.reward,
            entropy=one.entropy,
            length=one.length,
            no_answer=one.no_answer / one.samples,
        )
        for episode, one in zip(episodes, drawn, strict=True)
    ]


def _measure(
    engine: Engine, runs: Sequence[Run], progress: Callable[[int, int], object] | None
) -> list[Run]:
    """Scores of every run at its milestone: held out, in validation, and its baselines at first.

    Runs that ask the same behind the same numbers, as before they learn, share the answers.
    """
    asked = [_asked(run) for run in runs]
    keys = [{name: _key(one) for name, one in own.items()} for own in asked]
    wanted = {
        named[name]: one
        for own, named in zip(asked, keys, strict=True)
        for name, one in own.items()
    }
    written: list[dict[int, Written]] = [{} for _ in wanted]

    def keep(i: int, place: int, one: Written) -> None:
        written[i][place] = one

    found = measured(engine.answers, [*wanted.values()], progress, keep)
    scores = dict(zip(wanted, found, strict=True))
    said = {
        key: [one for _, one in sorted(answers.items())]
        for key, answers in zip(wanted, written, strict=True)
    }
    return [
        _scored(run, {name: (scores[key], said[key]) for name, key in named.items()})
        for run, named in zip(runs, keys, strict=True)
    ]


def _asked(run: Run) -> dict[str, Measurement]:
    """What is asked at a run's milestone, by the name of the baseline or of the split."""
    experiment = run.experiment
    baselines = (ALONE, EXAMPLES) if experiment.config.shots else (ALONE,)
    asked = {name: _baseline(experiment, name) for name in baselines if name not in run.baselines}
    for split in SPLITS if experiment.validation_problems else SPLITS[:1]:
        asked[split] = behind(run.learners, experiment.problems(split))
    return asked


def _key(one: Measurement) -> Hashable:
    """What tells measurements apart."""
    prompts = {name: prompt.numpy().tobytes() for name, prompt in one.prompts.items()}
    return one.problems, one.chat_template, one.examples, frozenset(prompts.items())


def _scored(run: Run, found: Mapping[str, tuple[Score, Sequence[Written]]]) -> Run:
    """The run with what was found, by the names of `_asked`."""
    lines: list[Line] = []
    baselines, own = dict(run.baselines), {}
    for name, (score, written) in found.items():
        if name in SPLITS:
            own[name] = replace(score, episodes=run.done)
            lines += lines_of(written, SOFT_PROMPT, run.done, name)
        else:
            baselines[name] = score
            lines += lines_of(written, name, 0)
    held_out, validation = map(own.get, SPLITS)
    assert held_out is not None, "it is asked at every milestone"
    run = replace(
        run, baselines=baselines, held_out=(*run.held_out, held_out), written=tuple(lines)
    )
    return _validated(run, validation) if validation else run


def _validated(run: Run, score: Score) -> Run:
    """The run with a new validation score, and the learners kept if none did better before."""
    best = max((before.correct for before in run.validation), default=-1)
    run = replace(run, validation=(*run.validation, score))
    if score.correct > best:
        run = replace(run, kept=run.learners, kept_episodes=run.done)
    return run


def _baseline(experiment: Experiment, name: str) -> Measurement:
    config = experiment.config
    examples = worked_examples(config.shots if name == EXAMPLES else 0)
    return Measurement(experiment.problems(), config.chat_template, examples=examples)
