"""What people ask for is checked, every field of it, and told in one sentence."""

import pytest

from learner.experiments.plan import TECHNIQUES, PlanError, plan_of
from learner.experiments.settings import ORIGINAL, TUNED

GIVEN = {
    "name": "run 1",
    "technique": "best",
    "chat_template": False,
    "episodes": 80,
    "seeds": 3,
    "problems": 200,
}


def test_what_is_not_said_is_as_measured_best():
    plan = plan_of(**GIVEN)
    assert plan.experiment == TUNED
    assert [experiment.seed for experiment in plan.experiments] == [0, 1, 2]


def test_the_originals_settings_are_the_originals():
    plan = plan_of(**GIVEN | {"technique": "original", "chat_template": True, "problems": 20})
    assert plan.experiment == ORIGINAL


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_everything_on_the_menu_can_be_run_on_any_number_of_anything(technique):
    for episodes, problems, seeds in ((5, 20, 1), (400, 500, 5)):
        numbers = {"episodes": episodes, "problems": problems, "seeds": seeds}
        plan = plan_of(**GIVEN | numbers | {"technique": technique})
        assert len(plan.experiments) == seeds
        assert 3 <= len(plan.experiment.milestones) <= 9


def test_more_settings_are_taken_over():
    more = {
        "soft_tokens": 4,
        "learning_rate": 0.1,
        "episodes_per_step": 2,
        "first_seed": 7,
        "family": "causal",
    }
    plan = plan_of(**GIVEN | more)
    config = plan.experiment.config
    assert (config.soft_tokens, config.learning_rate, config.episodes_per_step) == (4, 0.1, 2)
    assert plan.seeds == (7, 8, 9)
    assert plan.experiment.families == ("causal",)


NONSENSE = [
    ("name", "", "letter or a digit"),
    ("name", " ?! ", "letter or a digit"),
    ("name", None, "letter or a digit"),
    ("name", "x" * 41, "at most 40 characters, not 41"),
    ("technique", "magic", "There is no 'magic'"),
    ("technique", ["best"], "There is no"),
    ("chat_template", "yes", "either with the chat template"),
    ("episodes", 0, "episodes is a whole number from 1 to 400"),
    ("episodes", 401, "episodes is a whole number from 1 to 400"),
    ("episodes", 2.5, "episodes is a whole number"),
    ("episodes", None, "episodes is a whole number"),
    ("episodes", True, "episodes is a whole number"),
    ("episodes", float("nan"), "episodes is a whole number"),
    ("episodes", float("inf"), "episodes is a whole number"),
    ("episodes", "80", "episodes is a whole number"),
    ("seeds", 6, "seeds is a whole number from 1 to 5"),
    ("problems", 19, "held-out problems is a whole number from 20 to 500"),
    ("soft_tokens", 101, "soft tokens is a whole number from 1 to 100"),
    ("learning_rate", 0, "learning rate is a number from 0.00001 to 1"),
    ("learning_rate", float("nan"), "learning rate is a number"),
    ("episodes_per_step", 17, "episodes a step is a whole number from 1 to 16"),
    ("first_seed", -1, "first seed is a whole number from 0 to 1,000,000"),
    ("family", "poetry", "There is no family 'poetry'"),
]


@pytest.mark.parametrize(("field", "value", "sentence"), NONSENSE)
def test_nonsense_is_told_in_a_sentence(field, value, sentence):
    with pytest.raises(PlanError, match=sentence) as told:
        plan_of(**GIVEN | {field: value})
    assert str(told.value).count(". ") == 0


def test_what_does_not_go_together_is_told_as_well():
    with pytest.raises(PlanError, match="at least an episode for each"):
        plan_of(**GIVEN | {"technique": "per family", "episodes": 4})
    with pytest.raises(PlanError, match="no chat template"):
        plan_of(**GIVEN | {"chat_template": True}, formats=(False,))


def test_names_are_tidied():
    assert plan_of(**GIVEN | {"name": "  my\n\tfirst   run "}).name == "my first run"
