"""Several base models in one app: the page opens at once, and each visitor teaches each of them."""

import re

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from playwright.sync_api import expect

from tests.browser.running_app import open_app
from tests.learner.model.test_base_model import save
from tests.learner.tiny_models import build_model


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """The app on the embedded model, a tiny one, and one that is damaged."""
    folder = tmp_path_factory.mktemp("models")
    tiny = save(build_model("qwen2"), folder / "tiny")
    broken = folder / "broken.gguf"
    broken.write_bytes(b"GGUF")
    program = ("app.py", "--held-out", "20", "--models", f"pocket,{tiny},{broken}")
    with open_app(folder, program=program) as address:
        yield address


def test_a_learner_for_each_model_and_the_choice_outlives_a_reload(visitor):
    visitor.page.goto(f"{visitor.url}?model=pocket")  # as a copied link has it
    visitor.sees_four_answers()
    expect(visitor.model).to_have_text("pocket")
    expect(visitor.page.locator("#spa-models")).to_contain_text("broken cannot be had.")
    expect(visitor.page.locator("#spa-models")).not_to_contain_text("tiny")  # it has come
    visitor.trains(4)
    visitor.chooses_model("tiny")
    expect(visitor.learnt).to_have_text("not trained yet")
    expect(visitor.page).to_have_url(re.compile("model=tiny"))
    visitor.trains(8)
    visitor.reloads()
    expect(visitor.model).to_have_text("tiny")
    expect(visitor.learnt).to_have_text("learnt from 8 episodes")
    visitor.chooses_model("pocket")
    expect(visitor.learnt).to_have_text("learnt from 4 episodes")
    expect(visitor.button("Undo")).to_be_enabled()
    visitor.opens_tab("Look inside")
    expect(visitor.page.locator("#spa-switches button")).to_have_count(8)
    visitor.chooses_model("tiny")
    visitor.opens_tab("Teach")
    expect(visitor.learnt).to_have_text("learnt from 8 episodes")


def test_a_model_that_cannot_be_had_says_why_and_nothing_changes(visitor):
    expect(visitor.page.locator("#spa-models")).not_to_contain_text("tiny")
    chooser = visitor.page.get_by_label("Base model")
    chooser.click()
    visitor.page.get_by_role("option", name="broken").click()
    expect(visitor.complaint).to_contain_text("broken.gguf")
    expect(chooser).to_have_value("pocket")
    expect(visitor.model).to_have_text("pocket")


def test_a_run_goes_on_with_the_model_that_was_left(visitor):
    expect(visitor.page.locator("#spa-models")).not_to_contain_text("tiny")
    visitor.starts_training(80)
    visitor.chooses_model("tiny")
    expect(visitor.learnt).to_have_text("not trained yet")
    expect(visitor.button("Stop")).to_be_disabled()
    visitor.chooses_model("pocket")
    expect(visitor.learnt).to_have_text("learnt from 80 episodes")


def test_a_program_chooses_among_the_models_too(url):
    client = Client(url, verbose=False)
    found = client.predict(api_name="/list_models")
    assert [(one["model"], one["ready"]) for one in found if not one["refused"]] == [
        ("pocket", True),
        ("tiny", True),
    ]
    assert "broken.gguf" in found[2]["refused"]
    session = client.predict(api_name="/new_session")
    assert client.predict(session, "tiny", api_name="/choose_model")["model"] == "tiny"
    client.predict(session, 4, False, api_name="/train")
    file = client.predict(session, api_name="/save")["file"]
    other = client.predict(session, "pocket", api_name="/choose_model")
    assert (other["model"], other["episodes"]) == ("pocket", 0)
    assert client.predict(session, file, api_name="/load") == {  # it goes over to where it is from
        "model": "tiny",
        "episodes": 4,
        "steps": 1,
    }
    assert client.predict(session, api_name="/learner")["undo"] == 2
    with pytest.raises(AppError, match="choose pocket, tiny, broken"):
        client.predict(session, "none", api_name="/choose_model")
