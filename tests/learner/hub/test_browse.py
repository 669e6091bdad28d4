"""Browsing the Hub: this app's soft prompts for this model, in the order asked for."""

import dataclasses

import pytest

from learner.hub.client import HubError
from learner.hub.push import push
from learner.hub.soft_prompts import browse
from learner.model.source import FOLDER, ModelSource
from tests.hub.samples import POCKET_MODEL, QWEN, put, sample_results


@pytest.fixture
def shelf(hub, ada, learner):
    """Three prompts for one model, liked differently; one for another model; one of another app."""
    for index, likes in enumerate((3, 9, 1)):
        qwen = dataclasses.replace(learner, source=QWEN)
        push(
            qwen,
            f"ada/prompt-{index}",
            ada,
            private=index == 2,
            results=sample_results(),
            endpoint=hub.endpoint,
        )
        hub.store.repos["model", f"ada/prompt-{index}"].likes = likes
    pocket = dataclasses.replace(learner, source=POCKET_MODEL)
    push(pocket, "ada/pocket-prompt", ada, private=False, endpoint=hub.endpoint)
    put(hub, {"README.md": b"---\nbase_model: Qwen/Qwen2.5-0.5B-Instruct\n---\n"}, "bob/lora")


@pytest.mark.parametrize(
    ("sort", "order"), [("recent", ["prompt-1", "prompt-0"]), ("liked", ["prompt-1", "prompt-0"])]
)
def test_browsing_lists_this_apps_prompts_for_this_model(hub, shelf, sort, order):
    hub.store.repos["model", "ada/prompt-0"].likes = 3
    found = browse(QWEN, None, sort=sort, endpoint=hub.endpoint)
    assert [prompt.repo_id for prompt in found] == [f"ada/{name}" for name in order]
    assert found[0].accuracy.value == 0.7 and found[0].likes == 9


def test_browsing_by_likes_and_by_date_differ(hub, ada, shelf):
    names = {
        sort: [prompt.repo_id for prompt in browse(QWEN, ada, sort=sort, endpoint=hub.endpoint)]
        for sort in ("recent", "liked")
    }
    assert names["recent"] == ["ada/prompt-2", "ada/prompt-1", "ada/prompt-0"]
    assert names["liked"] == ["ada/prompt-1", "ada/prompt-0", "ada/prompt-2"]


def test_the_embedded_models_prompts_are_found_too(hub, shelf):
    assert [p.repo_id for p in browse(POCKET_MODEL, None, endpoint=hub.endpoint)] == [
        "ada/pocket-prompt"
    ]


def test_a_list_is_as_long_as_asked(hub, ada, shelf):
    found = browse(QWEN, ada, limit=2, endpoint=hub.endpoint)
    assert len(found) == 2


def test_a_local_folder_has_no_prompts_on_the_hub(hub, tmp_path):
    with pytest.raises(HubError, match="is only on this machine"):
        browse(ModelSource(FOLDER, tmp_path.name), None, endpoint=hub.endpoint)
    with pytest.raises(HubError, match="recent or liked"):
        browse(POCKET_MODEL, None, sort="best", endpoint=hub.endpoint)
