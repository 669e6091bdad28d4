import pytest
import torch

from arena import held_out
from learner.inspection.strength import (
    blend,
    path,
    random_direction,
    strength,
    thinned,
)
from learner.inspection.subject import Subject
from learner.measuring import Answers
from learner.visitors.moments import Moment


def test_five_seeds_rise_along_the_line_and_a_random_direction_does_not(
    answers: Answers, subjects: list[Subject]
) -> None:
    """The truth: an untrained prompt answers nothing, a trained one two of three."""
    for subject in subjects:
        found = strength(answers, subject, held_out(20), places=(0.0, 0.5, 1.0))
        start, _, end = found.scores
        assert start.correct <= 1
        assert end.correct >= 8
        assert found.half is not None and 0 < found.half < 1
        assert all(score.correct <= 1 for score in found.control)


def test_the_line_runs_from_untrained_to_trained_and_beyond() -> None:
    subject = Subject(torch.full((2, 2), 3.0), torch.ones(2, 2))
    assert blend(subject, 0).tolist() == [[1, 1], [1, 1]]
    assert blend(subject, 1.5).tolist() == [[4, 4], [4, 4]]
    with pytest.raises(ValueError, match="A strength is from 0"):
        blend(subject, 2)
    uneven = Subject(torch.tensor([[0.1, 1e-3]]), torch.tensor([[0.7, 3.0]]))
    assert torch.equal(blend(uneven, 1.0), uneven.trained)
    assert torch.equal(blend(uneven, 0.0), uneven.untrained)


def test_the_control_moves_every_vector_as_far(subjects: list[Subject]) -> None:
    subject = subjects[0]
    control = random_direction(subject)
    moved, elsewhere = (one.trained - one.untrained for one in (subject, control))
    torch.testing.assert_close(elsewhere.norm(dim=1), moved.norm(dim=1))
    assert abs(torch.cosine_similarity(elsewhere.flatten(), moved.flatten(), dim=0)) < 0.2


def test_the_path_has_a_score_for_every_moment(answers: Answers, subjects: list[Subject]) -> None:
    subject = subjects[0]
    moments = [Moment(0, subject.untrained), Moment(80, subject.trained)]
    found = path(answers, subject, moments, held_out(10))
    (_, first), (episodes, last) = found.moments
    assert episodes == 80
    assert first.correct == 0 and last.correct >= 3


def test_moments_are_thinned_evenly_and_keep_both_ends() -> None:
    moments = [Moment(i, torch.zeros(1, 1)) for i in range(101)]
    assert [one.episodes for one in thinned(moments, 5)] == [0, 25, 50, 75, 100]
    assert thinned(moments[:3], 5) == moments[:3]
