"""The problem families: one file each. To add a family, add a file.

A family is a module with a docstring that starts with its one-line description and a function
``generate(rng, difficulty) -> Problem``, where ``difficulty`` is 1 (easy) to 5 (hard). It draws
every choice from ``rng`` and nowhere else, so that a seed always gives the same problem, and it
returns only problems that have exactly one right answer.
"""

import importlib
import pkgutil
import random
from collections.abc import Callable

from arena.problem import Problem

Generate = Callable[[random.Random, int], Problem]

FAMILIES: dict[str, Generate] = {
    name: importlib.import_module(f"{__name__}.{name}").generate
    for name in sorted(module.name for module in pkgutil.iter_modules(__path__))
}
