"""A Space made, brought up to date and watched, on a Hub on loopback that fails where it can."""

import pytest

from learner.hub.client import HubError
from learner.hub.space import SpaceFailed, carry_out, find_model, plan, watch
from learner.hub.space_files import MARKER, ZEROGPU
from tests.hub.server import DROP, LOSE_ANSWER
from tests.hub.store import File

SPACE = "ada/arena"
FILES = {
    MARKER: b'"""An app."""\n',
    "README.md": b"---\nsdk: gradio\n---\n",
    "app.py": b"print(1)\n",
    "assets/pocket/model.safetensors": bytes(range(256)),
}
VARIABLES = {"SOFT_PROMPT_MODELS": "pocket"}


@pytest.fixture
def token(hub):
    return hub.store.add_login("ada")


def look(
    hub, token, files=FILES, hardware="cpu-basic", private=False, variables=VARIABLES, bucket=None
):
    return plan(
        SPACE,
        token,
        files,
        hardware=hardware,
        private=private,
        variables=variables,
        bucket=bucket,
        endpoint=hub.endpoint,
    )


def host(hub, token, **options):
    return carry_out(look(hub, token, **options), token, hub.endpoint)


def space(hub):
    return hub.store.repos["space", SPACE]


def content(hub):
    return {path: file.data for path, file in space(hub).head.files.items() if path[0] != "."}


def no_wait(seconds):
    """Time passes by itself."""


# Making and changing


def test_a_new_space_is_made_in_one_commit(hub, token):
    planned = look(hub, token, hardware=ZEROGPU, private=True)
    assert planned.there is None and planned.changed == tuple(sorted(FILES))
    assert not hub.store.repos
    commit = carry_out(planned, token, hub.endpoint)
    repo = space(hub)
    assert content(hub) == FILES
    assert repo.private and len(repo.commits) == 2 and repo.head.oid == commit
    assert repo.head.files["assets/pocket/model.safetensors"].lfs
    assert repo.space.variables == VARIABLES
    assert repo.space.hardware == "zero-a10g"


def test_the_second_time_only_what_differs_is_changed(hub, token):
    host(hub, token)
    space(hub).space.variables["MINE"] = "kept"
    files = {**FILES, "app.py": b"print(2)\n", "new.py": b""}
    del files["assets/pocket/model.safetensors"]
    planned = look(hub, token, files=files)
    assert planned.changed == ("app.py", "new.py")
    assert planned.gone == ("assets/pocket/model.safetensors",)
    with hub.watching() as seen:
        carry_out(planned, token, hub.endpoint)
    assert content(hub) == files
    assert len(space(hub).commits) == 3
    assert space(hub).space.variables == {**VARIABLES, "MINE": "kept"}
    assert not [request for request in seen if "secrets" in request.path]
    assert not [one for one in seen if one.method == "POST" and one.path.endswith("/variables")]
    assert not [one for one in seen if one.path.endswith("/hardware")]


def test_what_is_as_it_should_be_makes_no_commit(hub, token):
    commit = host(hub, token)
    assert host(hub, token) == commit
    assert len(space(hub).commits) == 2


def test_a_variable_and_the_hardware_change_with_the_command(hub, token):
    host(hub, token)
    host(hub, token, hardware="t4-small", variables={"SOFT_PROMPT_MODELS": "a/b"})
    assert space(hub).space.variables == {"SOFT_PROMPT_MODELS": "a/b"}
    assert space(hub).space.hardware == "t4-small"


def test_a_space_of_something_else_is_left_alone(hub, token):
    repo = hub.store.create("space", SPACE, False, "ada")
    hub.store.commit(repo, "mine", "ada", {"app.py": File(b"mine")}, "")
    with pytest.raises(HubError, match="something else; choose another name"):
        look(hub, token)
    assert content(hub) == {"app.py": b"mine"}


def test_an_empty_space_of_ones_own_is_filled(hub, token):
    repo = hub.store.create("space", SPACE, False, "ada")
    hub.store.commit(repo, "first", "ada", {"README.md": File(b"---\ntitle: x\n---\n")}, "")
    host(hub, token)
    assert content(hub) == FILES


def test_what_is_public_does_not_become_private_in_passing(hub, token):
    host(hub, token)
    with pytest.raises(HubError, match="public already"):
        look(hub, token, private=True)


@pytest.mark.parametrize("user, role, said", [("bob", "write", "not you"), ("ada", "read", "read")])
def test_a_login_that_may_not_is_told_so_before_anything_is_done(hub, user, role, said):
    with pytest.raises(HubError, match=said):
        look(hub, hub.store.add_login(user, role))
    assert not hub.store.repos


def test_without_a_login_it_is_planned_as_if_it_were_new(hub):
    with hub.watching() as seen:
        planned = look(hub, None)
    assert planned.there is None and not seen


# A bucket

BUCKET = "ada/kept"
MOUNTED = {"type": "bucket", "source": BUCKET, "mountPath": "/data"}


def test_a_bucket_is_made_for_its_owner_alone_and_mounted_once(hub, token):
    planned = look(hub, token, bucket=BUCKET)
    assert (planned.bucket, planned.bucket_exists, hub.store.buckets) == (BUCKET, False, {})
    carry_out(planned, token, hub.endpoint)
    assert hub.store.buckets == {BUCKET: True}
    assert space(hub).space.volumes == [MOUNTED]
    assert look(hub, token, bucket=BUCKET).bucket_exists
    with hub.watching() as seen:
        host(hub, token, bucket=BUCKET)
    assert not [one for one in seen if one.path.endswith("/volumes")]


def test_what_else_is_mounted_stays_and_without_a_bucket_everything_does(hub, token):
    host(hub, token)
    models = {"type": "model", "source": "qwen/tiny", "mountPath": "/models"}
    space(hub).space.volumes = [models]
    host(hub, token, bucket=BUCKET)
    assert space(hub).space.volumes == [models, MOUNTED]
    host(hub, token)
    assert space(hub).space.volumes == [models, MOUNTED]


def test_another_thing_where_the_bucket_would_be_is_left_there(hub, token):
    host(hub, token)
    other = {**MOUNTED, "source": "ada/other"}
    space(hub).space.volumes = [other]
    with pytest.raises(HubError, match="has ada/other mounted at /data"):
        host(hub, token, bucket=BUCKET)
    assert space(hub).space.volumes == [other]


@pytest.mark.parametrize(
    ("bucket", "said"),
    [("bob/kept", "bob is not you"), ("kept", "no owner|user/name"), ("ada/open", "can read")],
)
def test_a_bucket_that_will_not_do_is_told_before_anything_is_done(hub, token, bucket, said):
    hub.store.buckets["ada/open"] = False
    with pytest.raises(HubError, match=said):
        look(hub, token, bucket=bucket)
    assert not hub.store.repos and hub.store.buckets == {"ada/open": False}


# Faults


@pytest.mark.parametrize("kind", [DROP, LOSE_ANSWER])
def test_a_commit_whose_answer_is_lost_is_made_once(hub, token, kind):
    planned = look(hub, token)
    hub.fail("POST", "/commit/", kind)
    commit = carry_out(planned, token, hub.endpoint)
    assert len(space(hub).commits) == 2
    assert space(hub).head.oid == commit
    assert content(hub) == FILES


@pytest.mark.parametrize(
    "method, path",
    [
        ("POST", "/repos/create"),
        ("POST", "/variables"),
        ("POST", "/hardware"),
        ("GET", "/runtime"),
        ("POST", "/buckets/"),
        ("PUT", "/volumes"),
        ("POST", "/commit/"),
    ],
)
def test_after_any_fault_the_command_can_be_repeated(hub, token, method, path):
    hub.refuse(method, path, 500, times=9)
    with pytest.raises(HubError, match=r"out of order|try again"):
        host(hub, token, bucket=BUCKET)
    hub._faults.clear()
    host(hub, token, bucket=BUCKET)
    assert content(hub) == FILES
    assert space(hub).space.volumes == [MOUNTED]
    assert space(hub).space.variables == VARIABLES


def test_what_somebody_else_committed_in_between_is_not_overwritten(hub, token):
    host(hub, token)
    planned = look(hub, token, files={**FILES, "app.py": b"print(2)\n"})
    hub.store.commit(space(hub), "theirs", "ada", {"app.py": File(b"theirs")}, "")
    with pytest.raises(HubError, match="somebody else"):
        carry_out(planned, token, hub.endpoint)
    assert content(hub)["app.py"] == b"theirs"


def test_hardware_that_the_account_may_not_have_is_told(hub, token):
    hub.refuse("POST", "/hardware", 402, "Payment required for this hardware")
    with pytest.raises(HubError, match="ada/arena"):
        host(hub, token, hardware="a100-large")


# Watching


def states(hub, token, *stages):
    commit = host(hub, token)
    space(hub).space.stages[:] = stages
    return watch(SPACE, commit, token, hub.endpoint, no_wait)


def test_its_state_is_told_as_it_changes_and_its_address_in_the_end(hub, token):
    stages = ("BUILDING", "BUILDING", "APP_STARTING", "RUNNING")
    watched = states(hub, token, *({"stage": stage} for stage in stages))
    assert [*watched] == ["building", "starting", "running", "https://ada-arena.hf.space"]


def test_the_domain_that_the_hub_names_is_the_address(hub, token):
    running = {"stage": "RUNNING", "domains": [{"domain": "ada-a.hf.space"}]}
    assert [*states(hub, token, running)][-1] == "https://ada-a.hf.space"


def test_what_runs_is_not_taken_for_what_was_just_pushed(hub, token):
    old, new = {"stage": "RUNNING", "sha": "0" * 40}, {"stage": "RUNNING"}
    assert [*states(hub, token, old, old, new)][:2] == ["building", "running"]


@pytest.mark.parametrize("stage, log", [("BUILD_ERROR", "build"), ("RUNTIME_ERROR", "run")])
def test_a_failure_is_told_with_the_last_lines_of_its_log(hub, token, stage, log):
    watched = states(hub, token, {"stage": "BUILDING"}, {"stage": stage, "errorMessage": "Exit 1"})
    space(hub).space.logs[log] = [f"line {number}" for number in range(100)]
    assert next(watched) == "building"
    with pytest.raises(SpaceFailed, match="Exit 1") as caught:
        next(watched)
    assert caught.value.log == tuple(f"line {number}" for number in range(70, 100))


def test_a_log_that_cannot_be_read_hides_no_failure(hub, token):
    watched = states(hub, token, {"stage": "BUILD_ERROR"})
    hub.refuse("GET", "/logs/", 500, times=9)
    with pytest.raises(SpaceFailed, match="The build failed") as caught:
        next(watched)
    assert "cannot be read" in caught.value.log[0]


@pytest.mark.parametrize("stage", ["CONFIG_ERROR", "NO_APP_FILE"])
def test_other_failures_need_no_log(hub, token, stage):
    with pytest.raises(HubError, match=r"configuration|no app\.py"):
        next(states(hub, token, {"stage": stage}))


def test_a_space_that_somebody_paused_is_no_reason_to_wait(hub, token):
    assert next(states(hub, token, {"stage": "PAUSED"})) == "paused"


def test_a_hub_that_is_silent_for_a_while_is_asked_again_and_not_for_ever(hub, token):
    watched = states(hub, token, {"stage": "RUNNING"})
    hub.refuse("GET", "/runtime", 500, times=5)
    assert next(watched) == "running"
    watched = watch(SPACE, "0" * 40, token, hub.endpoint, no_wait)
    hub.refuse("GET", "/runtime", 500, times=1000)
    with pytest.raises(HubError, match="out of order"):
        next(watched)


# Models


def model(hub, files, name="qwen/tiny", **about):
    repo = hub.store.create("model", name, about.pop("private", False))
    for key, value in about.items():
        setattr(repo, key, value)
    hub.store.commit(repo, "files", "qwen", {path: File(data) for path, data in files.items()}, "")
    return repo.head.oid


WEIGHTS = {
    "config.json": b"{}",
    "tokenizer.json": b"{}",
    "model.safetensors": bytes(70),
    "onnx/model.safetensors": b"",
    "pytorch_model.bin": b"",
    "README.md": b"",
}


def test_of_a_model_only_what_is_loaded_is_preloaded(hub):
    commit = model(hub, WEIGHTS)
    found = find_model("qwen/tiny", None, hub.endpoint)
    assert found.commit == commit
    assert found.files == ("config.json", "model.safetensors", "tokenizer.json")
    assert found.size == 74


def test_of_a_gguf_file_only_itself(hub):
    model(hub, {"a.gguf": bytes(5), "q4/b.gguf": bytes(6)})
    found = find_model("qwen/tiny/q4/b.gguf", None, hub.endpoint)
    assert (found.files, found.size) == (("q4/b.gguf",), 6)


def test_the_embedded_model_asks_nobody(hub):
    with hub.watching() as seen:
        assert find_model("pocket", None, hub.endpoint).commit == ""
    assert not seen


@pytest.mark.parametrize("about", [{"private": True}, {"gated": True}])
def test_a_model_that_is_not_open_to_all_is_refused(hub, about):
    model(hub, WEIGHTS, **about)
    with pytest.raises(HubError, match="private or gated"):
        find_model("qwen/tiny", hub.store.add_login("qwen"), hub.endpoint)


@pytest.mark.parametrize("name", ["qwen/none", "qwen/tiny/c.gguf", "qwen", "a/b/c", "../x"])
def test_a_model_that_is_not_there_is_refused(hub, name):
    model(hub, {"pytorch_model.bin": b"", "config.json": b"{}"})
    with pytest.raises(HubError):
        find_model(name, None, hub.endpoint)


def test_weights_in_another_form_are_refused(hub):
    model(hub, {"pytorch_model.bin": b"", "config.json": b"{}"})
    with pytest.raises(HubError, match="no weights as safetensors"):
        find_model("qwen/tiny", None, hub.endpoint)
