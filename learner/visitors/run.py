"""One training run, step by step: the loop behind the Train button, without a page around it.

A run asks the service for the steps up to its next exam, which come one by one. It yields the
learner after every step: whoever consumes it may keep any of these values and walk away.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any

from learner.learning.learner import Learner
from learner.learning.step_report import StepReport
from learner.learning.training import Material
from learner.measuring import Score, Stopped
from learner.service.protocol import ModelService
from learner.visitors.exam import Exam

EXAMS_PER_RUN = 4


@dataclass(frozen=True)
class RunState:
    """Where a run is. ``learner`` is what has been learnt so far.

    ``rate`` is in episodes a second, over training time alone; ``seconds_left`` counts the exams
    still to come as well; both are None until they can be known. ``result`` holds a new held-out
    one where one has just arrived. ``report`` is that of the last step, ``taken`` how many steps
    were adopted; ``refused`` says why the last one was not, if something was wrong with it.
    """

    learner: Learner
    done: int
    total: int
    rate: float | None = None
    seconds_left: float | None = None
    examining: bool = False
    result: Score | None = None
    refused: str = ""
    report: StepReport | None = None
    taken: int = 0


def training_run(
    service: ModelService,
    exam: Exam,
    learner: Learner,
    material: Iterator[Material],
    episodes: int,
    exams: int,
    owner: str,
    stopped: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[RunState]:
    """Train ``learner`` on the next ``episodes`` of ``material``, with ``exams`` evenly spread.

    Ends early, at a step boundary, once ``stopped()`` is true. Raises what the service raises.
    """
    training_seconds = 0.0
    exams_left = exams
    done = taken = 0
    report: StepReport | None = None

    def state(**extra: object) -> RunState:
        rate = done / training_seconds if training_seconds else None
        left = None
        if rate:
            left = (episodes - done) / rate + exams_left * (exam.seconds or 0.0)
        told: dict[str, Any] = {"report": report, "taken": taken, **extra}
        return RunState(learner, done, episodes, rate, left, **told)

    while done < episodes and not stopped():
        exam_at = math.ceil(episodes * (exams - exams_left + 1) / exams) if exams else episodes
        least = max(1, exam_at - done)
        steps = _steps(material, learner.config.episodes_per_step, least, episodes - done)
        with closing(service.train_run(learner, steps, owner=owner)) as run:
            began = clock()
            for step, stepped in zip(steps, run, strict=True):
                learner, report = stepped
                training_seconds += clock() - began
                done += len(step)
                taken += report.accepted
                yield state(refused="" if report.accepted or report.agreed else report.message)
                if stopped():
                    return
                began = clock()
        if exams:
            yield state(examining=True)
            try:
                result = exam.take(learner, learner.config.chat_template, stopped)
            except Stopped:
                return
            exams_left -= 1
            yield state(result=result)


def _steps(
    material: Iterator[Material], size: int, least: int, most: int
) -> list[tuple[Material, ...]]:
    """Steps of ``size`` episodes each, until they are ``least`` together; at most ``most``."""
    steps: list[tuple[Material, ...]] = []
    taken = 0
    while taken < least and (step := tuple(islice(material, min(size, most - taken)))):
        steps.append(step)
        taken += len(step)
    return steps
