import threading

import pytest

from learner.service.protocol import ServiceClosed
from tests.learner.held_model import PATIENCE, asks, hold


def test_a_look_gets_the_model_and_gives_what_it_found(service, fake):
    fake.gate.open()
    assert service.look(lambda base_model: ("seen", base_model)).result(PATIENCE) == ("seen", None)


def test_what_a_look_raises_arrives_at_its_caller_alone(service, fake):
    fake.gate.open()

    def bad(base_model):
        raise ValueError("That cannot be looked at.")

    with pytest.raises(ValueError, match="cannot be looked at"):
        service.look(bad).result(PATIENCE)
    assert service.look(lambda base_model: 1).result(PATIENCE) == 1


def test_looks_and_questions_take_turns(service, fake):
    order = []
    hold(service, fake)
    looks = [service.look(lambda base_model, i=i: order.append(f"look {i}")) for i in range(2)]
    stream = service.ask(asks("hi"), 2)
    fake.gate.open()
    for _ in stream:
        pass
    order.append("answered")
    for look in looks:
        look.result(PATIENCE)
    assert sorted(order) == ["answered", "look 0", "look 1"]
    assert order.index("look 0") < order.index("look 1")


def test_a_cancelled_look_is_skipped_and_waits_no_more(service, fake):
    hold(service, fake)
    seen = []
    look = service.look(seen.append)
    assert service.status().waiting == 1
    assert look.cancel()
    fake.gate.open()
    assert service.look(lambda base_model: 1).result(PATIENCE) == 1
    assert seen == []


def test_a_look_that_waits_when_the_service_closes_is_turned_away(service, fake):
    hold(service, fake)
    look = service.look(lambda base_model: 1)
    closer = threading.Thread(target=service.close)
    closer.start()
    with pytest.raises(ServiceClosed):
        while True:  # until the closer has got through
            service.ask([])
    fake.gate.open()
    closer.join(PATIENCE)
    with pytest.raises(ServiceClosed):
        look.result(PATIENCE)
    with pytest.raises(ServiceClosed):
        service.look(lambda base_model: 1)
