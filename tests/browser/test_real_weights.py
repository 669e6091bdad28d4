"""The main job in a browser on real weights: SmolLM2, which comes while the page is open."""

import pytest
from playwright.sync_api import expect

from tests.browser.running_app import open_app
from tests.learner.real_weights import Unreachable, smollm2

NAME = "SmolLM2-135M-Instruct-Q4_1"
PROBLEMS = 10  # of the held-out set: enough for a point of the curve


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    try:
        path = smollm2()
    except Unreachable as why:
        pytest.skip(f"No real weights: {why}.")
    program = ("app.py", "--model", str(path), "--held-out", str(PROBLEMS))
    with open_app(tmp_path_factory.mktemp("real"), program=program) as address:
        yield address


def test_the_main_job_on_a_real_model(visitor, tmp_path):
    expect(visitor.page.locator("#spa-models")).to_contain_text(f"{NAME} is here")
    expect(visitor.model).to_have_text("pocket")  # it answered meanwhile, and goes on doing so
    visitor.chooses_model(NAME)
    question = visitor.question.inner_text()
    visitor.presses("New problem")
    expect(visitor.question).not_to_have_text(question)
    visitor.sees_four_answers()
    visitor.trains(8)
    assert len([share for share, asked in visitor.curve() if asked == PROBLEMS]) >= 2
    visitor.opens_tab("Save & share")
    with visitor.page.expect_download() as download:
        visitor.presses("Download your soft prompt")
    assert (
        download.value.suggested_filename == f"soft-prompt-{NAME.replace('_', '-')}-8-episodes.zip"
    )
