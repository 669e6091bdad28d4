"""Services of several models on one device: each gets its share, whatever the others do."""

import itertools
import threading

import pytest
import torch

from arena import stream
from learner.learning.learner import LearnerConfig
from learner.model.completion import Ask
from learner.service.device import Device
from learner.service.in_process import Service
from tests.learner.tiny_models import build_base_model

SECONDS = 60  # on however busy a machine


class Clock:
    """Seconds that only pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Client:
    """Takes turns of so many seconds each, as long as it is allowed to."""


def test_who_is_alone_never_waits():
    device, client = Device(), Client()
    for _ in range(3):
        device.run(client, lambda: None)


@pytest.mark.parametrize("lengths", [(1.0, 1.0), (10.0, 1.0), (0.5, 3.0)])
def test_time_is_shared_equally_however_long_turns_are(lengths):
    """Both always want the device: in the long run they have had the same, up to a turn."""
    clock = Clock()
    device = Device(clock)
    had = [0.0, 0.0]
    computing: set[threading.Thread] = set()
    inside = threading.Lock()
    both = threading.Barrier(2)

    def turn(number: int) -> None:
        assert inside.acquire(blocking=False), "two had it at once"
        computing.add(threading.current_thread())
        with device._changed:
            while not device._waiting and clock.now < 200:  # until the other is back
                device._changed.wait(0.01)
        clock.now += lengths[number]
        had[number] += lengths[number]
        inside.release()

    def work(number: int) -> None:
        client = clients[number]
        both.wait(SECONDS)
        while clock.now < 200:
            device.run(client, lambda: turn(number))

    clients = [Client(), Client()]
    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert len(computing) == 1
    assert abs(had[0] - had[1]) <= 2 * max(lengths)


def test_two_models_answer_and_learn_at_once_on_one_device():
    """What each computes does not depend on the other."""
    device = Device()
    models = [build_base_model("qwen2"), build_base_model("llama")]
    expected = []
    for model in models:
        with Service(model) as alone:
            expected.append(alone.complete([Ask("Is 3 more than 2?", False)] * 3, 8))
    services = [Service(model, device=device) for model in models]
    try:
        learners = [service.new_learner(LearnerConfig()) for service in services]
        streams = [service.ask([Ask("Is 3 more than 2?", False)] * 3, 8) for service in services]
        problems = list(itertools.islice(stream(0, "train"), 4))
        steps = [
            service.train(learner, problems)
            for service, learner in zip(services, learners, strict=True)
        ]
        answers = [list(one)[-1] for one in streams]
        for step, learner in zip(steps, learners, strict=True):
            assert step.result(SECONDS)[0].episodes == learner.episodes + 4
    finally:
        for service in services:
            service.close()
    for found, alone in zip(answers, expected, strict=True):
        assert [one.text for one in found] == [one.text for one in alone]


def test_one_service_that_closes_leaves_the_device_to_the_other():
    device = Device()
    first, second = (Service(build_base_model("qwen2"), device=device) for _ in range(2))
    first.close()
    assert second.complete([Ask("Is 3 more than 2?", False)], 4)
    second.close()


def test_each_model_computes_with_its_own_number_of_threads_whoever_had_the_device_before():
    before = torch.get_num_threads()
    device = Device()
    try:
        with (
            Service(build_base_model("qwen2"), device=device, threads=1) as one,
            Service(build_base_model("llama"), device=device, threads=2) as other,
        ):
            used = [
                service.look(lambda _: torch.get_num_threads()).result(SECONDS)
                for service in (one, other, one, other)
            ]
    finally:
        torch.set_num_threads(before)
    assert used == [1, 2, 1, 2]
