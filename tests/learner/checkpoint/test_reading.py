"""A schema is read strictly, and its faults are told with their places."""

import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import with_config

from learner.checkpoint.reading import LENIENT, STRICT, CheckpointError, Count, check, parse


@dataclass(frozen=True)
class Point:
    n: Count
    x: float = 0.0
    right: bool = False
    name: str = ""


@with_config(STRICT)
@dataclass(frozen=True)
class Whole:
    points: tuple[Point, ...]


@with_config(LENIENT)
@dataclass(frozen=True)
class Part:
    points: tuple[Point, ...]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(anything, st.sampled_from(["n", "x", "right", "name"]))
def test_a_field_is_what_it_should_be_or_is_refused(value, name):
    data = json.dumps({"points": [{"n": 1, name: value}]}).encode()
    try:
        (point,) = parse(Whole, data, "file.json").points
    except CheckpointError as error:
        assert str(error).startswith("file.json ") and len(str(error)) < 300
        return
    assert getattr(point, name) == value
    assert type(getattr(point, name)) is {"n": int, "x": float, "right": bool, "name": str}[name]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ([{"n": 1}, {"n": "x"}], "has points[1].n 'x'; a whole number would be right."),
        ([{"n": 1, "x": 1e999}], "has points[0].x inf; a finite number would be right."),
        ([{"n": -1}], "has points[0].n -1; 0 or more would be right."),
        ([{"n": 1, "mood": 2}], "has an unknown 'mood' in its points[0]; "),
        ([{}], "has no n in its points[0]; "),
        ([7], "has points[0] 7; an object would be right."),
        ("7", "has points '7'; a list would be right."),
    ],
)
def test_places_are_named_from_the_outside_in(value, says):
    data = json.dumps({"points": value}).replace("Infinity", "1e999").encode()
    with pytest.raises(CheckpointError) as caught:
        parse(Whole, data, "file.json")
    assert str(caught.value).startswith(f"file.json {says}")


def test_what_is_of_no_interest_is_not_looked_at():
    data = b'{"points": [{"n": 1, "mood": [NaN]}], "more": {"much": "more"}}'
    assert parse(Part, data, "file.json").points == (Point(1),)
    with pytest.raises(CheckpointError, match="unknown 'more' in its top level"):
        parse(Whole, data.replace(b', "mood": [NaN]', b""), "file.json")


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 9999, b'{"points": ' + b"9" * 9999])
def test_what_is_no_json_is_refused(data):
    with pytest.raises(CheckpointError, match=r"^file\.json is not readable as JSON"):
        parse(Whole, data, "file.json")


def test_a_value_is_checked_at_its_place():
    assert check(Count, 3, "file.json", "n") == 3
    with pytest.raises(CheckpointError, match=r"^file\.json has n True; a whole number"):
        check(Count, True, "file.json", "n")
