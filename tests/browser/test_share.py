"""The trained soft prompt leaves as a file and comes back, to anybody."""

import json
import zipfile

import pytest
from playwright.sync_api import expect

from learner.model.source import POCKET_FOLDER
from tests.browser.visitor import Visitor
from tests.learner.checkpoints import OriginalExperiment


@pytest.fixture(scope="module")
def saved(browser, url, tmp_path_factory):
    """A soft prompt that somebody trained and downloaded."""
    context = browser.new_context()
    visitor = Visitor(context.new_page(), url).arrive()
    visitor.trains(8)
    visitor.opens_tab("Save & share")
    with visitor.page.expect_download() as download:
        visitor.presses("Download your soft prompt")
    expect(visitor.page.locator(".spa-status")).to_contain_text("learnt from 8 episodes")
    path = tmp_path_factory.mktemp("downloads") / download.value.suggested_filename
    download.value.save_as(path)
    context.close()
    return path


def load(visitor, path):
    visitor.opens_tab("Save & share")
    with visitor.page.expect_file_chooser() as chooser:
        visitor.presses("Load a soft prompt")
    chooser.value.set_files(path)


def test_a_saved_soft_prompt_is_a_peft_adapter_with_a_name_that_says_what_it_is(saved):
    assert saved.name == "soft-prompt-pocket-8-episodes.zip"
    names = zipfile.ZipFile(saved).namelist()
    assert {"adapter_config.json", "adapter_model.safetensors"} <= set(names)


def test_somebody_else_loads_it_and_can_undo_that(visitor, saved):
    load(visitor, saved)
    expect(visitor.page.locator(".spa-status")).to_contain_text("Loaded.")
    expect(visitor.learnt).to_have_text("learnt from 8 episodes")
    visitor.opens_tab("Teach")
    visitor.sees_four_answers()
    visitor.presses("Undo")
    expect(visitor.learnt).to_have_text("not trained yet")


def test_a_load_that_fails_leaves_no_earlier_success_standing(visitor, saved, tmp_path):
    load(visitor, saved)
    expect(visitor.page.locator(".spa-status")).to_contain_text("Loaded.")
    path = tmp_path / "holiday.zip"
    path.write_bytes(b"not a zip file")
    load(visitor, path)
    expect(visitor.complaint).to_contain_text("holiday.zip")
    expect(visitor.page.locator(".spa-status")).not_to_contain_text("Loaded.")


def test_a_file_that_is_no_soft_prompt_is_refused_with_a_sentence(visitor, tmp_path):
    path = tmp_path / "holiday.zip"
    path.write_bytes(b"not a zip file")
    load(visitor, path)
    expect(visitor.complaint).to_contain_text("holiday.zip")
    expect(visitor.learnt).to_have_text("not trained yet")


def test_a_file_of_the_original_experiments_is_loaded_by_whoever_vouches_for_it(visitor, tmp_path):
    path = tmp_path / "checkpoint_ep12.pt"
    size = json.loads((POCKET_FOLDER / "config.json").read_text())["hidden_size"]
    path.write_bytes(OriginalExperiment(size).learn(12).saved())
    load(visitor, path)
    expect(visitor.complaint).to_contain_text("checkpoint_ep12.pt does not say which model")
    expect(visitor.learnt).to_have_text("not trained yet")
    visitor.page.get_by_label("Load it even if").check()
    load(visitor, path)
    expect(visitor.page.locator(".spa-status")).to_contain_text("Loaded.")
    expect(visitor.learnt).to_have_text("learnt from 12 episodes")
