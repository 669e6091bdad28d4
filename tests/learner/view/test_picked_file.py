"""A picked file is there while it is read, under its own name, and nowhere afterwards."""

import base64

import pytest

from learner.view.picked_file import MAX_FILE, MAX_TEXT, pick, picked


def text(content):
    return base64.b64encode(content).decode()


def test_a_file_has_its_name_and_bytes_and_is_gone_afterwards():
    with picked("holiday.zip", text(b"sand")) as path:
        assert (path.name, path.read_bytes()) == ("holiday.zip", b"sand")
        folder = path.parent
    assert not folder.exists()


@pytest.mark.parametrize(
    "name",
    ["", "..", ".", "../../etc/passwd", "C:\\windows\\a.zip", "a\0b", "x" * 5000, "‮.piz", None, 7],
)
def test_a_name_leads_nowhere_else(name, tmp_path):
    with picked(name, text(b"x")) as path:
        assert path.read_bytes() == b"x"
        assert [*path.parent.iterdir()] == [path]
        assert len(path.name) <= 80


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("too large", "larger than 24 MB"),
        ("A" * (MAX_TEXT + 4), "larger than 24 MB"),
        (None, "larger than 24 MB"),
        ("not base 64", "not base 64"),
        ("ünïcode", "not base 64"),
    ],
)
def test_what_is_no_file_is_refused_in_a_sentence(content, sentence):
    with pytest.raises(ValueError, match=sentence), picked("a.zip", content):
        pass


def test_the_browser_is_told_what_to_offer_and_what_is_too_large():
    assert '".zip,.pt"' in pick([".zip", ".pt"])
    assert str(MAX_FILE) in pick([".zip"])
