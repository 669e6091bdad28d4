"""The Experiments tab: started with one click, watched, stopped, continued, read, used, deleted."""

import io
import re
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import expect

from learner.experiments.completions import parse_completions
from learner.experiments.results_file import parse_results
from tests.browser.running_app import open_app
from tests.browser.visitor import Visitor

SMALL = {"Episodes": 16, "Seeds (1–5)": 1, "Held-out problems": 20}
LONG = {"Episodes": 400, "Held-out problems": 200}  # not over before somebody presses Stop


class Experimenter(Visitor):
    """Somebody at the Experiments tab."""

    def comes_back(self) -> "Experimenter":
        self.opens_tab("Experiments")
        return self

    def field(self, name: str):
        return self.page.get_by_role("tabpanel").get_by_label(name, exact=True)

    def asks_for(self, **fields: object) -> None:
        for name, value in (SMALL | fields).items():
            self.field(name).fill(str(value))

    def starts(self, **fields: object) -> None:
        self.asks_for(**fields)
        self.presses("Start")

    @property
    def told(self):
        return self.page.locator("#spa-run-hint")

    @property
    def bar(self):
        return self.page.locator("#spa-run-progress")

    @property
    def key(self):
        """What the key under the chart says of each line."""
        return self.page.locator(".spa-runs-key li")

    @property
    def table(self):
        cell = self.page.get_by_role("gridcell")
        return self.page.locator("#spa-table").get_by_role("row").filter(has=cell)

    def chart(self) -> str:
        label = self.page.locator(".spa-experiments [role=img]").get_attribute("aria-label")
        return (label or "").replace("\u202f", " ")

    def sees_the_end_of(self, name: str) -> None:
        expect(self.told).to_contain_text(re.compile(f"“{name}”: .*right on .* held-out problems"))


@pytest.fixture
def experimenter(visit) -> Experimenter:
    """Somebody who has just opened the tab."""
    visitor = visit()
    return Experimenter(visitor.page, visitor.url).arrive().comes_back()


def saved(experimenter: Experimenter, folder: Path) -> Path:
    with experimenter.page.expect_download() as download:
        experimenter.presses("Download results")
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_one_click_draws_a_line_fills_the_table_and_gives_results_to_take_home(
    experimenter, tmp_path
):
    expect(experimenter.key).to_have_count(2)
    expect(experimenter.key.first).to_contain_text("as published")
    expect(experimenter.key.first).to_contain_text("graded by substring")
    experimenter.starts()
    experimenter.sees_the_end_of("run 1")
    expect(experimenter.key.first).to_contain_text("run 1")
    expect(experimenter.key.first).to_contain_text("20 problems × 1 seed")
    assert len(re.findall(r"after \d+ episodes", experimenter.chart().split("of 20")[0])) == 5
    assert "Model alone without the chat template" in experimenter.chart()
    expect(experimenter.table.first).to_contain_text("finished")
    figure = experimenter.page.get_by_role("img", name="Learning curves of run 1")
    expect(figure).to_be_visible()
    expect(experimenter.field("Name")).to_have_value("run 2")
    path = saved(experimenter, tmp_path)
    assert path.name == "run-1.zip"
    with zipfile.ZipFile(path) as archive:
        results = parse_results(archive.read("run-1/results.json"), "run-1")
        lines = parse_completions(archive.read("run-1/completions.jsonl"))
        assert archive.read("run-1/table.csv").startswith(b"run,what,model")
    assert results.finished
    assert [score.episodes for score in results.curve] == [0, 4, 8, 12, 16]
    assert {(line.asked_of, line.episodes) for line in lines} == {
        ("model alone", 0),
        ("soft prompt", 0),
        ("soft prompt", 16),
    }
    experimenter.presses("Use its soft prompt")
    expect(experimenter.complaint).to_contain_text("The Teach tab goes on with")
    experimenter.opens_tab("Teach")
    expect(experimenter.hint).to_contain_text("Loaded")
    experimenter.presses("Undo")
    expect(experimenter.learnt).to_have_text("not trained yet")


def test_what_a_run_wrote_is_looked_at_and_its_zip_loads_back(experimenter, tmp_path):
    page = experimenter.page
    expect(page.locator("#spa-run-answers")).to_contain_text("What your runs write comes here")
    experimenter.starts(Episodes=40)
    experimenter.sees_the_end_of("run 1")
    cards, summed = page.locator(".spa-pair"), page.locator(".spa-pairs-sum")
    expect(summed).to_contain_text("Shown: 1–10 of 20.")
    expect(cards).to_have_count(10)
    expect(cards.first).to_contain_text("gained: not right before")  # what changed comes first
    expect(cards.first.locator(".spa-verdict")).to_have_count(2)
    experimenter.presses("Next 10")
    expect(summed).to_contain_text("Shown: 11–20 of 20.")
    expect(experimenter.button("Next 10")).to_be_disabled()
    experimenter.field("Kind of problem").click()
    page.get_by_role("option", name="causal").click()
    expect(summed).to_contain_text(re.compile(r"Shown: 1–(\d) of \1\."))  # on one page
    experimenter.field("Which answers").click()
    page.get_by_role("option", name="right now").click()
    for card in cards.all():
        expect(card.locator(".spa-right")).to_contain_text("right")
    page.reload()
    experimenter.comes_back()
    expect(experimenter.field("Kind of problem")).to_have_value("causal")
    path = saved(experimenter, tmp_path)
    experimenter.opens_tab("Save & share")
    with page.expect_file_chooser() as chooser:
        experimenter.presses("Load a soft prompt")
    chooser.value.set_files(path)
    expect(page.locator("#spa-share-status")).to_contain_text("Loaded. It has learnt from")


def test_a_run_stops_survives_a_reload_goes_on_and_is_deleted(experimenter):
    experimenter.starts(**LONG, Name="long one")
    expect(experimenter.bar).to_contain_text(re.compile(r"[1-9]\d* of 400 episodes"))
    experimenter.page.reload()
    experimenter.comes_back()
    expect(experimenter.told).to_contain_text("“long one” is running")
    expect(experimenter.button("Start")).to_be_disabled()
    experimenter.page.locator("#spa-run-stop").click()
    expect(experimenter.told).to_contain_text("“long one” is stopped")
    expect(experimenter.table.first).to_contain_text("stopped")
    experimenter.page.reload()
    experimenter.comes_back()
    expect(experimenter.told).to_contain_text("“long one” is stopped")
    experimenter.presses("Continue")
    expect(experimenter.told).to_contain_text("“long one” is running")
    experimenter.page.locator("#spa-run-stop").click()
    expect(experimenter.told).to_contain_text("“long one” is stopped")
    experimenter.presses("Delete")
    experimenter.presses("Keep it")
    experimenter.presses("Delete")
    experimenter.presses("Delete “long one” for good")
    expect(experimenter.told).to_contain_text("Press Start")
    expect(experimenter.table).to_have_count(3)


def test_what_is_deleted_for_good_is_the_run_that_was_asked_about(experimenter):
    sure = experimenter.page.locator("#spa-really-delete")
    for name in ("run 1", "run 2"):
        experimenter.starts(Episodes=4)
        expect(sure).to_be_hidden()  # it asked about the run before
        experimenter.sees_the_end_of(name)
        expect(sure).to_be_hidden()
        experimenter.presses("Delete")
        expect(sure).to_have_text(f"Delete “{name}” for good")
    experimenter.field("Run").click()
    experimenter.page.get_by_role("option", name="run 1").click()
    expect(sure).to_be_hidden()
    experimenter.presses("Delete")
    experimenter.presses("Delete “run 1” for good")
    expect(experimenter.table).to_have_count(4)
    expect(experimenter.table.first).to_contain_text("run 2")


def test_seeds_side_by_side_leave_as_one_file_and_lines_can_be_chosen(experimenter, tmp_path):
    experimenter.starts(Episodes=8, **{"Seeds (1–5)": 2})
    experimenter.sees_the_end_of("run 1")
    with zipfile.ZipFile(io.BytesIO(saved(experimenter, tmp_path).read_bytes())) as archive:
        names = archive.namelist()
        files = [name for name in names if name.endswith("/results.json")]
        runs = [parse_results(archive.read(name), name) for name in files]
    assert sorted(run.seed for run in runs) == [0, 1]
    assert "run-1/learning_curves.png" in names
    for published in ("original experiment 1", "original experiment 2"):
        experimenter.page.get_by_role("checkbox", name=f"{published}, as published").uncheck()
    expect(experimenter.key).to_have_count(1)
    experimenter.page.reload()
    experimenter.comes_back()
    expect(experimenter.key).to_have_count(1)


NONSENSE = [
    ("Name", "?!", "at least a letter or a digit"),
    ("Episodes", "0", "episodes is a whole number from 1 to 400"),
    ("Episodes", "", "episodes is a whole number from 1 to 400"),
    ("Seeds (1–5)", "2.5", "seeds is a whole number from 1 to 5"),
    ("Held-out problems", "-3", "problems is a whole number from 20 to 500"),
]


def test_nonsense_is_answered_with_a_sentence_and_changes_nothing(experimenter):
    for field, value, sentence in NONSENSE:
        experimenter.starts(**{"Name": "run 1", field: value})
        expect(experimenter.complaint.last).to_contain_text(sentence)
    expect(experimenter.told).to_contain_text("Press Start")
    expect(experimenter.table).to_have_count(3)
    power = experimenter.page.locator("#spa-power")
    expect(power).to_contain_text("whole number from 20 to 500")
    experimenter.field("Held-out problems").fill("20")
    expect(power).to_contain_text("n = 20 can only see changes above ±35 points")
    experimenter.field("Held-out problems").fill("200")
    expect(power).to_contain_text("n = 200 can only see changes above ±11 points")


def test_on_a_phone_and_by_keyboard(visit):
    visitor = visit(width=390, height=844)
    experimenter = Experimenter(visitor.page, visitor.url).arrive().comes_back()
    assert experimenter.fits()
    experimenter.asks_for(Episodes=4)
    experimenter.field("Name").focus()
    experimenter.types("by hand")
    experimenter.page.keyboard.press("Enter")
    experimenter.sees_the_end_of("by hand")
    assert experimenter.fits()
    experimenter.tabs_to(experimenter.button("Use its soft prompt"))
    assert experimenter.page.evaluate(
        "parseFloat(getComputedStyle(document.activeElement).outlineWidth) >= 2"
    )
    experimenter.page.keyboard.press("Enter")
    expect(experimenter.complaint).to_contain_text("The Teach tab goes on with")


@pytest.mark.timeout(400)  # two apps start and stop
def test_a_restart_of_the_app_goes_on_where_it_was(browser, tmp_path):
    context, program = browser.new_context(), ("app.py", "--held-out", "20")
    with open_app(tmp_path, program=program) as url:
        experimenter = Experimenter(context.new_page(), url).arrive().comes_back()
        port = url.rsplit(":", 1)[1].strip("/")
        experimenter.starts(**LONG, Name="survivor")
        expect(experimenter.bar).to_contain_text(re.compile(r"[1-9]\d* of 400 episodes"))
        experimenter.page.goto("about:blank")  # an app that nobody looks at shuts down faster
    with open_app(tmp_path, program=program, GRADIO_SERVER_PORT=port):
        experimenter.page.goto(url)
        experimenter.comes_back()
        expect(experimenter.told).to_contain_text("“survivor” is running")
        expect(experimenter.bar).to_contain_text(re.compile(r"[1-9]\d* of 400 episodes"))
        experimenter.page.locator("#spa-run-stop").click()
        expect(experimenter.told).to_contain_text("“survivor” is stopped")
        context.close()
