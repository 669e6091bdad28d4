"""What somebody else wrote is read field by field, or refused with the field's name."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.checkpoint.reading import CheckpointError
from learner.experiments.fields import Fields, parse_fields

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
readers = st.sampled_from(["text", "flag", "number", "count", "fields", "items"])


@given(anything, readers)
def test_a_field_is_what_its_name_says_or_is_refused(value, reader):
    fields = Fields({"key": value}, "file.json")
    kinds = {
        "text": str,
        "flag": bool,
        "number": float,
        "count": int,
        "fields": Fields,
        "items": list,
    }
    try:
        read = getattr(fields, reader)("key")
    except CheckpointError as error:
        assert str(error).startswith("file.json has ")
        assert "key" in str(error)
        assert len(str(error)) < 200
        return
    assert type(read) is kinds[reader]
    if reader in ("text", "flag", "number", "count"):
        assert read == value


@given(anything)
def test_nan_reads_as_absent_and_everything_else_as_json(value):
    fields = parse_fields(json.dumps({"key": value, "loss": float("nan")}).encode(), "file.json")
    assert "loss" not in fields
    if value is None or value != value or value in (float("inf"), float("-inf")):
        assert "key" not in fields


@pytest.mark.parametrize("number", ["1e999", "9" * 400, "true", '"1"', "null"])
def test_numbers_that_nothing_can_be_done_with_are_refused(number):
    fields = parse_fields(f'{{"n": {number}}}'.encode(), "file.json")
    for reader in ("number", "count"):
        with pytest.raises(CheckpointError, match=r"file\.json has n "):
            getattr(fields, reader)("n")


def test_places_are_named_from_the_outside_in():
    fields = Fields({"runs": [{"score": {"n": "x"}}]}, "file.json")
    with pytest.raises(CheckpointError, match=r"runs\[0\]\.score\.n 'x'; a whole number"):
        fields.items("runs")[0].fields("score").count("n")
    with pytest.raises(CheckpointError, match=r"file\.json has 7; an object would be right"):
        parse_fields(b"7", "file.json")
