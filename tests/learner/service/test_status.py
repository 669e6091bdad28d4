"""The service: the numbers it tells about itself are those of what it did."""

from hypothesis import given, settings
from hypothesis import strategies as st

from learner.service.status import WAITS_KEPT, Meter
from tests.learner.held_model import PATIENCE, asks, hold, started


def test_status_tells_depth_sizes_waits_and_totals(fake):
    now = [0.0]
    with started(fake, clock=lambda: now[0]) as service:
        held = hold(service, fake)
        now[0] = 2.0
        training = service.train("a", ["x", "y"])
        now[0] = 3.0
        question = service.ask(asks("q", "r", "s"))
        assert service.status().waiting == 2
        now[0] = 10.0
        fake.gate.open()
        held.result(PATIENCE)
        training.result(PATIENCE)
        list(question)
    status = service.status()
    assert status.waiting == 0
    assert (status.training_rows, status.answering_rows) == (2, 3)
    assert (status.median_wait, status.p95_wait) == (7.0, 8.0)  # of 0, 7 and 8
    assert (status.passes, status.steps, status.completions) == (3, 2, 3)
    assert not status.busy


def test_status_tells_what_the_latest_pass_took(fake):
    now = [0.0]

    def slow(base_model, requests, paces):
        now[0] += 0.5
        return fake.train(base_model, requests, paces)

    with started(fake, train=slow, clock=lambda: now[0]) as service:
        assert (service.status().rows, service.status().seconds) == (0, 0.0)
        held = service.train("held", ["x", "y", "z"])
        fake.gate.wait_until_reached()
        assert service.status().busy
        fake.gate.open()
        held.result(PATIENCE)
        list(service.ask(asks("q")))
    assert (service.status().rows, service.status().seconds) == (1, 0.0)


@settings(deadline=None)
@given(waits=st.lists(st.floats(0, 100), max_size=600))
def test_of_the_latest_waits_nineteen_of_twenty_are_within_the_p95(waits):
    meter = Meter()
    meter.waited(waits)
    status, latest = meter.status(0, False), waits[-WAITS_KEPT:]
    within = sum(wait <= status.p95_wait for wait in latest)
    assert 20 * within >= 19 * len(latest)
    assert 20 * sum(wait < status.p95_wait for wait in latest) < 19 * max(len(latest), 1)
