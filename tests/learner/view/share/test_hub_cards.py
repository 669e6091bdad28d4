"""What the page says about soft prompts on the Hub: everything needed, nothing that runs."""

import re
from datetime import datetime, timezone

import pytest

from learner.hub.client import Account
from learner.hub.push import Pushed
from learner.hub.soft_prompts import Accuracy, Fetched, HubPrompt
from learner.view.share import hub_cards
from tests.hub.samples import trained_learner

EVIL = '<img src=x onerror="alert(1)">'
NARROW = "\u202f"


def about(**changes):
    facts = {
        "repo_id": "ada/prompt",
        "author": "ada",
        "likes": 3,
        "last_modified": datetime(2026, 3, 4, tzinfo=timezone.utc),
        "private": False,
        "accuracy": Accuracy(0.7, 200),
    }
    return HubPrompt(**{**facts, **changes})


@pytest.fixture
def fetched(qwen2):
    def make(**changes):
        facts = {
            "repo_id": "ada/prompt",
            "commit": "0123456789abcdef",
            "url": "https://huggingface.co/ada/prompt",
            "about": about(),
            "made_for": "pocket",
            "summary": "Learnt on a Sunday.",
            "learner": trained_learner(qwen2),
            "warning": "",
        }
        return hub_cards.preview(Fetched(**{**facts, **changes}))

    return make


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split()).replace(NARROW, " ")


def test_a_preview_says_what_one_wants_to_know_first(fetched):
    assert words(fetched()) == (
        "ada/prompt by ada made for pocket learnt from 80 episodes size 5 virtual tokens "
        "held out 70 % of 200 right commit 0123456 Learnt on a Sunday."
    )


def test_a_preview_warns_of_another_base_model(fetched):
    assert "⚠ It was made for another." in words(fetched(warning="It was made for another."))


def test_a_preview_without_the_hub_or_results_says_so(fetched):
    assert "not known offline" in fetched(about=None)
    assert "no results given" in fetched(about=about(accuracy=None))
    assert "that it does not name" in fetched(made_for="")


def test_nothing_from_the_hub_becomes_markup(fetched):
    html = fetched(summary=EVIL, made_for=EVIL, warning=EVIL, about=about(author=EVIL))
    assert "<img" not in html
    assert "<img" not in hub_cards.who(Account(EVIL, (EVIL,)))


def test_a_choice_is_one_line():
    assert hub_cards.choice(about()).replace(NARROW, " ") == (
        "ada/prompt · 70 % of 200 right · ♥ 3 · 4 March 2026"
    )
    private = hub_cards.choice(about(private=True, last_modified=None, accuracy=Accuracy(0.5)))
    assert private.replace(NARROW, " ") == "ada/prompt · 50 % right · ♥ 3 · private"


@pytest.mark.parametrize(("private", "says"), [(True, "only you"), (False, "everybody")])
def test_a_push_says_where_it_went_and_who_sees_it(private, says):
    html = hub_cards.pushed(Pushed("ada/p", "0123456789", "https://hub/ada/p", private))
    assert says in html and 'href="https://hub/ada/p"' in html and "0123456)" in html
