"""A link and the lesson that it leads to: the same for everybody, and nonsense changes nothing."""

import pytest

from learner.visitors import demo
from learner.visitors.lesson import Lesson
from learner.visitors.session import Session, SessionState
from tests.learner.visitors.scripted import untrained
from tests.learner.visitors.test_lesson import finished

BOTH = (False, True)


@pytest.fixture
def somebody(service, exam):
    """Lets somebody in whose own seed is this."""

    def let_in(seed: int) -> Lesson:
        session = Session("an-id", SessionState(untrained(), seed), lambda *_: None, untrained)
        return finished(Lesson(service, exam, session))

    return let_in


def test_a_link_brings_another_to_the_same_problem_and_the_same_run(somebody, service):
    ann, bob = somebody(7), somebody(8)
    ann.draw(["causal"], 3)
    ann.choose_signal("mix")
    ann.choose_format(True)
    link = demo.address(ann)
    wanted, nonsense = demo.read(link, "scripted", BOTH)
    assert not nonsense
    demo.show(bob, wanted)
    assert bob.comparison.problem == ann.comparison.problem
    assert demo.address(bob) == link
    taught = []
    for lesson in map(finished, (ann, bob)):
        service.taught.clear()
        lesson.train(8)
        finished(lesson)
        taught.append([problem.question for problem in service.taught])
    assert taught[0] == taught[1]
    problems = []
    for lesson in (ann, bob):
        demo.show(lesson, wanted, anew=True)
        lesson.draw()
        problems.append(finished(lesson).comparison.problem)
    assert problems[0] == problems[1]


def test_a_question_of_ones_own_travels_in_the_link(somebody):
    ann, bob = somebody(7), somebody(8)
    ann.show(demo.own_problem("Is water wet?", "Yes"))
    demo.show(bob, demo.read(demo.address(ann), "scripted", BOTH)[0])
    assert finished(bob).comparison.problem == finished(ann).comparison.problem


def test_a_reload_of_a_demo_keeps_what_was_learnt_and_its_beginning_can_be_asked_for(somebody):
    lesson = somebody(7)
    link = demo.read(demo.address(lesson), "scripted", BOTH)[0]
    lesson.train(8)
    finished(lesson)
    assert not demo.show(lesson, link)
    assert lesson.learner.episodes == 8
    assert demo.show(lesson, link, anew=True)
    assert finished(lesson).learner.episodes == 0
    lesson.undo()
    assert finished(lesson).learner.episodes == 8


def test_no_link_ends_a_run(somebody, service):
    lesson = somebody(7)
    service.gate.clear()
    lesson.train(8)
    assert not demo.show(lesson, demo.Demo(seed=9))
    assert lesson.session.seed == 7
    service.gate.set()
    finished(lesson)
    assert lesson.learner.episodes == 8


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", "-1"),
        ("seed", "9" * 30),
        ("seed", "٣"),
        ("family", "cooking"),
        ("difficulty", "6"),
        ("problem", "causal-9-1"),
        ("problem", "<b>"),
        ("problem", "cooking-1-1"),
        ("format", "loud"),
        ("signal", "pain"),
        ("episodes", "1e9"),
        ("question", "?" * 10),
        ("model", "another"),
    ],
)
def test_what_makes_no_sense_is_named_and_left_out(somebody, name, value):
    lesson = somebody(7)
    before = demo.address(lesson)
    wanted, nonsense = demo.read({name: value}, "scripted", BOTH)
    assert nonsense == [name]
    demo.show(lesson, wanted)
    assert demo.address(lesson) == before


def test_a_format_that_the_model_has_not_got_makes_no_sense():
    wanted, nonsense = demo.read({"format": "chat"}, "scripted", (False,))
    assert nonsense == ["format"] and wanted.chat_template is None
