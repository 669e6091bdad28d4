"""Loading from the Hub: looked at before it is downloaded, checked before it is used, and whose
token goes where."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

from learner.checkpoint.files import load as load_folder
from learner.checkpoint.files import pack_for_people
from learner.checkpoint.format import pack
from learner.checkpoint.reading import CheckpointError
from learner.hub.client import HubError, machine_token, whoami
from learner.hub.push import push
from learner.hub.reference import parse_reference
from learner.hub.soft_prompts import browse, fetch
from tests.hub.samples import POCKET_MODEL, put, sample_results, trained_learner
from tests.hub.server import TRUNCATE
from tests.learner.checkpoints import assert_equal
from tests.learner.tiny_models import build_base_model

REPO = "ada/prompt"


@pytest.fixture
def pushed(hub, ada, learner):
    """A public soft prompt of ada's, with results."""
    return push(learner, REPO, ada, private=False, results=sample_results(), endpoint=hub.endpoint)


def load(hub, reference, base_model, token=None):
    """As a server for strangers does it: nothing stays in the cache that all tests share."""
    return fetch(parse_reference(reference), token, base_model, keep=False, endpoint=hub.endpoint)


def test_what_was_pushed_comes_back_as_it_was(hub, pushed, learner, qwen2):
    fetched = load(hub, REPO, qwen2)
    assert_equal(fetched.learner, learner)
    assert (fetched.commit, fetched.made_for, fetched.warning) == (pushed.commit, qwen2.name, "")
    assert fetched.about.author == "ada"
    assert (fetched.about.accuracy.value, fetched.about.accuracy.n) == (0.7, 10)
    assert fetched.summary.startswith("5 learnt vectors of size 32")
    assert fetched.share == pushed.share


def test_an_older_revision_stays_loadable(hub, ada, pushed, learner, qwen2):
    push(
        trained_learner(qwen2, 1),
        REPO,
        ada,
        private=False,
        parent_commit=pushed.commit,
        endpoint=hub.endpoint,
    )
    assert_equal(load(hub, f"{REPO}@{pushed.commit}", qwen2).learner, learner)
    assert load(hub, REPO, qwen2).commit != pushed.commit


def test_a_plain_peft_adapter_loads(hub, learner, qwen2):
    files = pack(learner)
    put(hub, {name: data for name, data in files.items() if name.startswith("adapter")}, REPO)
    fetched = load(hub, REPO, qwen2)
    assert fetched.learner.steps == 0
    assert fetched.learner.prompt.equal(learner.prompt)
    assert (fetched.about.accuracy, fetched.summary) == (None, "")


def test_only_the_files_needed_are_downloaded(hub, learner, qwen2):
    put(
        hub,
        {
            **pack_for_people(learner),
            "model.safetensors": b"0" * 1000,
            "run_me.py": b"raise SystemExit",
        },
        REPO,
    )
    with hub.watching() as seen:
        load(hub, REPO, qwen2)
    got = {Path(one.path).name for one in seen if "/resolve/" in one.path}
    assert got == {
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "training_state.json",
        "training_state.safetensors",
    }


@pytest.mark.parametrize(
    ("name", "size", "says"),
    [
        ("adapter_config.json", (1 << 20) + 1, "adapter_config.json is larger than 1 MB"),
        ("adapter_model.safetensors", (1 << 24) + 1, "safetensors is larger than 0.3 MB"),
        ("README.md", (1 << 20) + 1, "README.md is larger than 1 MB"),
    ],
)
def test_what_is_too_large_is_not_downloaded(hub, learner, qwen2, name, size, says):
    put(hub, {**pack(learner), name: bytes(size)}, REPO)
    with hub.watching() as seen, pytest.raises(CheckpointError, match=says):
        load(hub, REPO, qwen2)
    assert not any(one.path.endswith(name) for one in seen)


def changed_config(learner, **values):
    config = {**json.loads(pack(learner)["adapter_config.json"]), **values}
    return {**pack(learner), "adapter_config.json": json.dumps(config).encode()}


def test_a_lora_is_told_by_its_name_before_its_weights_are_downloaded(hub, learner, qwen2):
    files = changed_config(learner, peft_type="LORA")
    put(hub, {**files, "adapter_model.safetensors": bytes(1 << 25)}, REPO)
    with hub.watching() as seen, pytest.raises(CheckpointError, match="LORA"):
        load(hub, REPO, qwen2)
    assert not any("safetensors" in one.path for one in seen)


def test_a_prompt_of_another_size_is_refused_before_its_weights_are_downloaded(hub, learner, qwen2):
    put(hub, changed_config(learner, token_dim=896), REPO)
    with hub.watching() as seen, pytest.raises(CheckpointError, match="takes vectors of 32"):
        load(hub, REPO, qwen2)
    assert not any("safetensors" in one.path for one in seen)


def test_a_repository_without_a_soft_prompt_is_refused(hub, qwen2):
    put(hub, {"model.safetensors": b"weights"}, REPO)
    with pytest.raises(CheckpointError, match=r"adapter_config\.json is missing"):
        load(hub, REPO, qwen2)


def test_broken_files_are_refused_as_local_ones_are(hub, learner, qwen2):
    put(hub, {**pack(learner), "adapter_model.safetensors": b"not safetensors at all"}, REPO)
    with pytest.raises(CheckpointError, match="not a"):
        load(hub, REPO, qwen2)


def test_a_prompt_for_another_model_of_the_size_loads_with_a_warning(hub, pushed):
    llama = build_base_model("llama")
    fetched = load(hub, REPO, llama)
    assert fetched.made_for == "tiny-qwen2"
    assert "made for 'tiny-qwen2'" in fetched.warning
    assert fetched.learner.source == llama.source


@pytest.mark.parametrize("who", ["nobody", "bob"])
def test_a_private_prompt_is_its_owners(hub, ada, learner, qwen2, who):
    push(learner, REPO, ada, endpoint=hub.endpoint)
    token = hub.store.add_login(who) if who != "nobody" else None
    says = "your account may not see it" if token else "only its owner sees it. Sign in"
    with pytest.raises(HubError, match=says):
        load(hub, REPO, qwen2, token)
    assert_equal(load(hub, REPO, qwen2, ada).learner, learner)


def test_one_visitors_private_prompt_is_never_kept_for_the_next(hub, ada, learner, qwen2):
    pushed = push(learner, REPO, ada, endpoint=hub.endpoint)
    kept_before = set(Path(constants.HF_HUB_CACHE).rglob("*"))
    load(hub, REPO, qwen2, ada)
    assert set(Path(constants.HF_HUB_CACHE).rglob("*")) == kept_before
    for reference in (REPO, f"{REPO}@{pushed.commit}"):
        with pytest.raises(HubError, match="There is no model"):
            load(hub, reference, qwen2)


@pytest.mark.parametrize("who", ["nobody", "bob"])
def test_a_gated_prompt_needs_access(hub, pushed, qwen2, who):
    hub.store.repos["model", REPO].gated = True
    token = hub.store.add_login(who) if who != "nobody" else None
    with pytest.raises(HubError, match="is gated: ask for access"):
        load(hub, REPO, qwen2, token)
    hub.store.repos["model", REPO].allowed.add("bob")
    if token:
        assert load(hub, REPO, qwen2, token).commit == pushed.commit


@pytest.mark.parametrize(("kind", "word"), [("dataset", "a dataset"), ("space", "a Space")])
def test_the_wrong_kind_of_repository_is_named(hub, qwen2, kind, word):
    hub.store.create(kind, "ada/other", private=False)
    with pytest.raises(HubError, match=f"ada/other is {word}"):
        load(hub, "ada/other", qwen2)


@pytest.mark.parametrize("revision", ["v9", "0" * 40])
def test_a_revision_that_is_not_there(hub, pushed, qwen2, revision):
    with pytest.raises(HubError, match="has no such revision"):
        load(hub, f"{REPO}@{revision}", qwen2)


def test_a_download_cut_in_half_is_resumed(hub, pushed, learner, qwen2):
    hub.fail("GET", "/stored/", TRUNCATE)
    hub.fail("GET", "training_state.json", TRUNCATE)
    assert_equal(load(hub, REPO, qwen2).learner, learner)


def test_an_anonymous_visitor_is_anonymous_whatever_the_machine_has(
    hub, pushed, qwen2, monkeypatch, tmp_path
):
    """The server's own login must never be used for a visitor: it is theirs or nobody's."""
    machine = hub.store.add_login("machine")
    monkeypatch.setenv("HF_TOKEN", machine)
    assert machine_token() == machine
    with hub.watching() as seen:
        load(hub, REPO, qwen2)
        browse(POCKET_MODEL, None, endpoint=hub.endpoint)
        with pytest.raises(HubError):
            load(hub, "ada/nothing", qwen2)
        with pytest.raises(HubError):
            push(trained_learner(qwen2), "machine/prompt", None, endpoint=hub.endpoint)
    assert len(seen) > 10
    assert {one.authorization for one in seen} == {None}


def test_a_visitors_token_is_the_only_one_sent(hub, ada, learner, qwen2, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", hub.store.add_login("machine"))
    with hub.watching() as seen:
        push(learner, REPO, ada, endpoint=hub.endpoint)
        load(hub, REPO, qwen2, ada)
    to_storage = [one for one in seen if one.path.startswith("/stored/")]
    assert {one.authorization for one in seen} - {None} == {f"Bearer {ada}"}
    assert to_storage and all(one.authorization is None for one in to_storage)


def test_a_spaces_own_login_is_nobodys(monkeypatch):
    assert machine_token({"SPACE_ID": "ada/arena"}) is None
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_space")
    assert machine_token({"SPACE_ID": "ada/arena"}) is None
    assert machine_token({}) == "hf_of_the_space"


def test_without_a_login_there_is_no_token():
    assert machine_token() is None


def test_who_a_login_belongs_to(hub, ada):
    hub.store.add_organisation("lab", "ada")
    account = whoami(ada, hub.endpoint)
    assert (account.name, account.names, account.reads_only) == ("ada", ("ada", "lab"), False)
    assert whoami(hub.store.add_login("bob", "read"), hub.endpoint).reads_only
    with pytest.raises(HubError, match="did not accept your login"):
        whoami("hf_expired", hub.endpoint)


_CHILD = """
import sys
from pathlib import Path
from peft import PeftModel
from learner.checkpoint.files import save
from learner.hub.reference import parse_reference
from learner.hub.soft_prompts import fetch
from tests.learner.tiny_models import build_base_model, build_model
model = build_base_model("qwen2")
folder = Path(sys.argv[1])
for number, reference in enumerate(sys.argv[2:]):
    learner = fetch(parse_reference(reference), None, model).learner
    save(learner, folder / str(number))
    if "@" not in reference:
        adapted = PeftModel.from_pretrained(build_model("qwen2"), reference)
        assert adapted.get_prompt_embedding_to_save("default").equal(learner.prompt)
"""


def in_a_new_process(folder, *references, **environment):
    return subprocess.run(
        [sys.executable, "-c", _CHILD, str(folder), *references],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.timeout(600)  # two processes that load torch and PEFT anew
def test_another_machine_and_peft_load_it_and_then_again_offline(
    hub, pushed, learner, qwen2, tmp_path
):
    home = {"HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": hub.endpoint}
    online = in_a_new_process(tmp_path / "online", REPO, **home, HF_HUB_OFFLINE="0")
    assert online.returncode == 0, online.stderr
    assert_equal(load_folder(tmp_path / "online" / "0", qwen2), learner)

    with hub.watching() as seen:
        references = (REPO, f"{REPO}@{pushed.commit}", "ada/other")
        offline = in_a_new_process(tmp_path / "offline", *references, **home, HF_HUB_OFFLINE="1")
    for number in "01":
        assert_equal(load_folder(tmp_path / "offline" / number, qwen2), learner)
    assert "ada/other is not in this machine's cache, and HF_HUB_OFFLINE" in offline.stderr
    assert seen == []
