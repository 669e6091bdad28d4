"""The app as on a ZeroGPU Space: its model runs in processes that are forked, and that may die."""

import os
import re
import signal
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.running_app import open_app

SPACE = ("-m", "tests.zerogpu", "--device", "cpu", "--held-out", "40")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("space")


@pytest.fixture(scope="module")
def url(folder):
    with open_app(folder, program=SPACE) as address:
        yield address


def workers(folder):
    """The processes that were forked by the app that keeps its files there."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder).encode() in (entry / "cmdline").read_bytes():
                state = (entry / "stat").read_text().rpartition(")")[2]
                parents[int(entry.name)] = int(state.split()[1])
        except OSError:
            continue  # it has just ended
    # The app itself was started by nobody of these. Numbers say nothing: they begin anew some time.
    return [number for number, parent in parents.items() if parent in parents]


def test_the_main_job_goes_on_though_the_process_with_the_gpu_is_killed(visitor, folder):
    visitor.starts_training(80)
    expect(visitor.page.locator(".spa-progress")).to_contain_text(re.compile(r"\b[1-9]\d? of 80"))
    killed = workers(folder)
    assert killed
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    expect(visitor.learnt).to_have_text("learnt from 80 episodes")
    expect(visitor.hint).to_contain_text("right on 40 held-out problems")
    visitor.sees_four_answers()
    curve = re.findall(r"(\d+)\D% of \d+ ", visitor.picture("accuracy"))
    assert len(curve) >= 4
    visitor.reloads()
    expect(visitor.learnt).to_have_text("learnt from 80 episodes")


def test_stop_ends_a_run_and_keeps_what_was_learnt(visitor):
    visitor.starts_training(500)
    expect(visitor.page.locator(".spa-progress")).to_contain_text(re.compile(r"[1-9]\d* of 500"))
    visitor.presses("Stop")
    expect(visitor.button("Stop")).to_be_disabled()
    expect(visitor.learnt).to_have_text(re.compile(r"learnt from \d+ episodes"))
    expect(visitor.button("Undo")).to_be_enabled()


def test_experiments_say_why_they_are_not_to_be_had(visitor):
    visitor.opens_tab("Experiments")
    visitor.presses("Start")
    expect(visitor.complaint).to_contain_text("ZeroGPU lends this Space its GPU for seconds")


def test_two_people_learn_side_by_side(visit):
    one, other = visit().arrive(), visit().arrive()
    one.starts_training(40)
    other.starts_training(40)
    for person in (one, other):
        expect(person.learnt).to_have_text("learnt from 40 episodes")
