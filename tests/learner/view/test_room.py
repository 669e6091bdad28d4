"""A room's doors: what a phone can do there, and what it cannot."""

import csv
import io
import json
from types import SimpleNamespace

import gradio as gr
import pytest
from anyio import to_thread
from starlette.applications import Starlette
from starlette.testclient import TestClient

from learner.view import room as view
from learner.view.room import MAX_BODY, room_routes
from learner.view.screen import Events, Screen
from learner.visitors.audience import Poll, Rooms
from learner.visitors.checked_input import LessonError
from tests.coroutines import finished as result_of
from tests.learner.visitors.scripted import idle

RIGHT = Poll("right", "choice", "Which?", ("one", "two"))


@pytest.fixture
def rooms():
    return Rooms()


@pytest.fixture
def room(rooms):
    room = rooms.open("somebody")
    room.ask([RIGHT])
    return room


@pytest.fixture
def phone(rooms, room):
    return TestClient(Starlette(routes=[room_routes(rooms)]), base_url=f"http://x/room/{room.code}")


def test_a_phone_joins_by_one_small_page_that_asks_nothing_of_others(phone):
    page = phone.get("")
    assert page.status_code == 200 and len(page.content) < 60_000
    assert b"src=" not in page.content and b"http" not in page.content.replace(b"http-equiv", b"")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "set-cookie" not in page.headers


def test_a_vote_is_counted_and_is_in_its_presenters_table(phone, room):
    name = phone.post("/join").json()["phone"]
    vote = {"phone": name, "round": 1, "name": "right", "value": [1]}
    assert phone.post("/vote", json=vote).status_code == 204
    assert phone.post("/vote", json=vote).status_code == 429
    assert room.counted()["asks"][0]["tally"] == [0, 1]
    table = phone.get("/votes.csv", params={"key": room.key})
    assert list(csv.reader(io.StringIO(table.text)))[1] == ["1", "Which?", "two", "1", "1"]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no json",
        "[]",
        "{}",
        "[" * 1900,
        json.dumps({"phone": 1, "round": 1, "name": "right"}),
        "x" * (MAX_BODY + 1),
    ],
)
def test_what_is_no_vote_is_refused(phone, body, room):
    assert phone.post("/vote", content=body).status_code == 400
    assert room.counted()["asks"][0]["voters"] == 0


@pytest.mark.parametrize("value", [2, "1", [5], [0.5], None, {"a": [1]}, [[0]]])
def test_a_vote_that_answers_something_else_is_refused_in_a_sentence(phone, value):
    name = phone.post("/join").json()["phone"]
    vote = {"phone": name, "round": 1, "name": "right", "value": value}
    answer = phone.post("/vote", json=vote)
    assert answer.status_code == 409 and answer.json()["error"].endswith(".")


def test_a_phone_is_no_presenter(phone, room):
    name = phone.post("/join").json()["phone"]
    for key in ("", name, room.code):
        for door in ("/votes.csv", "/counted"):
            assert phone.get(door, params={"key": key}).status_code == 404


def test_a_phone_that_is_known_is_the_same_and_one_that_is_not_joins_again(phone):
    name = phone.post("/join").json()["phone"]
    assert phone.post("/join", content=name).json()["phone"] == name
    assert phone.post("/join", content="é" * MAX_BODY).json()["phone"] != name
    assert phone.get("/asks", params={"phone": "nobody"}).status_code == 409


def test_a_room_that_has_ended_says_so(phone, room):
    room.end()
    page = phone.get("")
    assert page.status_code == 404 and "This room has ended" in page.text
    assert phone.post("/join").status_code == 404
    assert phone.get("/asks").status_code == 404


def test_the_stage_waits_until_it_is_told_or_hears_that_the_page_refused():
    """It gave up after 20 seconds, in which a large model has not tried four times."""
    events = Events()
    with gr.Blocks() as demo:
        shown = Screen(events, gr.BrowserState(), lambda session_id: None, lambda subject: None)
        view.present_room(SimpleNamespace(events=events, lesson=shown))
        events.connect()
    assert [fn.js for fn in demo.fns.values() if fn.trigger_only_on_failure] == [view.REFUSED]


def test_a_room_teaches_the_tries_that_it_saw_and_sees_new_ones_after_that(lesson, rooms):
    page, room = SimpleNamespace(rooms=rooms), rooms.open(lesson.session.id)

    def wish(what: str) -> dict:
        return result_of(to_thread.run_sync(view._done, page, lesson, json.dumps({"do": what})))

    def thumb_up() -> tuple[str, ...]:
        """Somebody likes the first try; what the tries were."""
        (asked,) = room.counted()["asks"]
        room.vote(room.join(), room.counted()["round"], "thumbs", [1, 0, 0, 0])
        return asked["options"]

    wish("thumbs")
    first = thumb_up()
    lesson.draw_samples()  # by a click beside the stage
    idle(lesson)
    with pytest.raises(LessonError, match="tries that were marked are gone"):
        wish("learn")
    wish("thumbs")
    second = thumb_up()
    assert second != first
    wish("learn")
    assert idle(lesson).learner.episodes == 1
    wish("thumbs")
    assert thumb_up() not in (first, second)
