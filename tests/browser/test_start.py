"""How the app starts: flags, environment, and what it says when it cannot."""

import socket

import pytest

import app


@pytest.mark.parametrize(
    ("environment", "model"),
    [
        ({}, "pocket"),
        ({"SOFT_PROMPT_MODELS": "a/b"}, "a/b"),
        ({"SPACE_ID": "me/arena", "SOFT_PROMPT_MODELS": "pocket,a/b"}, "pocket,a/b"),
    ],
)
def test_the_default_models_come_from_the_environment(environment, model):
    assert app.parser(environment).parse_args([]).models == model


def test_several_models_are_asked_for_each_once_and_at_the_very_commit():
    commit = "c" * 40
    assert app.models_of(f"pocket, a/b@{commit},pocket,a/b/c.gguf@v1") == [
        ("pocket", None),
        ("a/b", commit),
        ("a/b/c.gguf", "v1"),
    ]
    assert app.models_of(" ,") == [("pocket", None)]


def test_a_port_that_is_taken_is_told_before_the_model_is_loaded(capsys, monkeypatch):
    monkeypatch.setattr(app, "load_base_model", None)  # loading would fail the test
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert app.main(["--port", str(port)]) == 2
    said = capsys.readouterr().err
    assert f"port {port} of 127.0.0.1" in said and said.count("\n") == 1
    assert app.why_not("127.0.0.1", [port]) == ""


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70000), ("192.0.2.1", 7860), ("a b", 1)])
def test_an_address_that_cannot_be_is_told(host, port):
    assert "choose another" in app.why_not(host, [port])


def test_tools_for_agents_without_their_package_are_one_sentence(capsys, monkeypatch):
    monkeypatch.setattr(app, "find_spec", lambda name: None)
    monkeypatch.setattr(app, "load_base_model", None)
    assert app.main(["--mcp"]) == 2
    assert "pip install 'gradio[mcp]'" in capsys.readouterr().err
    assert app.parser({"SOFT_PROMPT_MCP": "true"}).parse_args([]).mcp


def test_where_sessions_are_kept_can_be_an_address(monkeypatch, capsys):
    options = app.parser({"SOFT_PROMPT_SESSIONS": "file:///data"}).parse_args([])
    assert options.sessions == "file:///data"
    assert app.parser({}).parse_args([]).sessions == str(app.KEPT)
    monkeypatch.setattr(app, "load_base_model", None)
    assert app.main(["--sessions", "ftp://host/folder"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "error: Sessions can be kept at file, s3, gs, az, memory, not at ftp."


def test_who_else_the_app_answers_to():
    def names(environment, *flags):
        return [*app.answered_names(app.parser(environment).parse_args(flags), environment)]

    assert names({}) == names({}, "--host", "localhost") == names({}, "--host", "[::1]") == []
    assert names({}, "--allow-host", "Box", "arena.example") == ["box", "arena.example"]
    for open_to_others in ({"SPACE_ID": "a/b"}, {"GRADIO_SERVER_NAME": "0.0.0.0"}):
        assert names(open_to_others) == ["*"]
    assert names({}, "--host", "192.168.1.2") == names({"GRADIO_SHARE": "True"}) == ["*"]


def test_on_a_space_nobody_is_lent_its_login(monkeypatch, capsys):
    monkeypatch.setenv("SPACE_ID", "a/b")
    monkeypatch.setattr(app, "load_base_model", None)
    assert app.main(["--use-my-login"]) == 2
    assert "here visitors sign in" in capsys.readouterr().err


def test_one_free_port_of_many_is_enough():
    with socket.create_server(("127.0.0.1", 0)) as other, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        taken, port = other.getsockname()[1], free.getsockname()[1]
        free.close()
        assert app.why_not("127.0.0.1", [taken, port]) == ""
    assert [*app.ports(None, {"GRADIO_SERVER_PORT": "8123"})] == [8123]
    assert app.ports(None, {})[0] == 7860


def test_a_flag_wins_over_the_environment():
    flags = app.parser({"SOFT_PROMPT_MODELS": "a/b"})
    options = flags.parse_args(["--model", "c/d", "--host", "0.0.0.0", "--port", "8000"])
    assert (options.models, options.host, options.port) == ("c/d", "0.0.0.0", 8000)


@pytest.mark.parametrize("value", ["0", "-5", "many"])
def test_the_held_out_set_has_at_least_one_problem(value, capsys):
    with pytest.raises(SystemExit):
        app.parser({}).parse_args(["--held-out", value])
    assert "--held-out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--modle", "pocket"], "There is no --modle; did you mean --model?"),
        (["--port", "99999"], "--port: 99999 is not a whole number from 0 to 65535"),
        (["--device", "gpu"], "--device cannot be gpu"),
    ],
)
def test_a_mistake_in_the_flags_is_one_line_and_status_2(flags, says, capsys):
    with pytest.raises(SystemExit) as caught:
        app.main(flags)
    (line,) = capsys.readouterr().err.splitlines()
    assert caught.value.code == 2 and says in line


def test_a_model_that_cannot_be_loaded_is_one_sentence_and_status_2(capsys, tmp_path):
    assert app.main(["--model", str(tmp_path / "nothing"), "--sessions", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "replicas"),
    [([], None), (["--replicas", "3"], (3, 3)), (["--replicas", "1-4"], (1, 4))],
)
def test_how_many_replicas(given, replicas):
    assert app.parser({}).parse_args(given).replicas == replicas


@pytest.mark.parametrize("given", ["0", "4-1", "-1", "two", "1-2-3"])
def test_a_number_of_replicas_that_cannot_be_is_told(given, capsys):
    with pytest.raises(SystemExit):
        app.parser({}).parse_args([f"--replicas={given}"])
    assert "--replicas" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [["--replicas", "2"], ["--ray", "127.0.0.1:6379"]])
def test_without_ray_replicas_are_a_sentence(flags, capsys, monkeypatch):
    monkeypatch.setattr(app, "find_spec", lambda name: None)
    assert app.main([*flags, "--port", "0"]) == 2
    said = capsys.readouterr().err
    assert app.RAY in said and said.count("\n") == 1
    assert (app.HERE / app.RAY).is_file()
