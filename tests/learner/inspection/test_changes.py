from arena import held_out
from learner.inspection.changes import changes, first_right
from learner.inspection.looking import OnModel
from learner.inspection.subject import Subject
from learner.measuring import Answers, score_of


def test_blanks_become_answers_and_between_untrained_prompts_nothing_flips(
    answers: Answers, on_model: OnModel, subjects: list[Subject]
) -> None:
    """The truth: in plain text the model leaves a blank, until something vouches for the text."""
    for subject, other in zip(subjects, subjects[1:] + subjects[:1], strict=True):
        found = changes(answers, on_model, subject, other.untrained, held_out(15))
        assert found.flips[0].since is None  # no moments are known
        assert found.change.gained >= 6 and found.change.lost == 0
        assert found.control.gained + found.control.lost <= 1
        assert found.flips[0].before.startswith("_") and found.flips[0].gained
        assert sum(gained for gained, _, _ in found.families.values()) == found.change.gained
        assert sum(n for _, _, n in found.difficulties.values()) == 15
        assert all(0 <= one.before <= 1 and 0 <= one.after <= 1 for one in found.beginnings)


def test_a_problem_is_right_from_where_it_stays_right() -> None:
    moments = [(0, score_of("001", False)), (4, score_of("010", False))]
    moments += [(8, score_of("110", False)), (12, score_of("110", False))]
    assert [first_right(moments, i) for i in range(3)] == [8, 4, None]
