"""Decoding: tokens a second in batches, against transformers' own batched ``generate``.

Same dtype, same left-padded prompts behind the same soft prompt, greedy, no compilation on either
side. ``generate`` gets its last hidden states laid out afresh before the output layer: as it slices
them, PyTorch on a CPU copies the output layer's weights once for every row (9 s and 4 GB for 16).
On CUDA a second line has the learner without its graphs, every kernel launched. Before anything is
timed, in float32: both write the same tokens.
"""

from collections.abc import Callable, Iterator
from functools import partial

import torch

from arena import Problem
from learner.learning.learner import LearnerConfig, new_learner
from learner.model.base_model import BaseModel
from learner.model.completion import Ask, complete
from tests.benchmarks.models import (
    base_model,
    encodings,
    lengths,
    plain_model,
    problems,
    without_graphs,
)
from tests.benchmarks.timing import (
    Line,
    Setting,
    Spread,
    compared,
    measure_in_turn,
    require_equal,
    short,
)

ROWS = (1, 16, 64)
NEW_TOKENS = 30


def run(setting: Setting) -> Iterator[Line | str]:
    exact = base_model(setting.shape, torch.float32, setting.device)
    prompt = new_learner(exact, LearnerConfig(chat_template=True)).prompt
    for _ in range(2):  # on CUDA the second time in graphs
        check_same_tokens(exact, problems(exact, 4), prompt)
    dtype = setting.dtypes[0]
    base = base_model(setting.shape, dtype, setting.device)
    for number in ROWS[: 2 if setting.small else None]:
        chosen = problems(base, number)
        asks = [Ask(problem.question, True, prompt) for problem in chosen]
        contenders = {
            "learner": partial(complete, base, asks, NEW_TOKENS),
            "generate": generation(base, chosen, prompt),
        }
        if setting.device.type == "cuda":
            contenders["no graphs"] = partial(complete, without_graphs(base), asks, NEW_TOKENS)
        samples = measure_in_turn(contenders, setting)
        written = number * NEW_TOKENS
        rates = {name: written / Spread.of(times).median for name, times in samples.items()}
        for rival in list(contenders)[1:]:
            line = compared("", samples, "learner", rival)
            yield Line(
                f"{number} row{'s' * (number > 1)} of {NEW_TOKENS} tokens, {short(dtype)}",
                f"{rates['learner']:.4g} tokens/s",
                f"{rates[rival]:.4g} tokens/s {rival}",
                line.value,
                samples=line.samples,
            )
    yield f"{lengths(encodings(base, chosen))}."


def generation(
    base: BaseModel, chosen: list[Problem], prompt: torch.Tensor
) -> Callable[[], torch.Tensor]:
    """A function that has ``generate`` write ``NEW_TOKENS`` tokens after every problem."""
    model = plain_model(base, "sdpa")
    model.lm_head.register_forward_pre_hook(lambda module, given: (given[0].contiguous(),))
    embed = model.get_input_embeddings()
    soft = prompt.to(base.device, base.dtype)
    prompts = [
        torch.cat((soft, embed(torch.tensor(row.head + row.question, device=base.device))))
        for row in encodings(base, chosen)
    ]
    longest = max(len(one) for one in prompts)
    embeds = soft.new_zeros((len(prompts), longest, soft.shape[1]))
    mask = torch.zeros(embeds.shape[:2], dtype=torch.long, device=base.device)
    for row, one in enumerate(prompts):
        embeds[row, longest - len(one) :] = one
        mask[row, longest - len(one) :] = 1
    return partial(
        model.generate,
        inputs_embeds=embeds,
        attention_mask=mask,
        max_new_tokens=NEW_TOKENS,
        do_sample=False,
        pad_token_id=0,
    )


def check_same_tokens(exact: BaseModel, chosen: list[Problem], prompt: torch.Tensor) -> None:
    """Raise DifferentWork unless both write the same tokens after every problem."""
    asks = [Ask(problem.question, True, prompt) for problem in chosen]
    generated = generation(exact, chosen, prompt)().tolist()
    for completion, written in zip(complete(exact, asks, NEW_TOKENS), generated, strict=True):
        require_equal("completion", list(completion.ids), written)
