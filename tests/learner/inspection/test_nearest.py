import pytest

from arena import held_out
from learner.inspection import nearest as nearest_module
from learner.inspection.looking import OnModel, text_ids
from learner.inspection.nearest import nearest, nearest_words
from learner.inspection.subject import Subject
from learner.measuring import Answers
from learner.model.base_model import BaseModel
from learner.pocket.corpus import HEADINGS
from tests.learner.inspection.known import planted


def test_words_that_were_planted_are_read(pocket: BaseModel) -> None:
    found = nearest(pocket, planted(pocket, 0).trained)
    heading = text_ids(pocket, f"{HEADINGS[0]}\n")
    assert [words[0].token for words in found][1 : 1 + len(heading)] == heading
    assert all(words[0].cosine > 0.999 for words in found)


def test_slices_of_the_vocabulary_find_what_the_whole_finds(
    pocket: BaseModel, subjects: list[Subject], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = nearest(pocket, subjects[0].trained)
    monkeypatch.setattr(nearest_module, "ROWS", 1000)
    for one, other in zip(whole, nearest(pocket, subjects[0].trained), strict=True):
        assert [word.token for word in one] == [word.token for word in other]


def test_of_what_was_learnt_they_say_nothing(
    answers: Answers, on_model: OnModel, subjects: list[Subject]
) -> None:
    """The failure: five trained prompts work, and not one works by its nearest words."""
    for subject in subjects:
        found = nearest_words(answers, on_model, subject, held_out(15))
        assert found.whole.correct >= 6
        assert found.as_text.correct <= 1
        assert all(words[0].cosine > 0.999 for words in found.untrained)  # just as convincing
