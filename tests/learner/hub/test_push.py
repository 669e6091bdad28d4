"""Pushing: one commit with everything in it, never two, never over what nobody looked at."""

import dataclasses

import peft
import pytest
import torch
from huggingface_hub import constants
from huggingface_hub.utils._runtime import is_xet_available

from learner.checkpoint import model_card
from learner.checkpoint.format import pack, unpack
from learner.hub import client as hub_client
from learner.hub.client import HubError, RemoteChangedError
from learner.hub.push import published_files, push
from tests.hub.samples import sample_results, trained_learner
from tests.hub.server import DROP, LOSE_ANSWER, STALL
from tests.learner.checkpoints import assert_equal
from tests.learner.tiny_models import build_model

REPO = "ada/prompt"
FILES = {
    "README.md",
    "adapter_config.json",
    "adapter_model.safetensors",
    "learning_curves.png",
    "training_state.json",
    "training_state.safetensors",
}


@pytest.fixture(autouse=True)
def tried_again_at_once(monkeypatch):
    """How often is tested here, not how patiently."""
    monkeypatch.setattr("learner.hub.push._RETRY_WAITS", (0.0, 0.0))


def remote(hub, repo_id=REPO):
    return hub.store.repos["model", repo_id]


def test_a_push_is_one_commit_with_every_file(hub, ada, learner, qwen2):
    pushed = push(
        learner, REPO, ada, message="First try", results=sample_results(), endpoint=hub.endpoint
    )
    repo = remote(hub)
    assert [commit.title for commit in repo.commits] == ["initial commit", "First try"]
    assert set(repo.head.files) == {*FILES, ".gitattributes"}
    assert pushed.commit == repo.head.oid
    assert pushed.url == f"{hub.endpoint}/{REPO}"
    assert pushed.share.query == f"?prompt={REPO}@{repo.head.oid}"
    stored = {name: repo.head.files[name].data for name in FILES}
    assert_equal(unpack(stored, qwen2), learner)


def test_the_card_is_rendered_once(learner, monkeypatch):
    rendered = []

    class Counting(str):
        def format(self, *values, **named):
            rendered.append(named["name"])
            return str.format(self, *values, **named)

    monkeypatch.setattr(model_card, "_CARD", Counting(model_card._CARD))
    assert f"pull {REPO}" in published_files(learner, REPO)["README.md"].decode()
    assert rendered == [learner.source.name]
    pack(learner)
    assert len(rendered) == 1  # what is saved for nobody to look at has none


def test_both_upload_modes_were_used(hub, ada, learner):
    push(learner, REPO, ada, endpoint=hub.endpoint)
    lfs = {name for name, file in remote(hub).head.files.items() if file.lfs}
    assert lfs == {"adapter_model.safetensors", "training_state.safetensors"}


def test_nothing_goes_by_xet_where_it_is_installed_and_not_switched_off(
    hub, ada, learner, monkeypatch
):
    pytest.importorskip("hf_xet")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    assert is_xet_available()
    hub_client._tame_client.cache_clear()
    push(learner, REPO, ada, endpoint=hub.endpoint)
    asked = [one.path for one in hub.seen]
    assert any(path.endswith("/info/lfs/objects/batch") for path in asked)
    assert not any("xet" in path for path in asked)


@pytest.mark.parametrize("private", [True, False])
def test_a_new_repository_is_private_unless_told_otherwise(hub, ada, learner, private):
    pushed = push(learner, REPO, ada, private=private, endpoint=hub.endpoint)
    assert remote(hub).private is pushed.private is private


def test_private_is_the_default(hub, ada, learner):
    assert push(learner, REPO, ada, endpoint=hub.endpoint).private


def test_a_private_push_to_a_public_repository_is_refused(hub, ada, learner):
    first = push(learner, REPO, ada, private=False, endpoint=hub.endpoint)
    with pytest.raises(HubError, match="is public already"):
        push(learner, REPO, ada, parent_commit=first.commit, endpoint=hub.endpoint)
    assert remote(hub).head.oid == first.commit


def test_pushing_again_makes_a_new_revision(hub, ada, learner, qwen2):
    first = push(learner, REPO, ada, endpoint=hub.endpoint)
    later = trained_learner(qwen2, seed=1)
    second = push(later, REPO, ada, parent_commit=first.commit, endpoint=hub.endpoint)
    assert second.commit != first.commit
    assert [c.oid for c in remote(hub).commits[1:]] == [first.commit, second.commit]


def test_pushing_the_same_again_makes_no_commit(hub, ada, learner):
    first = push(learner, REPO, ada, endpoint=hub.endpoint)
    for parent in (None, first.commit):
        assert push(learner, REPO, ada, parent_commit=parent, endpoint=hub.endpoint) == first
    assert len(remote(hub).commits) == 2


def test_a_file_that_a_push_no_longer_has_goes_away(hub, ada, learner):
    first = push(learner, REPO, ada, endpoint=hub.endpoint)
    untrained = dataclasses.replace(learner, history=())
    push(untrained, REPO, ada, parent_commit=first.commit, endpoint=hub.endpoint)
    assert set(remote(hub).head.files) == {*FILES, ".gitattributes"} - {"learning_curves.png"}


@pytest.mark.parametrize("looked", ["never", "before the last change"])
def test_what_nobody_looked_at_is_told_not_overwritten(hub, ada, learner, qwen2, looked):
    first = push(learner, REPO, ada, endpoint=hub.endpoint)
    known = first.commit if looked != "never" else None
    changed = push(
        trained_learner(qwen2, 1), REPO, ada, parent_commit=first.commit, endpoint=hub.endpoint
    )
    mine = trained_learner(qwen2, 2)
    with pytest.raises(RemoteChangedError, match="has not seen") as caught:
        push(mine, REPO, ada, parent_commit=known, endpoint=hub.endpoint)
    assert caught.value.commit == remote(hub).head.oid == changed.commit
    push(mine, REPO, ada, parent_commit=caught.value.commit, endpoint=hub.endpoint)
    assert len(remote(hub).commits) == 4


def test_a_change_while_pushing_is_told_too(hub, ada, learner, monkeypatch):
    first = push(learner, REPO, ada, endpoint=hub.endpoint)
    hub.refuse("POST", "/commit/", 412, "A commit has happened since.")
    other = dataclasses.replace(learner, episodes=81)
    with pytest.raises(RemoteChangedError):
        push(other, REPO, ada, parent_commit=first.commit, endpoint=hub.endpoint)


@pytest.mark.parametrize("kind", [DROP, LOSE_ANSWER, STALL])
def test_a_commit_whose_answer_is_lost_is_made_once(hub, ada, learner, kind):
    hub.fail("POST", "/commit/", kind)
    pushed = push(learner, REPO, ada, endpoint=hub.endpoint)
    assert pushed.commit == remote(hub).head.oid
    assert [commit.title for commit in remote(hub).commits[1:]] == ["Soft prompt after 80 episodes"]


@pytest.mark.parametrize("status", [500, 503])
def test_a_short_fault_of_the_hub_is_sat_out(hub, ada, learner, status):
    hub.refuse("POST", "/commit/", status, times=2)
    push(learner, REPO, ada, endpoint=hub.endpoint)
    assert len(remote(hub).commits) == 2


def test_a_push_broken_off_anywhere_can_be_repeated(hub, ada, learner):
    hub.fail("POST", "/api/repos/create", LOSE_ANSWER)
    with pytest.raises(HubError, match="nothing is made twice"):
        push(learner, REPO, ada, endpoint=hub.endpoint)
    push(learner, REPO, ada, endpoint=hub.endpoint)
    assert len(remote(hub).commits) == 2


def test_a_second_user_cannot_push_to_the_first_ones_repository(hub, ada, learner, qwen2):
    first = push(learner, REPO, ada, private=False, endpoint=hub.endpoint)
    eve = hub.store.add_login("eve")
    with pytest.raises(HubError, match="logged in as eve, so push to eve/prompt"):
        push(learner, REPO, eve, private=False, endpoint=hub.endpoint)
    assert remote(hub).head.oid == first.commit


def test_the_hub_refuses_what_the_client_let_pass(hub, learner):
    """A token that does not say that it only reads: the Hub's own refusal is told."""
    fine_grained = hub.store.add_login("ada", role="fineGrained")
    with pytest.raises(HubError, match="You may not do that to ada/prompt with this login"):
        push(learner, REPO, fine_grained, endpoint=hub.endpoint)


def test_a_token_that_only_reads_is_told_apart(hub, learner):
    with pytest.raises(HubError, match="can only read"):
        push(learner, REPO, hub.store.add_login("ada", role="read"), endpoint=hub.endpoint)


def test_a_member_pushes_to_the_organisation(hub, ada, learner):
    hub.store.add_organisation("lab", "ada")
    push(learner, "lab/prompt", ada, endpoint=hub.endpoint)
    assert remote(hub, "lab/prompt").head.author == "ada"


@pytest.mark.parametrize("token", [None, ""])
def test_without_a_login_nothing_is_sent(hub, learner, token):
    with hub.watching() as seen, pytest.raises(HubError, match="Log in to the Hub first"):
        push(learner, REPO, token, endpoint=hub.endpoint)
    assert seen == []


def test_nothing_of_the_token_is_pushed_or_said(hub, ada, learner, capfd, caplog):
    caplog.set_level("DEBUG")
    pushed = push(learner, REPO, ada, endpoint=hub.endpoint)
    hub.refuse("GET", "/api/models", 403, "no")
    with pytest.raises(HubError) as caught:
        push(learner, REPO, ada, endpoint=hub.endpoint)
    said = [str(caught.value), repr(pushed), *capfd.readouterr(), caplog.text]
    assert not any(ada in text for text in said)
    assert not any(ada.encode() in file.data for file in remote(hub).head.files.values())


def test_peft_loads_what_was_pushed(hub, ada, learner, qwen2, tmp_path):
    push(learner, REPO, ada, results=sample_results(), base_model=qwen2, endpoint=hub.endpoint)
    for name, file in remote(hub).head.files.items():
        (tmp_path / name).write_bytes(file.data)
    adapted = peft.PeftModel.from_pretrained(build_model("qwen2"), tmp_path).eval()
    assert torch.equal(adapted.get_prompt_embedding_to_save("default"), learner.prompt)
