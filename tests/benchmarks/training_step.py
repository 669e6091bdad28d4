"""Training step: one step of 8 problems, and of 1, against PEFT's prompt tuning.

Both sides take the same Adam step on the same soft prompt, problems, dtype and threads, in the chat
format. PEFT gets a right-padded batch with labels of -100 outside the answer, laid out beforehand,
and the attention that is faster for it; the learner also tells which answers were right. A second
line has PEFT's logits computed at the answer alone, by hand, which takes its label handling apart.
On CUDA a third one has the learner without its graphs, every kernel launched.
"""

from collections.abc import Iterator
from functools import partial

import torch

from learner.learning.learner import Learner, LearnerConfig, new_learner
from learner.learning.training import train_step
from learner.model.base_model import BaseModel
from learner.model.formatting import Encoded
from tests.benchmarks.models import base_model, encodings, lengths, problems, without_graphs
from tests.benchmarks.rivals import PeftPromptTuning
from tests.benchmarks.timing import (
    Line,
    Setting,
    Target,
    compared,
    fastest,
    measure_in_turn,
    require_close,
    short,
)

LOSS_TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-2}
GRADIENT_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.1}
# Clipping runs on both sides but never bites, so that gradients are compared with their size.
CONFIG = LearnerConfig(chat_template=True, max_grad_norm=1e9)


def run(setting: Setting) -> Iterator[Line | str]:
    for dtype in setting.dtypes:
        base = base_model(setting.shape, dtype, setting.device)
        learner = new_learner(base, CONFIG)
        for number in (8, 1):
            chosen = problems(base, number)
            rows = encodings(base, chosen)
            attention = fastest(
                {
                    name: PeftPromptTuning(base, learner, rows, name).step
                    for name in ("sdpa", "eager")
                },
                setting,
            )
            for _ in range(2):  # on CUDA the second time as a graph
                check_same_step(base, learner, rows, attention)
            peft = PeftPromptTuning(base, learner, rows, attention)
            contenders = {
                "learner": partial(train_step, base, learner, chosen),
                f"PEFT ({attention})": peft.step,
                "PEFT, answer logits by hand": peft.step_with_answer_logits,
            }
            if setting.device.type == "cuda":
                launched = without_graphs(base)
                contenders["no graphs"] = partial(train_step, launched, learner, chosen)
            samples = measure_in_turn(contenders, setting)
            case = f"{number} problem{'s' * (number > 1)}, {short(dtype)}"
            demanding = number == 8 and dtype == torch.bfloat16
            target = Target("≥", 3.5) if demanding else Target("≥", 1.0) if number == 1 else None
            ours, *rivals = samples
            for rival in rivals:
                yield compared(case, samples, ours, rival, target if rival == rivals[0] else None)
            if number == 8 and dtype == setting.dtypes[0]:
                yield f"8 problems: {lengths(rows)}."
        yield (
            f"{short(dtype)}: loss and gradient were the same on all sides, to "
            f"{LOSS_TOLERANCE[dtype]:g} and {GRADIENT_TOLERANCE[dtype]:g} of their size."
        )


def check_same_step(base: BaseModel, learner: Learner, rows: list[Encoded], attention: str) -> None:
    """Raise DifferentWork unless a step finds the same loss and gradient on all sides."""
    chosen = problems(base, len(rows))
    stepped, report = train_step(base, learner, chosen)
    for name in ("step", "step_with_answer_logits"):
        rival = PeftPromptTuning(base, learner, rows, attention)
        loss = getattr(rival, name)()
        require_close(f"loss of {name}", report.loss, loss, LOSS_TOLERANCE[base.dtype])
        require_close(
            f"gradient of {name}",
            stepped.first_moment,
            rival.first_moment,
            GRADIENT_TOLERANCE[base.dtype],
        )
