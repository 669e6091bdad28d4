"""How the app starts: what it says when it cannot."""

import socket

import pytest

import app
from learner.cli import serving


def test_a_port_that_is_taken_is_told_before_the_model_is_loaded(capsys, monkeypatch):
    monkeypatch.setattr(app, "load_base_model", None)  # loading would fail the test
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert app.main(["--port", str(port)]) == 2
    said = capsys.readouterr().err
    assert f"port {port} of 127.0.0.1" in said and said.count("\n") == 1
    assert serving.why_not("127.0.0.1", [port]) == ""


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
