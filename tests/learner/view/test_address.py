"""What an address asks for: its model, where that is there, and none after a reload."""

from types import SimpleNamespace

import pytest

from learner.view import address
from tests.learner.visitors.scripted import idle
from tests.learner.visitors.test_models import LARGE, SMALL, app, models

__all__ = ["app", "models"]


@pytest.fixture
def page(app, models):
    """A page of two models: the small one is there, the large one still loads."""
    return SimpleNamespace(lessons=app.start(models), tabs=(), controls={})


@pytest.fixture
def told(monkeypatch):
    """What the visitor is told in toasts."""
    told = []
    monkeypatch.setattr(address, "tell", lambda words, **_: told.append(words))
    return told


def model_after(page, session_id: str, query: str) -> str:
    address.open_demo(page, page.lessons.get(session_id), query)
    return page.lessons.get(session_id).base_model.name


def test_a_link_leads_to_its_model_and_a_reload_of_it_to_the_one_chosen_since(
    app, page, models, told
):
    mine = page.lessons.open().session.id
    app.arrives(models, 0, LARGE)
    assert model_after(page, mine, "?model=large") == LARGE.name
    page.lessons.change(mine, models.find(SMALL.name))
    assert model_after(page, mine, "?model=large&again=1") == SMALL.name
    assert model_after(page, mine, f"?model={LARGE.name}") == LARGE.name
    assert model_after(page, mine, "?model=large") == LARGE.name
    assert told == []


def test_whoever_had_learnt_something_is_told_what_made_way_for_it(page, told):
    lesson = page.lessons.open()
    for seed, anew in ((11, False), (7, True)):
        lesson.train(4)
        idle(lesson)
        address.open_demo(page, lesson, f"seed={seed}", anew=anew)
        idle(lesson)
    assert told == [
        "This link starts with a fresh soft prompt; Undo brings yours back.",
        "The story starts with a fresh soft prompt; Undo brings yours back.",
    ]


def test_a_model_that_is_not_there_is_told_in_its_own_words_and_an_unknown_one_as_nonsense(
    page, models, told
):
    mine = page.lessons.open().session.id
    models.tell(0, "40 % of it is here")
    assert model_after(page, mine, "?model=large") == SMALL.name
    assert model_after(page, mine, "?model=large&again=1") == SMALL.name
    models.refuse(0, "Its file is damaged.")
    model_after(page, mine, "?model=large")
    model_after(page, mine, "?model=none")
    assert told == [
        "large is not there yet: 40 % of it is here.",
        "large is not there yet: 40 % of it is here.",
        "Its file is damaged.",
        "This link's model means nothing here and was left out (the model here is pocket).",
    ]
