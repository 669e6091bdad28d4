"""What was measured of a model by itself is there again after a restart."""

import pytest

from learner.visitors.exam import Exam
from tests.learner.visitors.scripted import ScriptedService, untrained


def app(tmp_path, size=20):
    """An app's service and exam, with what was kept in its folder."""
    service = ScriptedService()
    exam = Exam(service, size)
    exam.keep_in(tmp_path / "sessions", untrained())
    return service, exam


def test_a_restart_asks_nothing_again(tmp_path):
    _, first = app(tmp_path)
    first.measure_shared(untrained()).join(10)
    service, again = app(tmp_path)
    assert again.ready and again.baselines == first.baselines
    again.measure_shared(untrained()).join(10)
    assert service.asked == []


def test_another_held_out_set_is_measured_anew(tmp_path):
    app(tmp_path)[1].measure_shared(untrained()).join(10)
    assert app(tmp_path, size=10)[1].baselines == {}


@pytest.mark.parametrize("text", ["", "{", "[]", "[1]", '[{"prompted": true}]', "null"])
def test_a_damaged_file_is_measured_anew(tmp_path, text):
    app(tmp_path)[1].measure_shared(untrained()).join(10)
    (file,) = (tmp_path / "sessions").glob("baselines-*.json")
    file.write_text(text)
    service, exam = app(tmp_path)
    assert not exam.ready
    exam.measure_shared(untrained()).join(10)
    assert exam.ready and service.asked
    assert app(tmp_path)[1].ready


def test_a_disk_that_cannot_be_written_keeps_nobody_from_measuring(tmp_path):
    (tmp_path / "sessions").write_text("in the way of the folder")
    _, exam = app(tmp_path)
    exam.measure_shared(untrained()).join(10)
    assert exam.ready and exam.error is None
