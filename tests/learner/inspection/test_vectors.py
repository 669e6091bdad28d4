from itertools import product

import pytest
import torch

from arena import held_out
from learner.inspection.subject import Subject
from learner.inspection.vectors import shapley, vectors
from learner.measuring import Answers
from learner.model.base_model import BaseModel
from tests.learner.inspection.known import heading_places, meaningless, planted

PROBLEMS = held_out(20)


def game(worth):
    return {kept: [float(worth(kept))] for kept in product((False, True), repeat=3)}


@pytest.mark.parametrize(
    ("worth", "values"),
    [
        (lambda kept: 2 * kept[0] + kept[1], [2, 1, 0]),
        (lambda kept: kept[0] and kept[1], [0.5, 0.5, 0]),  # it takes both
        (lambda kept: any(kept), [1 / 3] * 3),  # each says the same
    ],
)
def test_shapley_values_of_games_whose_values_are_known(worth, values) -> None:
    assert [row[0] for row in shapley(game(worth), 3)] == pytest.approx(values)


@pytest.mark.parametrize("seed", range(5))
def test_the_planted_heading_is_found(pocket: BaseModel, answers: Answers, seed: int) -> None:
    """The truth: a vouching heading stands at known vectors, and the rest is filler."""
    subject = planted(pocket, seed)
    truth = heading_places(pocket, seed)
    found = vectors(answers, subject, PROBLEMS, len(PROBLEMS))
    gain = found.whole.accuracy - found.none.accuracy
    assert gain > 0.3
    assert sum(share.value for share in found.shares) == pytest.approx(gain)
    own = sum(found.shares[i].value for i in truth)
    assert own > 0.8 * gain
    assert found.order[0] in truth
    assert found.subsets == 32


def test_nothing_is_found_where_nothing_was_planted(pocket: BaseModel, answers: Answers) -> None:
    found = vectors(answers, meaningless(pocket, 0), PROBLEMS, len(PROBLEMS))
    assert all(share.p_value > 0.05 for share in found.shares)
    assert all(effect.p_value > 0.05 for effect in (*found.put_back, *found.alone))


def test_from_a_few_orders_the_values_still_add_up(pocket: BaseModel, answers: Answers) -> None:
    found = vectors(answers, planted(pocket, 0), PROBLEMS, len(PROBLEMS), orders=6)
    assert found.subsets < 32
    gain = found.whole.accuracy - found.none.accuracy
    assert sum(share.value for share in found.shares) == pytest.approx(gain)
    assert found.order[0] in heading_places(pocket, 0)


def test_effects_are_told_by_family(pocket: BaseModel, answers: Answers) -> None:
    subject = Subject(torch.zeros(1, 192), torch.zeros(1, 192))
    found = vectors(answers, subject, PROBLEMS, len(PROBLEMS))
    assert set(found.put_back[0].families) == {problem.family for problem in PROBLEMS}
    assert all(value == 0 for value in found.put_back[0].families.values())
