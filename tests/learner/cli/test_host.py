"""The host command as a person runs it, on a Hub on loopback."""

from functools import partial

import pytest

from learner.__main__ import main
from learner.cli import host as host_command
from tests.hub.store import File, front_matter


@pytest.fixture
def loopback(hub, monkeypatch):
    """The Hub is the one on loopback, with a model."""
    for name in ("carry_out", "find_model", "page", "plan", "watch"):
        call = getattr(host_command, name)
        monkeypatch.setattr(host_command, name, partial(call, endpoint=hub.endpoint))
    repo = hub.store.create("model", "qwen/tiny", False)
    files = {"config.json": File(b"{}"), "model.safetensors": File(bytes(7))}
    hub.store.commit(repo, "files", "qwen", files, "")
    return hub


@pytest.fixture
def ada(loopback, monkeypatch):
    """This machine is logged in as ada."""
    monkeypatch.setenv("HF_TOKEN", loopback.store.add_login("ada"))
    return loopback


def test_a_dry_run_says_what_would_be_done_and_does_nothing(ada, capsys):
    arguments = ["host", "ada/arena", "--hardware", "zerogpu", "--private"]
    arguments += ["--models", "pocket,qwen/tiny"]
    with ada.watching() as seen:
        assert main([*arguments, "--dry-run"]) == 0
    said = capsys.readouterr().out
    for part in (
        "ada/arena, private",
        "zerogpu",
        "pocket: comes with the app",
        "qwen/tiny: 2 files",
    ):
        assert part in said
    assert said.endswith("Nothing was done.\n")
    assert {request.method for request in seen} == {"GET"}
    assert ("space", "ada/arena") not in ada.store.repos


def test_without_a_login_there_is_a_dry_run_and_nothing_else(loopback, monkeypatch, capsys):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    assert main(["host", "ada/arena", "--model", "pocket", "--dry-run"]) == 0
    assert "Without a login" in capsys.readouterr().out
    assert main(["host", "ada/arena", "--model", "pocket"]) == 2
    assert "hf auth login" in capsys.readouterr().err


def test_the_whole_command_ends_with_the_address_of_what_runs(ada, capsys):
    assert main(["host", "ada/arena", "--hardware", "zerogpu", "--model", "qwen/tiny"]) == 0
    repo = ada.store.repos["space", "ada/arena"]
    said = capsys.readouterr().out.splitlines()
    assert said[-3].startswith(f"Commit {repo.head.oid[:7]} is on {ada.endpoint}/spaces/ada/arena")
    assert said[-2:] == ["running", "https://ada-arena.hf.space"]
    assert not [path for path in repo.head.files if path.startswith("tests")]
    model = ada.store.repos["model", "qwen/tiny"]
    card = front_matter(repo.head.files["README.md"].data.decode())
    assert card["preload_from_hub"] == [f"qwen/tiny config.json,model.safetensors {model.head.oid}"]
    assert repo.space.variables == {
        "SOFT_PROMPT_MODELS": f"qwen/tiny@{model.head.oid}",
        "SOFT_PROMPT_MCP": "false",
    }
    assert main(["host", "ada/arena", "--hardware", "zerogpu", "--model", "qwen/tiny"]) == 0
    assert "its files are as they should be" in capsys.readouterr().out
    assert len(repo.commits) == 2


def test_with_a_bucket_sessions_are_kept_there(ada, capsys):
    arguments = ["host", "ada/arena", "--model", "pocket", "--bucket", "ada/kept"]
    assert main(arguments) == 0
    assert "are kept in the bucket ada/kept, which is made, private" in capsys.readouterr().out
    space = ada.store.repos["space", "ada/arena"].space
    assert space.variables["SOFT_PROMPT_SESSIONS"] == "file:///data/sessions"
    assert [volume["mountPath"] for volume in space.volumes] == ["/data"]
    assert main([*arguments[:-2], "--dry-run"]) == 0
    assert "as long as the Space's container" in capsys.readouterr().out


def test_a_build_that_fails_ends_with_its_log(ada, capsys):
    assert main(["host", "ada/arena", "--model", "pocket"]) == 0
    space = ada.store.repos["space", "ada/arena"].space
    space.stages[:] = [{"stage": "BUILD_ERROR"}]
    space.logs["build"] = ["Collecting torch", "ERROR: no space left on device"]
    assert main(["host", "ada/arena", "--model", "pocket"]) == 2
    assert "ERROR: no space left on device" in capsys.readouterr().err
