"""What the app is told: flags, environment, and what it says where that cannot be."""

import socket
import sys
from pathlib import Path

import pytest

from learner.cli import serving
from learner.view.server.gate import answered_names


@pytest.mark.parametrize(
    ("environment", "model"),
    [
        ({}, "pocket"),
        ({"SOFT_PROMPT_MODELS": "a/b"}, "a/b"),
        ({"SPACE_ID": "me/arena", "SOFT_PROMPT_MODELS": "pocket,a/b"}, "pocket,a/b"),
    ],
)
def test_the_default_models_come_from_the_environment(environment, model):
    assert serving.parser(environment).parse_args([]).models == model


def test_several_models_are_asked_for_each_once_and_at_the_very_commit():
    commit = "c" * 40
    assert serving.models_of(f"pocket, a/b@{commit},pocket,a/b/c.gguf@v1") == [
        ("pocket", None),
        ("a/b", commit),
        ("a/b/c.gguf", "v1"),
    ]
    assert serving.models_of(" ,") == [("pocket", None)]


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70000), ("192.0.2.1", 7860), ("a b", 1)])
def test_an_address_that_cannot_be_is_told(host, port):
    assert "choose another" in serving.why_not(host, [port])


def refused(environment, *flags):
    """Why this cannot be asked for."""
    with pytest.raises(ValueError) as caught:
        serving.options_of([*flags, "--port", "0"], environment, "")
    return str(caught.value)


def test_tools_for_agents_without_their_package_are_one_sentence(monkeypatch):
    monkeypatch.setattr(serving, "find_spec", lambda name: None)
    assert "pip install 'gradio[mcp]'" in refused({}, "--mcp")
    assert serving.parser({"SOFT_PROMPT_MCP": "true"}).parse_args([]).mcp


def test_where_sessions_are_kept_can_be_an_address():
    options = serving.parser({"SOFT_PROMPT_SESSIONS": "file:///data"}).parse_args([])
    assert options.sessions == "file:///data"
    assert serving.parser({}).parse_args([]).sessions == str(serving.KEPT)
    said = refused({}, "--sessions", "ftp://host/folder")
    assert said == "Sessions can be kept at file, s3, gs, az, memory, not at ftp."


def test_who_else_the_app_answers_to():
    def names(environment, *flags):
        options = serving.parser(environment).parse_args(flags)
        return [*answered_names(options.host, options.allow_host, environment)]

    assert names({}) == names({}, "--host", "localhost") == names({}, "--host", "[::1]") == []
    assert names({}, "--allow-host", "Box", "arena.example") == ["box", "arena.example"]
    for open_to_others in ({"SPACE_ID": "a/b"}, {"GRADIO_SERVER_NAME": "0.0.0.0"}):
        assert names(open_to_others) == ["*"]
    assert names({}, "--host", "192.168.1.2") == names({"GRADIO_SHARE": "True"}) == ["*"]


def test_on_a_space_nobody_is_lent_its_login():
    assert "here visitors sign in" in refused({"SPACE_ID": "a/b"}, "--use-my-login")


def test_one_free_port_of_many_is_enough():
    with socket.create_server(("127.0.0.1", 0)) as other, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        taken, port = other.getsockname()[1], free.getsockname()[1]
        free.close()
        assert serving.why_not("127.0.0.1", [taken, port]) == ""
    assert [*serving.ports(None, {"GRADIO_SERVER_PORT": "8123"})] == [8123]
    assert serving.ports(None, {})[0] == 7860


def test_a_flag_wins_over_the_environment():
    flags = serving.parser({"SOFT_PROMPT_MODELS": "a/b"})
    options = flags.parse_args(["--model", "c/d", "--host", "0.0.0.0", "--port", "8000"])
    assert (options.models, options.host, options.port) == ("c/d", "0.0.0.0", 8000)


@pytest.mark.parametrize("value", ["0", "-5", "many"])
def test_the_held_out_set_has_at_least_one_problem(value, capsys):
    with pytest.raises(SystemExit):
        serving.parser({}).parse_args(["--held-out", value])
    assert "--held-out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "replicas"),
    [([], None), (["--replicas", "3"], (3, 3)), (["--replicas", "1-4"], (1, 4))],
)
def test_how_many_replicas(given, replicas):
    assert serving.parser({}).parse_args(given).replicas == replicas


@pytest.mark.parametrize("given", ["0", "4-1", "-1", "two", "1-2-3"])
def test_a_number_of_replicas_that_cannot_be_is_told(given, capsys):
    with pytest.raises(SystemExit):
        serving.parser({}).parse_args([f"--replicas={given}"])
    assert "--replicas" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [["--replicas", "2"], ["--ray", "127.0.0.1:6379"]])
def test_without_ray_replicas_are_a_sentence(flags, monkeypatch):
    monkeypatch.setattr(serving, "find_spec", lambda name: None)
    assert serving.RAY in refused({}, *flags)
    assert (Path(serving.__file__).parents[2] / serving.RAY).is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit on Windows")
def test_as_many_connections_come_in_as_the_machine_allows():
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limitless = hard == resource.RLIM_INFINITY
    most = serving.MOST_FILES if limitless else min(hard, serving.MOST_FILES)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        for _ in range(2):
            serving.let_many_in()
            assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
