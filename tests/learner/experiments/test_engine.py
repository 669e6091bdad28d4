"""Runs go forward step by step, are measured at their milestones, and keep what was best."""

import math
from concurrent.futures import Future
from dataclasses import replace
from itertools import repeat

import pytest
import torch

from arena import FAMILIES
from learner.experiments import engine as engine_module
from learner.experiments.engine import ALONE, EXAMPLES, advance, direct, start_runs, through
from learner.experiments.problem_order import SHARED
from learner.experiments.settings import Experiment
from learner.learning.learner import LearnerConfig
from learner.measuring import Score, Stopped
from learner.service.in_process import Service
from learner.service.protocol import ServiceBusy
from tests.learner.experiments.scripted_engine import SMALL, ScriptedEngine
from tests.learner.tiny_models import build_base_model


def finished(scripted, *experiments):
    *_, runs = advance(scripted.engine, start_runs(scripted.engine, experiments))
    return runs


def test_a_run_is_measured_at_every_milestone_and_ends():
    (run,) = finished(ScriptedEngine(), SMALL)
    assert run.finished
    assert [score.episodes for score in run.held_out] == [0, 4, 8, 12]
    assert [score.episodes for score in run.validation] == [0, 4, 8, 12]
    accuracies = [score.accuracy for score in run.held_out]
    assert accuracies == sorted(accuracies)  # a learner's skill grows with every step
    assert accuracies[0] == 0 < accuracies[-1]
    assert run.baselines[ALONE].correct == 0
    assert EXAMPLES not in run.baselines
    assert [episode.step for episode in run.past] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]
    assert run.learners[SHARED].episodes == 12
    assert run.learners[SHARED].families == tuple(sorted(FAMILIES))


def test_steps_end_at_milestones():
    odd = replace(SMALL, config=replace(SMALL.config, episodes_per_step=3), eval_interval=5)
    scripted = ScriptedEngine()
    finished(scripted, odd)
    assert [len(request[1]) for pass_ in scripted.trained for request in pass_] == [3, 2, 3, 2, 2]


def test_seeds_learn_and_are_measured_in_the_same_passes():
    scripted = ScriptedEngine()
    runs = finished(scripted, *(SMALL.with_seed(seed) for seed in range(3)))
    assert [len(pass_) for pass_ in scripted.trained] == [3] * 6
    assert len(scripted.asked) == 4  # one pass a milestone; the model alone answers with the first
    assert len(scripted.asked[0]) == 3 * (10 + 5) + 10
    assert len({run.past[0].answer + run.past[1].answer for run in runs}) > 1


def test_what_has_the_same_start_is_measured_once_there():
    scripted = ScriptedEngine()
    runs = finished(scripted, SMALL, SMALL.with_config(learning_rate=0.5, signal="reward"))
    assert len(scripted.asked[0]) == 10 + 5 + 10  # held out, in validation, the model alone
    apart = [finished(ScriptedEngine(), run.experiment)[0] for run in runs]
    for one, other in zip(runs, apart, strict=True):
        assert one.held_out == other.held_out and one.validation == other.validation
        assert one.baselines == other.baselines


def test_runs_that_learn_at_different_paces_meet_at_milestones():
    slow = replace(SMALL, config=replace(SMALL.config, episodes_per_step=1))
    scripted = ScriptedEngine()
    runs = finished(scripted, SMALL, slow)
    assert all(run.finished for run in runs)
    assert [len(pass_) for pass_ in scripted.trained] == [2, 2, 1, 1] * 3
    assert len(scripted.asked) == 4


class Moody(ScriptedEngine):
    """Knows everything after two steps, and then forgets it all."""

    def _say(self, ask):
        problem = self._answers[ask.question]
        known = ask.prompt is not None and 1001.5 < float(ask.prompt[0, 0]) < 1003.5
        return problem.answer if known else ""


def test_the_best_in_validation_is_kept_and_never_less_than_the_start():
    (run,) = finished(Moody(), SMALL)
    assert run.kept_episodes == 4
    assert run.kept[SHARED].steps == 2
    assert run.learners[SHARED].steps == 6
    (never,) = finished(Moody(), replace(SMALL, eval_interval=12))
    assert never.kept_episodes == 0  # no better than at the start: the start is kept
    assert never.kept[SHARED].steps == 0


def test_without_validation_the_last_is_kept():
    (run,) = finished(Moody(), replace(SMALL, validation_problems=0))
    assert run.validation == ()
    assert (run.kept_episodes, run.kept) == (12, run.learners)


def test_an_annealed_rate_falls_to_nothing_and_is_nobodys_setting():
    scripted, annealed = ScriptedEngine(), replace(SMALL, annealing=True)
    run, other = finished(scripted, annealed, SMALL)
    rates = [[learner.config.learning_rate for learner, _ in pass_] for pass_ in scripted.trained]
    full = SMALL.config.learning_rate
    assert rates == [[pytest.approx(full * left / 6), full] for left in (6, 5, 4, 3, 2, 1)]
    assert run.learners[SHARED].config == other.learners[SHARED].config == SMALL.config


def test_worked_examples_are_a_baseline_of_their_own():
    (run,) = finished(ScriptedEngine(), replace(SMALL, config=replace(SMALL.config, shots=2)))
    assert run.baselines[ALONE].correct == 0
    assert run.baselines[EXAMPLES].correct > 0


def test_a_step_that_is_refused_is_told_and_the_run_goes_on():
    (run,) = finished(ScriptedEngine(refusing="causal"), SMALL)
    refused = [episode for episode in run.past if not episode.accepted]
    assert refused
    assert {episode.message for episode in refused} == {"It was refused."}
    assert all(math.isnan(episode.loss) and not episode.right for episode in refused)
    assert run.done == 12
    assert run.learners[SHARED].episodes == 12 - len(refused)


@pytest.mark.parametrize("signal", ["reward", "mix"])
def test_what_was_sampled_is_kept_of_every_problem(signal):
    config = replace(SMALL.config, signal=signal, samples_per_problem=4)
    (run,) = finished(ScriptedEngine(refusing="causal"), replace(SMALL, config=config))
    refused = [episode for episode in run.past if episode.message]
    tried = [episode for episode in run.past if not episode.message]
    assert refused and not any(episode.sampled for episode in refused)
    first, last = tried[0], tried[-1]
    assert (first.reward, first.entropy, first.length, first.no_answer) == (0.25, 1.0, 6.0, 0.25)
    assert last.reward > first.reward and last.entropy < first.entropy
    assert first.disagreed and all(episode.sampled for episode in tried)
    if signal == "reward":  # nothing else says whether a problem was answered
        assert [episode.right for episode in tried] == [episode.reward > 0.5 for episode in tried]


def test_what_the_answer_is_told_of_is_not_sampled():
    (run,) = finished(ScriptedEngine(), SMALL)
    assert all(math.isnan(e.reward) and not (e.sampled or e.disagreed) for e in run.past)


def test_each_family_has_a_learner_of_its_own():
    experiment = replace(SMALL, per_family=True, episodes=20, eval_interval=10)
    scripted = ScriptedEngine()
    (run,) = finished(scripted, experiment)
    assert set(run.learners) == set(FAMILIES)
    for family, learner in run.learners.items():
        assert (learner.families, learner.episodes) == ((family,), 4)
    asked = {
        scripted._answers[ask.question].family: ask.prompt
        for ask in scripted.asked[-1]
        if ask.prompt is not None
    }
    for family, prompt in asked.items():
        assert torch.equal(prompt, run.learners[family].prompt)


@pytest.mark.parametrize("start", ["meta", "joint"])
def test_a_start_from_other_families_is_learnt_on_them_alone(start):
    scripted = ScriptedEngine()
    experiment = replace(SMALL, start=start, families=("causal", "sequence"))
    runs = start_runs(scripted.engine, [experiment, SMALL])
    families = {p.family for pass_ in scripted.trained for _, problems in pass_ for p in problems}
    assert families == set(FAMILIES) - {"causal", "sequence"}
    assert not torch.equal(runs[0].learners[SHARED].prompt, runs[1].learners[SHARED].prompt)
    assert runs[0].learners[SHARED].steps == 0
    assert not runs[0].learners[SHARED].first_moment.any()
    again = start_runs(ScriptedEngine().engine, [experiment])
    assert torch.equal(runs[0].learners[SHARED].prompt, again[0].learners[SHARED].prompt)


def test_a_start_from_all_families_if_all_are_trained_on():
    scripted = ScriptedEngine()
    start_runs(scripted.engine, [replace(SMALL, start="meta")])
    families = {p.family for pass_ in scripted.trained for _, problems in pass_ for p in problems}
    assert families == set(FAMILIES)


def test_advancing_leaves_the_runs_it_was_given_as_they_were():
    scripted = ScriptedEngine()
    began = start_runs(scripted.engine, [SMALL])
    for _ in advance(scripted.engine, began):
        pass
    assert (began[0].done, began[0].held_out) == (0, ())


REAL = Experiment(
    config=LearnerConfig(soft_tokens=2, episodes_per_step=2),
    episodes=4,
    eval_interval=2,
    eval_problems=4,
    validation_problems=2,
)


def real_runs(engine):
    *_, runs = advance(engine, start_runs(engine, [REAL, REAL.with_seed(1)]))
    return runs


def test_one_seed_among_others_samples_what_it_samples_alone():
    base_model = build_base_model("qwen2")
    config = replace(REAL.config, signal="reward", samples_per_problem=3)
    told = replace(REAL, config=config, episodes=2, validation_problems=0)
    engine = direct(base_model)
    *_, (one, _) = advance(engine, start_runs(engine, [told, told.with_seed(1)]))
    *_, (alone,) = advance(engine, start_runs(engine, [told]))
    for mine, his in zip(one.past, alone.past, strict=True):
        assert (mine.reward, mine.length, mine.no_answer) == (his.reward, his.length, his.no_answer)
        assert mine.entropy == pytest.approx(his.entropy, rel=1e-4) and mine.entropy > 0


def test_through_the_service_it_is_the_same_run():
    base_model = build_base_model("qwen2")
    alone = real_runs(direct(base_model))
    with Service(base_model) as service:
        shared = real_runs(through(service, "somebody"))
    for one, other in zip(alone, shared, strict=True):
        assert [e.answer for e in one.past] == [e.answer for e in other.past]
        for mine, theirs in zip(one.past, other.past, strict=True):
            assert mine.loss == pytest.approx(theirs.loss, rel=1e-4)
        assert isinstance(other.held_out[-1], Score)
        torch.testing.assert_close(
            one.learners[SHARED].prompt, other.learners[SHARED].prompt, rtol=1e-3, atol=1e-3
        )


def test_a_run_waits_while_the_service_is_full_and_not_for_ever(monkeypatch):
    monkeypatch.setattr(engine_module, "BUSY_SECONDS", 2.0)
    busy = iter([True, True, False] * 100)

    def when_free(function):
        def called(*values, **options):
            if next(busy):
                raise ServiceBusy("256 requests are waiting already; try again in a moment.")
            return function(*values, **options)

        return called

    with Service(build_base_model("qwen2")) as service:
        monkeypatch.setattr(service, "train", when_free(service.train))
        monkeypatch.setattr(service, "ask", when_free(service.ask))
        runs = real_runs(through(service, "somebody"))
        assert all(run.finished for run in runs)
        train = service.train

        def far_away(*values, **options):
            """Hears of it only when it comes to the result."""
            try:
                return train(*values, **options)
            except ServiceBusy as error:
                late = Future()
                late.set_exception(error)
                return late

        monkeypatch.setattr(service, "train", far_away)
        assert all(run.finished for run in real_runs(through(service, "somebody")))
        monkeypatch.setattr(service, "train", train)
        busy = repeat(True)
        monkeypatch.setattr(engine_module, "BUSY_SECONDS", 0.0)
        with pytest.raises(ServiceBusy):
            real_runs(through(service, "somebody"))
        monkeypatch.setattr(engine_module, "BUSY_SECONDS", 1e6)

        def stopped(seconds):
            raise Stopped

        with pytest.raises(Stopped):
            real_runs(through(service, "somebody", stopped))
