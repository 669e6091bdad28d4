"""Names of soft prompts: what is understood, and what is refused in a sentence."""

import pytest
from huggingface_hub.utils import validate_repo_id
from hypothesis import given
from hypothesis import strategies as st

from learner.hub.client import HubError
from learner.hub.reference import (
    Reference,
    checked_repo_id,
    default_repo_id,
    parse_reference,
)
from learner.model.source import HUB, ModelSource
from tests.hub.samples import POCKET_MODEL

SHA = "0123456789abcdef0123456789abcdef01234567"
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9]{0,30}", fullmatch=True)


@pytest.mark.parametrize(
    ("typed", "understood"),
    [
        ("ada/prompt", Reference("ada/prompt")),
        ("  ada/prompt\n", Reference("ada/prompt")),
        ("ada/prompt@main", Reference("ada/prompt", "main")),
        (f"ada/prompt@{SHA}", Reference("ada/prompt", SHA)),
        ("ada/prompt@refs/pr/1", Reference("ada/prompt", "refs/pr/1")),
        ("https://huggingface.co/ada/prompt", Reference("ada/prompt")),
        ("https://huggingface.co/ada/prompt/", Reference("ada/prompt")),
        ("huggingface.co/ada/prompt", Reference("ada/prompt")),
        ("https://hf.co/ada/prompt?library=peft#usage", Reference("ada/prompt")),
        (f"https://huggingface.co/ada/prompt/tree/{SHA}", Reference("ada/prompt", SHA)),
        ("https://huggingface.co/ada/prompt/blob/v1/README.md", Reference("ada/prompt", "v1")),
        (
            "https://huggingface.co/ada/prompt/tree/refs%2Fpr%2F1",
            Reference("ada/prompt", "refs/pr/1"),
        ),
        ("http://127.0.0.1:7860/?prompt=ada/prompt@v1", Reference("ada/prompt", "v1")),
        ("https://me-arena.hf.space/?prompt=ada%2Fprompt", Reference("ada/prompt")),
    ],
)
def test_what_a_person_types_or_pastes(typed, understood):
    assert parse_reference(typed) == understood


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("", "Which soft prompt"),
        (None, "not the name of a soft prompt"),
        (7, "not the name of a soft prompt"),
        ("x" * 501, "not the name of a soft prompt"),
        ("prompt", "has no owner"),
        ("a/b/c", "not the name of a soft prompt"),
        ("ada/../etc", "not the name of a soft prompt"),
        ("ada/pro--mpt", "not the name of a soft prompt"),
        ("ada/prompt.git", "not the name of a soft prompt"),
        ("ada/prom pt", "not the name of a soft prompt"),
        ("../../etc/passwd", "not the name of a soft prompt"),
        ("ada/prompt@", "no revision that could exist"),
        ("ada/prompt@a..b", "no revision that could exist"),
        ("ada/prompt@-x", "no revision that could exist"),
        ("ada/prompt@v1@v2", "no revision that could exist"),
        ("ada/prompt@v1?x=1", "no revision that could exist"),
        ("https://example.com/ada/prompt", "not a page of the Hub"),
        ("https://huggingface.co.example.com/ada/prompt", "not a page of the Hub"),
        ("https://ada@huggingface.co/ada/prompt", "not a page of the Hub"),
        ("file:///etc/passwd", "not a page of the Hub"),
        ("https://huggingface.co/", "not the page of a model"),
        ("https://huggingface.co/ada", "not the page of a model"),
        ("https://huggingface.co/ada/prompt/discussions", "not the page of a model"),
        ("https://huggingface.co/datasets/ada/prompt", "is a dataset"),
        ("https://huggingface.co/spaces/ada/prompt", "is a Space"),
        ("https://x/?prompt=https://y/?prompt=ada/prompt", "holds another address"),
    ],
)
def test_anything_else_is_refused_in_a_sentence(typed, says):
    with pytest.raises(HubError, match=says) as caught:
        parse_reference(typed)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


@given(st.text(max_size=80))
def test_whatever_is_typed_is_a_valid_repository_or_a_refusal(typed):
    try:
        reference = parse_reference(typed)
    except HubError as error:
        assert str(error).isprintable()
    else:
        validate_repo_id(reference.repo_id)


@given(NAMES, NAMES, st.none() | st.from_regex(r"[A-Za-z0-9][\w.-]{0,20}", fullmatch=True))
def test_a_share_link_leads_back_to_what_it_names(owner, name, revision):
    ascii_revision = revision and "".join(c for c in revision if c.isascii()).replace("..", ".")
    reference = Reference(f"{owner}/{name}", ascii_revision or None)
    assert parse_reference(f"https://example.org/app/{reference.query}") == reference
    assert parse_reference(str(reference)) == reference


@given(NAMES, st.text(max_size=200), st.lists(st.text(max_size=40), max_size=5))
def test_a_default_name_is_one_that_the_hub_takes(account, model_name, families):
    repo_id = default_repo_id(account, ModelSource(HUB, model_name), families)
    validate_repo_id(repo_id)
    assert checked_repo_id(repo_id) == repo_id
    assert repo_id.startswith(f"{account}/soft-prompt")


def test_default_names():
    assert default_repo_id("ada", POCKET_MODEL) == "ada/soft-prompt-pocket-mixed"
    assert (
        default_repo_id(
            "ada", ModelSource(HUB, "Qwen/Qwen2.5-0.5B-Instruct"), ["sequence", "math_word"]
        )
        == "ada/soft-prompt-Qwen2.5-0.5B-Instruct-math-word-sequence"
    )
    assert (
        default_repo_id("ada", POCKET_MODEL, ["a", "b", "c", "d"]) == "ada/soft-prompt-pocket-mixed"
    )


def test_a_push_goes_to_a_repository_not_to_a_revision():
    with pytest.raises(HubError, match="makes its own revision"):
        checked_repo_id("ada/prompt@v1")
