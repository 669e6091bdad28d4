import torch

from arena import held_out
from learner.inspection.looking import OnModel, text_ids, token_prompt
from learner.inspection.subject import Subject
from learner.inspection.words import FRAMES, in_frame, plug_in, words
from learner.measuring import Answers
from learner.model.base_model import BaseModel
from learner.pocket.corpus import HEADINGS


def test_words_that_vouch_do_as_well_as_the_prompt_and_others_do_not(
    answers: Answers, on_model: OnModel, subjects: list[Subject]
) -> None:
    """The truth that a description is put to: the corpus's headings answer, nothing does not."""
    tried = plug_in(answers, on_model, subjects[0], [*HEADINGS, ""], held_out(12))
    assert all(tried[heading].correct >= 6 for heading in HEADINGS)
    assert tried[""].correct == 0


def test_the_embedded_model_has_no_words_for_it_and_the_score_shows_that(
    answers: Answers, on_model: OnModel, subjects: list[Subject]
) -> None:
    found = words(answers, on_model, subjects[0], held_out(12))
    assert len(found.trained) == len(found.untrained) == len(FRAMES)
    assert found.whole.correct >= 6 and found.alone.correct == 0
    assert found.best.score.correct < found.whole.correct
    assert {one.score.n for one in (*found.trained, *found.untrained)} == {12}


def test_a_prompt_stands_in_its_frame(pocket: BaseModel) -> None:
    prompt = torch.ones(2, pocket.hidden_size)
    framed = in_frame(pocket, prompt, "Solutions", "\n")
    before, after = (token_prompt(pocket, text_ids(pocket, text)) for text in ("Solutions", "\n"))
    assert torch.equal(framed, torch.cat((before, prompt, after)))
    assert torch.equal(in_frame(pocket, prompt, "", "\n"), torch.cat((prompt, after)))
