"""The problems that the tests of the families share."""

from collections.abc import Callable
from functools import cache

import pytest

from arena.families import FAMILIES
from arena.problem import Problem
from arena.sampling import DIFFICULTIES, Draw

Drawn = Callable[[str], dict[int, list[Problem]]]


@pytest.fixture(scope="session")
def drawn() -> Drawn:
    """``drawn(family)``: a thousand problems at each difficulty, the same ones every time."""

    @cache
    def of(family: str) -> dict[int, list[Problem]]:
        return {
            level: [FAMILIES[family](Draw(f"{family}/{level}/{i}"), level) for i in range(1000)]
            for level in DIFFICULTIES
        }

    return of
