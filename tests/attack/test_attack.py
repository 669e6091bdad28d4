"""A small part of the attacks: whoever else uses the app is served, and nothing of it stays."""

import pytest

from tests.attack import attacks
from tests.attack.phones import phones
from tests.attack.victim import Caller, victim


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """The app, whose log must hold no traceback in the end."""
    with victim(tmp_path_factory.mktemp("attack")) as app:
        yield app


@pytest.fixture
def caller(app):
    with Caller(app.url) as caller:
        yield caller


def test_clicks_stop_and_status_are_answered_beside_300_followers_of_a_run(app, caller):
    session, own = caller.call("new_session"), caller.call("new_session")
    caller.call("start_training", session, 2000, False, "answer")
    assert attacks.followers(app.url, session) == {"200": 300}
    caller.click(own)  # all that follow are there, and nobody reads what they are told
    assert caller.call("status")["passes"] > 0
    assert caller.call("progress", session)["running"]
    assert caller.call("learner", session)["steps"] >= 0
    assert caller.call("progress", own)["running"] is False
    caller.call("stop", session)
    while caller.call("progress", session)["running"]:
        pass


def test_nothing_that_is_uploaded_or_broken_off_stays(app):
    assert set(attacks.uploads(app.url, "", 3)) <= {"404", "413", "hung up"}
    attacks.broken_uploads(app.url, "", 5)
    assert not [path for path in app.folder.glob("gradio/**/*") if path.is_file()]


def test_garbage_is_refused_or_answered_and_the_app_goes_on(app, caller):
    answers = attacks.fuzz(app.url, "", 200)
    assert answers.total() == 200
    assert not [status for status in answers if status.startswith("5")], answers
    caller.click(caller.call("new_session"))


def test_garbage_in_any_place_of_the_page_is_refused_in_a_sentence(app, caller):
    answers = attacks.page_functions(app.url, caller.call("new_session"))  # the log is looked at
    assert set(answers) <= {"200", "429"} and answers["200"] > 100, answers


def test_a_room_of_phones_is_let_in_from_one_address_and_every_vote_counts(app, caller):
    session = caller.call("new_session")
    answers = phones(app.url, session, 30, 2.0)
    assert answers["in the tally"] == 30
    counted = sum(number for said, number in answers.items() if said.startswith("204 "))
    assert counted + answers["429 soon"] == 60
