"""How the app starts: flags, environment, and what it says when it cannot."""

import pytest

import app


@pytest.mark.parametrize(
    ("environment", "model"),
    [
        ({}, "pocket"),
        ({"SPACE_ID": "me/arena"}, "Qwen/Qwen2.5-0.5B-Instruct"),
        ({"SOFT_PROMPT_MODEL": "a/b"}, "a/b"),
        ({"SPACE_ID": "me/arena", "SOFT_PROMPT_MODEL": "a/b"}, "a/b"),
    ],
)
def test_the_default_model_comes_from_the_environment(environment, model):
    assert app.parser(environment).parse_args([]).model == model


def test_a_flag_wins_over_the_environment():
    flags = app.parser({"SOFT_PROMPT_MODEL": "a/b"})
    options = flags.parse_args(["--model", "c/d", "--host", "0.0.0.0", "--port", "8000"])
    assert (options.model, options.host, options.port) == ("c/d", "0.0.0.0", 8000)


@pytest.mark.parametrize("value", ["0", "-5", "many"])
def test_the_held_out_set_has_at_least_one_problem(value, capsys):
    with pytest.raises(SystemExit):
        app.parser({}).parse_args(["--held-out", value])
    assert "--held-out" in capsys.readouterr().err


def test_a_model_that_cannot_be_loaded_is_one_sentence_and_status_2(capsys, tmp_path):
    assert app.main(["--model", str(tmp_path / "nothing"), "--sessions", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
