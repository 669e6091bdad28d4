from functools import partial

import pytest
import torch

from arena import held_out
from learner.inspection.likeness import (
    DOUBTS,
    EXAMPLES,
    LINE,
    NONSENSE,
    NOTHING,
    VOUCHES,
    YOURS,
    Candidate,
    Said,
    as_prefixes,
    candidates,
    divergences,
    likeness,
    ranked,
)
from learner.inspection.looking import OnModel, text_ids, token_prompt
from learner.inspection.subject import Subject
from learner.measuring import Answers
from learner.model.base_model import BaseModel
from learner.pocket.corpus import HEADINGS


def test_what_vouches_comes_first_for_trained_seeds_and_for_no_untrained_one(
    pocket: BaseModel, answers: Answers, on_model: OnModel, subjects: list[Subject]
) -> None:
    """The truth is in the corpus: a heading that vouches, or right examples, make it answer."""
    listed = candidates(pocket, 8)
    vouching = {f"{heading}\n" for heading in HEADINGS}
    problems = held_out(30)
    scored = as_prefixes(answers, subjects[0], listed, problems[:5])
    found = 0
    for subject in subjects:
        rank = partial(ranked, answers, on_model, subject, listed=listed, found=scored)
        best, *others = rank(subject.trained, problems=problems)
        worst = others[-1]
        if best.kind == LINE:  # which does as well: see the test below
            best = next(one for one in others if one.kind != LINE)
        found += best.kind == EXAMPLES or best.text in vouching
        assert best.first and best.divergence < 1 < worst.divergence
        control = rank(subject.untrained, problems=problems[:4])[0]
        assert control.kind in (NONSENSE, NOTHING, DOUBTS)  # all of which leave blanks
    assert found >= 4


def test_the_line_control_shows_that_any_line_above_the_question_makes_it_answer(
    pocket: BaseModel, answers: Answers, subjects: list[Subject]
) -> None:
    """Beyond what the corpus meant: without its line break a heading does nothing."""
    listed = [one for one in candidates(pocket, 8) if one.kind in (LINE, NONSENSE, VOUCHES)]
    scored = as_prefixes(answers, subjects[0], listed, held_out(12))
    for one, score in zip(listed, scored, strict=True):
        assert score.correct <= 1 if one.kind == NONSENSE else score.correct >= 6
    bare = Candidate(VOUCHES, "Answer key", 2, token_prompt(pocket, text_ids(pocket, "Answer key")))
    assert as_prefixes(answers, subjects[0], [bare], held_out(12))[0].correct <= 3


def test_both_prompts_are_ranked_and_every_text_scored(
    pocket: BaseModel, answers: Answers, on_model: OnModel, subjects: list[Subject]
) -> None:
    listed = [one for one in candidates(pocket, 8) if one.kind in (VOUCHES, NOTHING)]
    ranking = likeness(answers, on_model, subjects[0], listed, held_out(6), control_problems=3)
    assert ranking.trained[-1].kind == NOTHING and ranking.trained[-1].score.correct == 0
    assert ranking.untrained[0].kind == NOTHING
    assert ranking.trained[0].score.n == 6 and ranking.trained[0].score.correct >= 2


def test_a_prompt_is_closest_to_itself(pocket: BaseModel) -> None:
    prompt = torch.randn(3, pocket.hidden_size, generator=torch.Generator().manual_seed(0))
    items = [Said("7 + 5", (1, 2, 3)), Said("2 + 2", (4,))]
    found = divergences(pocket, items, prompt, [None, prompt, prompt.clone()], False, ())
    for alone, same, copied in found:
        assert alone > 0.001
        assert (same, copied) == pytest.approx((0, 0), abs=1e-5)


def test_a_text_of_ones_own_is_compared_too(pocket: BaseModel) -> None:
    own = [one for one in candidates(pocket, 8, ["My key"]) if one.kind == YOURS]
    assert [one.text for one in own] == ["My key\n"]


@pytest.mark.parametrize(("text", "why"), [("x" * 3000, "too long")])
def test_a_text_that_cannot_stand_there_is_refused(pocket: BaseModel, text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        candidates(pocket, 8, [text])
