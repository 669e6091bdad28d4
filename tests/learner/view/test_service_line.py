"""The service line says what the numbers say, in plain words, and nothing while nothing happens."""

from dataclasses import replace

import pytest

from learner.service.protocol import ServiceStatus
from learner.service.status import Meter
from learner.view.service_line import service_line

FRESH = Meter().status(waiting=0, busy=False)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (FRESH, "idle"),
        (replace(FRESH, rows=12, seconds=0.04), "idle"),
        (replace(FRESH, busy=True), "working"),
        (replace(FRESH, waiting=1), "1 waiting"),
        (
            replace(FRESH, waiting=3, busy=True, rows=12, seconds=0.04),
            "3 waiting · last pass 12 rows in 40 ms",
        ),
        (
            replace(FRESH, busy=True, rows=1, seconds=0.9996),
            "working · last pass 1 row in 1.0 s",
        ),
    ],
)
def test_words(status: ServiceStatus, words: str) -> None:
    assert service_line([("pocket", status)]) == f'<p class="spa-service">Model: {words}</p>'


def test_of_several_models_each_is_named() -> None:
    both = [("pocket", FRESH), ("a<b", replace(FRESH, waiting=1))]
    assert "Model pocket: idle · Model a&lt;b: 1 waiting<" in service_line(both)


def test_why_nothing_can_be_run_is_said_in_place_of_the_numbers() -> None:
    away = replace(FRESH, waiting=3, trouble="The <cluster> is away.")
    told = service_line([("pocket", away)])
    assert "The &lt;cluster&gt; is away." in told and "waiting" not in told
