"""The service: what waits at the same moment is one pass, and everybody gets what is theirs."""

import pytest

from tests.learner.held_model import PATIENCE, asks, hold, started, texts


def test_trainings_that_wait_together_are_one_pass(service, fake):
    held = hold(service, fake)
    futures = [service.train(name, ["x"]) for name in "abc"]
    fake.gate.open()
    assert [future.result(PATIENCE)[0] for future in futures] == ["ax", "bx", "cx"]
    assert held.result(PATIENCE)[0] == "held"
    assert fake.passes == [[("held",)], [("a", "x"), ("b", "x"), ("c", "x")]]


def test_questions_that_wait_together_are_one_pass_and_each_gets_its_own(service, fake):
    hold(service, fake)
    one, two = service.ask(asks("ab", "c")), service.ask(asks("defg"))
    fake.gate.open()
    assert texts(list(one)[-1]) == ["ab", "c"]
    assert texts(list(two)[-1]) == ["defg"]
    assert sorted(fake.passes[1]) == ["ab", "c", "defg"]


def test_an_owner_has_one_step_in_a_pass_and_they_come_in_order(service, fake):
    hold(service, fake)
    mine = [service.train("a", [x], owner="me") for x in "123"]
    other = service.train("b", ["x"], owner="you")
    fake.gate.open()
    assert [future.result(PATIENCE)[0] for future in mine] == ["a1", "a2", "a3"]
    assert other.result(PATIENCE)[0] == "bx"
    assert fake.passes[1:] == [[("a", "1"), ("b", "x")], [("a", "2")], [("a", "3")]]


def test_steps_of_one_learner_value_are_not_merged(service, fake):
    hold(service, fake)
    learner = "learner"
    futures = [service.train(learner, [x]) for x in "12"]
    fake.gate.open()
    assert [future.result(PATIENCE)[0] for future in futures] == ["learner1", "learner2"]
    assert len(fake.passes) == 3


# Waiting for each other


def test_those_of_the_last_pass_go_together_again(fake):
    """The next pass waits until all of them are back, however long that takes here."""
    with started(fake, merge_seconds=PATIENCE) as service:
        hold(service, fake)
        first = [service.train(name, ["1"], owner=name) for name in "abc"]
        fake.gate.let_one_in()
        fake.gate.wait_until_reached()
        fake.gate.let_one_in()
        results = [future.result(PATIENCE)[0] for future in first]
        fake.gate.open()
        again = [service.train(name, ["2"], owner=name[0]) for name in results]
        assert [future.result(PATIENCE)[0] for future in again] == ["a12", "b12", "c12"]
    assert [len(held) for held in fake.passes] == [1, 3, 3]


@pytest.mark.parametrize("another", [False, True])
def test_a_lone_request_waits_for_nobody(fake, another):
    """Whether the service was idle, or the same owner was in the last pass alone."""
    fake.gate.open()
    with started(fake, merge_seconds=1e6) as service:
        for _ in range(1 + another):
            assert service.train("a", ["x"], owner="me").result(PATIENCE)[0] == "ax"
        assert texts(service.complete(asks("click"))) == ["click"]


def test_who_does_not_come_back_is_waited_for_once(fake):
    with started(fake, merge_seconds=0.001) as service:
        hold(service, fake)
        both = [service.train(name, ["1"], owner=name) for name in "ab"]
        fake.gate.open()
        for future in both:
            future.result(PATIENCE)
        for number in "23":
            assert service.train("a", [number], owner="a").result(PATIENCE)[0] == f"a{number}"
    assert [len(held) for held in fake.passes[1:]] == [2, 1, 1]


def test_a_question_is_not_kept_waiting_for_those_of_the_last_training(fake):
    with started(fake, merge_seconds=PATIENCE) as service:
        hold(service, fake)
        both = [service.train(name, ["1"], owner=name) for name in "ab"]
        fake.gate.open()
        for future in both:
            future.result(PATIENCE)
        back = service.train("a1", ["2"], owner="a")  # waits for b
        assert texts(service.complete(asks("click"))) == ["click"]
        assert back.result(PATIENCE)[0] == "a12"
