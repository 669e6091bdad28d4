"""Service load: 16 callers of the service at once, merged, against one request at a time.

Each caller trains 5 steps of 4 problems and then asks one problem in all four ways, as a visitor
does, on the embedded model. The rival is the same service that takes one request a pass. Before
anything is timed, both find the same losses.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice

from arena import stream
from learner.learning.learner import LearnerConfig, new_learner
from learner.model.base_model import BaseModel
from learner.model.completion import Ask
from learner.service.in_process import Service
from tests.benchmarks.models import EMBEDDED, base_model
from tests.benchmarks.timing import (
    Line,
    Setting,
    Target,
    compared,
    measure_in_turn,
    require_close_loss,
    short,
)

CALLERS = 16
STEPS = 5
EPISODES = 4  # a step
LOSS_TOLERANCE = 0.05  # of bfloat16, after up to 5 steps that were rounded in different batches
# Rows a pass (a larger training request runs alone), and no waiting for others to merge with.
ONE_REQUEST = {"training_rows": 1, "answering_rows": 4, "merge_seconds": 0.0}
WARM_UP = 3  # rounds in which the service finds out how large a pass pays


def run(setting: Setting) -> Iterator[Line | str]:
    base = base_model(EMBEDDED, setting.dtypes[0], setting.device)
    callers = 4 if setting.small else CALLERS
    with Service(base) as merged, Service(base, **ONE_REQUEST) as single:
        for ours, rival in zip(
            all_at_once(merged, callers), all_at_once(single, callers), strict=True
        ):
            require_close_loss("loss", ours, rival, LOSS_TOLERANCE)
        samples = measure_in_turn(
            {
                "merged": partial(all_at_once, merged, callers),
                "one request at a time": partial(all_at_once, single, callers),
            },
            setting,
            warm_up=1 if setting.small else WARM_UP,
        )
    yield compared(
        f"{callers} callers, {STEPS} steps and 4 answers each, {short(base.dtype)}",
        samples,
        "merged",
        "one request at a time",
        Target("≥", 1.0),
    )


def all_at_once(service: Service, callers: int) -> list[float]:
    """Have that many callers work at the same time; the last loss of each."""
    with ThreadPoolExecutor(callers) as pool:
        return list(pool.map(partial(visit, service), range(callers)))


def visit(service: Service, seed: int) -> float:
    """What one caller does; the loss of its last step."""
    base: BaseModel = service.base_model
    learner = new_learner(base, LearnerConfig(chat_template=seed % 2 == 0, seed=seed))
    lessons = stream(seed, "train")
    for _ in range(STEPS):
        batch = list(islice(lessons, EPISODES))
        learner, report = service.train(learner, batch, owner=seed).result()
    question = next(stream(seed, "held-out")).question
    service.complete(
        [
            Ask(question, chat_template, prompt)
            for prompt in (None, learner.prompt)
            for chat_template in (True, False)
        ]
    )
    return report.loss
