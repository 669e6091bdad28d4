"""The whole report, on scripted learners: every chapter, its verdicts, its figures."""

from dataclasses import replace
from statistics import fmean

import pytest
import torch

from learner.checkpoint.reading import CheckpointError
from learner.experiments.estimates import estimate
from learner.experiments.folder import slug
from learner.report.repetition import repetition_arms
from learner.report.reproduction import CHAPTERS, require_enough
from learner.report.study import Scale, Study
from learner.report.sweep import CHANGES, DEFAULT, sweep
from learner.report.techniques import findings, findings_table, verdicts
from learner.report.transfer import MEASURED, Start, unseen_text
from tests.learner.experiments.scripted_engine import ScriptedEngine

SCALE = Scale(seeds=2, episodes=8, problems=20, validation=10)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return Study(ScriptedEngine().engine, tmp_path_factory.mktemp("report"), SCALE)


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_chapter_can_be_written(study, name, capsys):
    text = CHAPTERS[name](study)
    assert text.startswith("## ")
    assert "| --- |" in text
    assert "nan" not in text.lower().replace("–", "")
    for line in text.splitlines():
        if line.startswith("!["):
            assert (study.folder / line.split("](")[1].rstrip(")")).is_file()


def test_experiments_say_what_came_of_the_targets(study):
    text = CHAPTERS["experiments"](study)
    assert "## Experiment 1: with the chat template" in text
    assert "## Experiment 2: without the template" in text
    assert "original settings" in text
    assert "gains accuracy, significantly" in text  # scripted start from nothing, in either format


def test_what_is_asked_in_one_format_is_run_in_no_other(study, tmp_path):
    plain = Study(study.engine, tmp_path, SCALE, asked=(False,))
    text = CHAPTERS["experiments"](plain) + CHAPTERS["signals"](plain)
    assert "Experiment 2: without the template" in text
    assert "Experiment 1" not in text and "with the template" not in text
    assert not any(run.chat_template for arm in plain.arms.values() for run in arm.runs)


def test_techniques_have_a_verdict_each(study):
    found = findings(study, [False])
    words = verdicts(found)
    assert len(words) == len(found) == 6
    by_name = {finding.technique: word for finding, word in zip(found, words, strict=True)}
    # Each family's learner takes as many steps as the shared one did: it is as skilled, no more.
    assert "no difference shown" in by_name["keep the best in validation"]
    table = findings_table(found)
    assert table.count("\n") == len(found) + 1
    assert "verdict" in table


def test_a_setting_is_chosen_in_validation_and_looked_at_held_out(study):
    found = sweep(study, chat=False)
    assert len(found.settings) == 2 * len(CHANGES)
    steadiest = max(found.settings, key=lambda setting: setting.steady)
    assert found.chosen.setting == steadiest
    assert (found.default.setting.name, found.default.setting.episodes) == (DEFAULT, SCALE.episodes)
    for look in (found.chosen, found.default):
        held_out = [run.curve[-1] for run in look.arm.runs]
        assert {(score.episodes, score.n) for score in held_out} == {
            (look.setting.episodes, SCALE.problems)
        }
        assert look.estimate.value == pytest.approx(fmean(score.accuracy for score in held_out))
    assert f"Chosen in validation, by the mean less its standard error: {steadiest.name}" in (
        CHAPTERS["settings"](study)
    )


def test_settings_can_be_tried_for_no_longer_than_the_rest(tmp_path):
    scale = replace(SCALE, longer=1, validation=4)
    found = sweep(Study(ScriptedEngine().engine, tmp_path, scale), chat=False)
    assert [setting.name for setting in found.settings] == [*CHANGES]
    assert {setting.episodes for setting in found.settings} == {SCALE.episodes}


def test_the_same_problems_again_are_compared_with_new_ones(study):
    text = CHAPTERS["repetition"](study)
    assert text.count("| 8 problems, once |") == text.count("| 32 problems, once |") == 2
    again, new = repetition_arms(study, chat=False)
    for one, other in zip(again.runs, new.runs, strict=True):
        assert [score.episodes for score in one.curve] == [0, 8, 32]
        assert one.curve[:2] == other.curve[:2]  # until all problems were met once


def test_starts_between_which_nothing_differs_have_an_interval():
    table = [[0.0, 1.0, 1.0, 0.0]] * 2
    starts = [Start(name, dict.fromkeys(MEASURED, table)) for name in ("fresh", "joint", "meta")]
    text = unseen_text(starts)
    assert text.count("+0.0 [−49.0, +49.0] points, p = 1") == 2 * len(MEASURED[1:])


def test_signals_are_compared_with_what_was_sampled(study):
    text = CHAPTERS["signals"](study)
    assert text.count("What was sampled, 4 problems a step, 8 samples each") == 2  # both formats
    assert "| reward | first 5 |" in text and "| mix | last 5 |" in text
    assert "| answer | first 5 |" not in text
    assert "By reward alone, 2 of 2 seeds reached 90%" in text


def test_what_has_been_run_is_read_and_not_run_again(study):
    CHAPTERS["comparison"](study)
    scripted = ScriptedEngine()
    again = Study(scripted.engine, study.folder, SCALE)
    assert CHAPTERS["comparison"](again) == CHAPTERS["comparison"](study)
    assert scripted.trained == []
    assert again.reused > 0


@pytest.mark.parametrize(
    ("made_with", "says"),
    [
        ({"dtype": torch.bfloat16}, "in float32 on cpu, and these would be in bfloat16 on cpu"),
        ({"device": torch.device("cuda")}, "these would be in float32 on cuda; choose another"),
    ],
)
def test_runs_of_other_hardware_are_not_reported_as_of_this(tmp_path, made_with, says):
    scripted = ScriptedEngine().engine
    first = Study(scripted, tmp_path, replace(SCALE, episodes=2))
    first.require_same_hardware()
    first.arm("plain", first.best(False))
    first.require_same_hardware()
    other = replace(scripted, base_model=replace(scripted.base_model, **made_with))
    with pytest.raises(CheckpointError, match=says):
        replace(first, engine=other).require_same_hardware()


def test_arms_of_a_bench_share_seeds_and_problems(study):
    arms = [*study.arms.values()]
    assert {len(arm.runs) for arm in arms} == {SCALE.seeds}
    assert len({run.problems for arm in arms for run in arm.runs}) == 1
    assert all(0 <= estimate([run.final for run in arm.runs]).value <= 1 for arm in arms)


def test_one_seed_is_too_few():
    with pytest.raises(ValueError, match="at least 2 seeds"):
        Scale(seeds=1)


@pytest.mark.parametrize(
    ("scale", "chapter", "complaint"),
    [
        ({"validation": 0}, "settings", "The chapter settings chooses in validation"),
        ({"validation": 0}, "techniques", "The chapter techniques chooses in validation"),
        ({"episodes": 3}, "techniques", "an episode for each"),
        ({"problems": 3}, "sequence", "not of all"),
        ({"episodes": 3}, "sequence", "an episode for each"),
        ({"problems": 1}, "experiments", "2 to 10000 problems"),
    ],
)
def test_what_is_too_small_for_a_chapter_is_refused_before_any_runs(
    study, tmp_path, scale, chapter, complaint
):
    small = Study(study.engine, tmp_path, replace(SCALE, **scale))
    with pytest.raises(ValueError, match=complaint):
        require_enough(small, ["comparison", chapter])
    require_enough(study, [*CHAPTERS])
    if chapter != "experiments":
        require_enough(small, ["comparison"])


def test_names_become_folders():
    assert slug("Qwen/Qwen2.5-0.5B, 1 worked example!") == "qwen-qwen2-5-0-5b-1-worked-example"
