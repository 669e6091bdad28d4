"""A room counts each person once, knows them only by a random name, and ends by itself."""

import csv
import io
from contextlib import ExitStack
from contextvars import copy_context

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.service.protocol import GROUP
from learner.visitors.audience import (
    LIFE_SECONDS,
    MAX_ROOMS,
    PHONES_OF_ONE,
    ROOMS_OF_ONE,
    UNUSED_SECONDS,
    VOTE_SECONDS,
    Poll,
    Room,
    RoomEnded,
    RoomError,
    Rooms,
    TooOften,
    checked_vote,
    mean_rewards,
    said_of,
    tally,
)

GUESS = Poll("guess", "number", "How many?", (), 200)
RIGHT = Poll("right", "choice", "Which?", ("=one", "two", "three"))
TRIES = Poll("thumbs", "thumbs", "Good?", ("yes", "no"))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def room(clock):
    return Room("somebody", clock)


@given(st.lists(st.tuples(*[st.sampled_from([1, 0, -1])] * 2)), st.randoms())
def test_a_tally_counts_everybody_once_in_any_order(votes, order):
    """And two crowds together are the sum of both; the mean keeps its sign and its bounds."""
    shuffled = order.sample(votes, len(votes))
    counted = tally(TRIES, votes)
    assert counted == tally(TRIES, shuffled)
    for option, (up, down) in enumerate(counted):
        assert up + down == sum(vote[option] != 0 for vote in votes)
    halves = [tally(TRIES, votes[:3]), tally(TRIES, votes[3:])]
    assert counted == [(a + c, b + d) for (a, b), (c, d) in zip(*halves, strict=True)]
    for mean, (up, down) in zip(mean_rewards(counted), counted, strict=True):
        assert -1 <= mean <= 1 and (mean > 0) == (up > down) and (mean < 0) == (up < down)


@given(st.lists(st.integers(0, 200)))
def test_guesses_are_all_there_in_order(guesses):
    assert tally(GUESS, [(guess,) for guess in guesses]) == sorted(guesses)


@pytest.mark.parametrize(
    ("ask", "value"),
    [
        (GUESS, 201),
        (GUESS, -1),
        (GUESS, [1, 2]),
        (GUESS, "7"),
        (GUESS, True),
        (GUESS, None),
        (RIGHT, [3]),
        (RIGHT, [0, 0]),
        (TRIES, [1]),
        (TRIES, [2, 0]),
        (TRIES, {"a": 1}),
    ],
)
def test_what_is_no_answer_is_refused(ask, value):
    with pytest.raises(RoomError):
        checked_vote(ask, value)


def test_a_phone_votes_once_and_may_change_its_mind(room, clock):
    phone, other = room.join(), room.join()
    room.ask([RIGHT])
    room.vote(phone, 1, "right", [0])
    with pytest.raises(TooOften):
        room.vote(phone, 1, "right", [1])
    room.vote(other, 1, "right", [0, 2])
    clock.now += VOTE_SECONDS
    room.vote(phone, 1, "right", [1])
    (asked,) = room.counted()["asks"]
    assert asked["tally"] == [1, 1, 1] and asked["voters"] == 2
    assert room.asked(phone)["mine"] == {"right": (1,)}


def test_nobody_votes_who_has_not_joined_nor_on_what_is_no_more_asked(room):
    phone = room.join()
    room.ask([GUESS])
    room.ask([RIGHT])
    for number, name, who in ((1, "guess", phone), (2, "guess", phone), (2, "right", "me")):
        with pytest.raises(RoomError):
            room.vote(who, number, name, 0)
    assert room.counted()["asks"][0]["voters"] == 0


def test_a_phone_that_comes_back_is_the_same_one(room):
    phone = room.join("hall")
    assert room.join("elsewhere", phone) == phone != room.join("hall", "made up") != "made up"


def test_an_address_has_so_many_places_and_who_is_away_makes_room_with_its_votes(room, clock):
    here, away = room.join("hall"), room.join("hall")
    room.ask([RIGHT])
    with room.heeded(lambda: None, here):
        for phone in (here, away):
            room.vote(phone, 1, "right", [0])
        for _ in range(PHONES_OF_ONE):  # that come and go
            room.join("hall")
        assert room.counted()["people"] == 1
        assert room.counted()["asks"][0]["tally"] == [1, 0, 0]
        assert room.join("hall", away) != away and room.join("hall", here) == here
    assert room.counted()["people"] == 0


def test_phones_of_one_address_take_no_others_place(room):
    other = room.join("elsewhere")
    with ExitStack() as held:
        for _ in range(PHONES_OF_ONE):
            held.enter_context(room.heeded(lambda: None, room.join("hall")))
        with pytest.raises(RoomError, match="full"):
            room.join("hall")
        assert room.join("a third") and room.join("elsewhere", other) == other


def test_ties_and_few_votes_are_told():
    told = said_of([(3, 1), (0, 2), (1, 1), (0, 0)], 4)
    assert told == "From the thumbs of 4: 1 liked, 1 disliked, 1 tied and left out. That is few."
    assert "few" not in said_of([(9, 1)], 10)


def test_the_table_of_votes_has_a_number_for_each_phone_and_no_formula(room):
    phone = room.join()
    room.ask([RIGHT])
    room.vote(phone, 1, "right", [0, 1])
    rows = list(csv.reader(io.StringIO(room.csv())))
    assert rows[1:] == [["1", "Which?", "'=one", "1", "1"], ["1", "Which?", "two", "1", "1"]]
    assert phone not in room.csv()


def test_a_room_ends_by_itself_and_forgets(clock):
    rooms = Rooms(clock)
    room = rooms.open("somebody")
    phone = room.join()
    assert rooms.open("somebody") is room is rooms.find(room.code.upper())
    clock.now = UNUSED_SECONDS
    rooms.presented(room.code, room.key)
    clock.now = UNUSED_SECONDS * 2
    assert rooms.find(room.code) is room
    clock.now += 1
    with pytest.raises(RoomEnded):
        rooms.find(room.code)
    assert phone not in room.csv()
    with pytest.raises(RoomError):
        room.asked(phone)


def test_no_room_lives_for_ever_nor_are_there_ever_so_many(clock):
    rooms = Rooms(clock)
    for number in range(MAX_ROOMS):
        room = rooms.open(str(number))
    with pytest.raises(RoomError):
        rooms.open("one more")
    clock.now = LIFE_SECONDS + 1
    room.heard()
    assert rooms.of(str(MAX_ROOMS - 1)) is None


def test_an_address_leaves_rooms_for_others(clock):
    rooms = Rooms(clock)

    def opened(address, owner):
        GROUP.set(address)
        return rooms.open(owner)

    for number in range(ROOMS_OF_ONE):
        copy_context().run(opened, "10.0.0.1", f"many {number}")
    with pytest.raises(RoomError):
        copy_context().run(opened, "10.0.0.1", "one more")
    assert copy_context().run(opened, "10.0.0.1", "many 0").owner == "many 0"  # as it was
    assert copy_context().run(opened, "10.0.0.2", "a lecturer").people == 0


def test_only_its_key_presents_a_room(clock):
    rooms = Rooms(clock)
    room, other = rooms.open("a"), rooms.open("b")
    for key in ("", room.code, other.key, "ключ"):
        with pytest.raises(RoomEnded):
            rooms.presented(room.code, key)
