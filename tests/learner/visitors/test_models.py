"""Several base models in one app: what is offered, and that each visitor has a learner for each."""

import threading
from dataclasses import replace

import pytest

from learner.model.source import EMBEDDED, GGUF, ModelError, ModelSource
from learner.visitors.checked_input import LessonError
from learner.visitors.exam import Exam
from learner.visitors.models import Models, Opening, Taught
from learner.visitors.open_lessons import OpenLessons
from learner.visitors.sessions import Sessions
from tests.learner.session_server import teach
from tests.learner.visitors.scripted import FACTS, ScriptedService, untrained

SMALL = ModelSource(EMBEDDED, "pocket", "1")
LARGE = ModelSource(GGUF, "ada/models/large.gguf", "2")
SECONDS = 60  # on however busy a machine


class Named(ScriptedService):
    """The scripted service in front of a model of this source."""

    def __init__(self, source: ModelSource) -> None:
        super().__init__()
        self.base_model = replace(FACTS, source=source)
        self.closed = False

    def new_learner(self, config):
        return replace(untrained(config), source=self.base_model.source)

    def close(self):
        self.closed = True


def taught(source: ModelSource) -> Taught:
    service = Named(source)
    return Taught(service, Exam(service, size=5))


@pytest.fixture
def models() -> Models:
    """The large one is asked for and still loads; the small one is there already."""
    models = Models([replace(LARGE, revision=""), replace(SMALL, revision="")])
    models.add(1, taught(SMALL))
    return models


class App:
    """Sessions on the same disk in front of these models, one app after the other."""

    def __init__(self, folder):
        self.folder = folder
        self.running = []

    def start(self, models: Models) -> OpenLessons:
        first, *others = models.all_taught
        self.sessions = Sessions(
            self.folder, first.base_model, first.service.new_learner, save_interval=1e6
        )
        self.running.append(self.sessions)
        for one in others:
            self.sessions.add(one.base_model, one.service.new_learner)
        return OpenLessons(models, self.sessions)

    def arrives(self, models: Models, place: int, source: ModelSource) -> None:
        """What was loading is there."""
        one = taught(source)
        self.sessions.add(one.base_model, one.service.new_learner)
        models.add(place, one)

    def stop(self) -> None:
        for sessions in self.running:
            sessions.close()


@pytest.fixture
def app(tmp_path):
    app = App(tmp_path)
    yield app
    app.stop()


def at(lesson) -> str:
    return lesson.base_model.name


def test_a_model_is_chosen_by_either_name_once_it_is_there(models):
    assert models.first is models.find("pocket")
    models.tell(0, "downloading, 43 % of 98 MB")
    with pytest.raises(LessonError, match=r"large is not there yet: downloading, 43 % of 98 MB\."):
        models.find("large")
    with pytest.raises(LessonError, match="no model of that name here; choose large, pocket"):
        models.find(["large"])
    models.add(0, taught(LARGE))
    assert models.find("large") is models.find(LARGE.name) is models.first
    assert not models.loading


def test_why_a_model_cannot_be_had_is_told_to_whoever_asks_for_it(models):
    before = models.version
    models.refuse(0, "It is damaged.")
    with pytest.raises(LessonError, match="It is damaged"):
        models.find("large")
    assert not models.loading and models.version > before
    assert models.first.base_model.source == SMALL


def test_a_visitor_has_a_learner_for_each_model_and_loses_none_in_going_over(models, app):
    lessons = app.start(models)
    visitor = lessons.open().session.id
    teach(lessons.get(visitor).session, 1, 4)
    app.arrives(models, 0, LARGE)
    large = lessons.change(visitor, models.find("large"))
    assert at(large) == LARGE.name and large.learner.episodes == 0
    assert lessons.get(visitor) is large
    teach(large.session, 2, 8)
    small = lessons.change(visitor, models.find("pocket"))
    assert small.learner.episodes == 4 and small.session.undo_depth == 1
    assert lessons.change(visitor, models.find("large")).learner.episodes == 8


def test_a_reload_and_a_restart_find_the_model_that_was_chosen(models, app):
    lessons = app.start(models)
    visitor = lessons.open().session.id
    app.arrives(models, 0, LARGE)
    lessons.change(visitor, models.find("large"))
    lessons.change(visitor, models.find("pocket"))
    assert at(lessons.open(visitor)) == "pocket"  # though newcomers are in front of the other now
    assert at(lessons.open()) == LARGE.name
    app.stop()
    lessons = app.start(models)
    assert at(lessons.open(visitor)) == "pocket"
    assert lessons.open(visitor).session.id == visitor


def test_who_came_early_and_learnt_nothing_gets_the_model_that_was_meant(models, app):
    lessons = app.start(models)
    idle, eager = (lessons.open().session.id for _ in range(2))
    teach(lessons.get(eager).session, 1, 4)
    app.arrives(models, 0, LARGE)
    assert at(lessons.get(idle)) == "pocket"  # nothing changes under anybody's hands
    assert at(lessons.open(idle)) == LARGE.name
    assert at(lessons.open(eager)) == "pocket"


def taught_large_then_restarted(models, app):
    """A visitor of the large model, and the app started again, where it still loads."""
    lessons = app.start(models)
    visitor = lessons.open().session.id
    app.arrives(models, 0, LARGE)
    teach(lessons.change(visitor, models.find("large")).session, 1, 8)
    app.stop()
    again = Models([replace(LARGE, revision=""), SMALL])
    again.add(1, taught(SMALL))
    return visitor, again, app.start(again)


def test_what_was_taught_to_a_model_that_still_loads_comes_back_with_it(models, app):
    visitor, again, lessons = taught_large_then_restarted(models, app)
    early = lessons.open(visitor)
    assert (early.session.id, at(early)) == (visitor, "pocket")
    assert "What you taught large is kept" in early.session.take_notice()
    other = lessons.open().session.id
    assert not app.sessions.is_back(visitor)
    app.arrives(again, 0, LARGE)
    assert app.sessions.is_back(visitor) and not app.sessions.is_back(other)
    assert at(lessons.open(visitor)) == LARGE.name
    assert lessons.get(visitor).learner.episodes == 8
    assert not app.sessions.is_back(visitor)  # they are there


def test_who_has_learnt_something_else_meanwhile_stays_with_that(models, app):
    visitor, again, lessons = taught_large_then_restarted(models, app)
    teach(lessons.open(visitor).session, 1, 4)
    app.arrives(again, 0, LARGE)
    assert not app.sessions.is_back(visitor)
    assert at(lessons.open(visitor)) == "pocket"


def test_an_id_that_nothing_is_kept_under_is_never_taken_over(models, app):
    lessons = app.start(models)
    unknown = "A" * 43
    assert lessons.open(unknown).session.id != unknown
    with pytest.raises(ValueError, match="no longer kept"):
        lessons.get(unknown)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_models_come_in_one_after_the_other_and_one_that_cannot_is_passed_over(tmp_path):
    names = ("pocket", "broken", "faulty", "large")
    models = Models([ModelSource(GGUF, f"{name}.gguf") for name in names])
    services = {name: Named(ModelSource(GGUF, f"{name}.gguf", "1")) for name in names}
    told = []

    def load(name, tell):
        tell(f"reading {name}")
        told.append([offer.doing for offer in models.offers])
        if name == "broken":
            raise ModelError("It is damaged.")
        if name == "faulty":
            raise RuntimeError("on purpose")
        return services[name]

    loads = [lambda tell, name=name: load(name, tell) for name in names]
    with Opening(models, loads, 5, tmp_path) as opening:
        models.add(0, opening.open(0))
        arrived, last = [], threading.Event()

        def arrive(one):
            arrived.append((one.base_model.name, models.loading))
            last.set()

        opening.open_in_background([1, 2, 3], arrive)
        assert last.wait(SECONDS)
    assert arrived == [("large.gguf", True)]  # heard of before it can be chosen
    assert [offer.refused for offer in models.offers[:2]] == ["", "It is damaged."]
    assert "a fault in this program" in models.offers[2].refused
    assert [one.base_model.name for one in models.all_taught] == ["pocket.gguf", "large.gguf"]
    assert told[3][3] == "reading large"
    assert services["pocket"].closed and services["large"].closed


def test_closing_ends_a_download_at_its_next_word(tmp_path):
    models = Models([ModelSource(GGUF, "large.gguf")])
    reached, told = threading.Event(), threading.Event()

    def load(tell):
        while True:
            tell("downloading")
            reached.set()
            told.wait(0.01)

    opening = Opening(models, [load], 5, tmp_path)
    opening.open_in_background([0], lambda _: None)
    assert reached.wait(SECONDS)
    opening.close()
    opening._thread.join(SECONDS)
    assert not opening._thread.is_alive() and models.offers[0].refused
