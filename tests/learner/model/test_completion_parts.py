"""Decoding in parts, in halves, a few tokens at a time, behind known prefixes: the same answers."""

from itertools import pairwise

import pytest
import torch

from learner.model import completion
from learner.model.base_model import BaseModel
from learner.model.completion import Ask, Completion, complete, stream_completions
from learner.model.decoding_cache import DecodedRows, Prefixes
from learner.model.formatting import encode
from learner.model.forward import Batch, next_logits
from learner.model.memory import Budget, OutOfMemory
from tests.learner.questions import MANY, PROMPTS, QUESTIONS, without_times


def sizes_of_passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The tokens of every first pass from now on."""
    sizes: list[int] = []
    logits = Batch.logits

    def noted(batch: Batch, prompts: torch.Tensor | None) -> torch.Tensor:
        sizes.append(len(batch))
        return logits(batch, prompts)

    monkeypatch.setattr(Batch, "logits", noted)
    return sizes


@pytest.mark.parametrize("seed", [None, 3])
def test_rows_that_do_not_fit_together_are_decoded_in_parts(
    base_model: BaseModel, monkeypatch: pytest.MonkeyPatch, seed: int | None
) -> None:
    asks = [Ask(ask.question, ask.chat_template, ask.prompt, seed=seed) for ask in MANY]
    expected = without_times(complete(base_model, asks, 8))
    small = Budget(tokens=150, free=1 << 40, token=1, logits=1)
    monkeypatch.setattr(completion, "decoding_budget", lambda _: small)
    sizes = sizes_of_passes(monkeypatch)
    stages = list(stream_completions(base_model, asks, 8))
    assert without_times(stages[-1]) == expected
    assert len(sizes) > 3 and max(sizes) <= 150
    assert_grows(stages)


def assert_grows(stages: list[tuple[Completion, ...]]) -> None:
    for earlier, later in pairwise(stages):
        for before, after in zip(earlier, later, strict=True):
            assert after.tokens >= before.tokens
            assert after == before or not before.finished


def test_parts_read_each_prefix_once(
    base_model: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks = [Ask(question, True, PROMPTS[2]) for question in QUESTIONS]
    sizes = sizes_of_passes(monkeypatch)
    expected = without_times(complete(base_model, asks, 8))
    rows = [encode(base_model, ask.question, None, True) for ask in asks]
    prefix = 8 + len(rows[0].head)
    # So small that every row is a part of its own.
    small = Budget(tokens=1, free=1 << 40, token=1, logits=1)
    monkeypatch.setattr(completion, "decoding_budget", lambda _: small)
    assert without_times(complete(base_model, asks, 8)) == expected
    lengths = [len(row.question) for row in rows]
    assert sizes == [prefix + sum(lengths), prefix + lengths[0], *lengths[1:]]


class Memory:
    """Runs out at the given decoding step, for more rows than fit."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, fits: int) -> None:
        self.calls = 0
        self.refused: list[int] = []

        def limited(base_model: BaseModel, rows: DecodedRows, tokens: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            if self.calls >= at and len(tokens) > fits:
                self.refused.append(len(tokens))
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return next_logits(base_model, rows, tokens)

        monkeypatch.setattr(completion, "next_logits", limited)


@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize("at", [1, 3])
def test_where_memory_runs_out_half_of_the_rows_go_on_where_they_were(
    qwen2: BaseModel, monkeypatch: pytest.MonkeyPatch, at: int, seed: int | None
) -> None:
    asks = [Ask(ask.question, ask.chat_template, ask.prompt, seed=seed) for ask in MANY]
    expected = without_times(complete(qwen2, asks, 8))
    memory = Memory(monkeypatch, at, fits=len(MANY) // 2)
    stages = list(stream_completions(qwen2, asks, 8))
    assert len(memory.refused) == 1
    assert without_times(stages[-1]) == expected
    assert_grows(stages)


def test_where_it_runs_out_again_fewer_go_on_and_for_a_single_one_that_is_said(
    qwen2: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = without_times(complete(qwen2, MANY, 8))
    memory = Memory(monkeypatch, at=2, fits=3)
    assert without_times(complete(qwen2, MANY, 8)) == expected
    assert memory.refused == [24, 12, 6]
    with pytest.raises(OutOfMemory, match="over 1 row at once"):
        Memory(monkeypatch, at=1, fits=0)
        complete(qwen2, MANY[:1], 8)


@pytest.mark.parametrize("seed", [None, 3])
def test_the_device_can_be_waited_for_once_in_a_few_tokens(
    base_model: BaseModel, monkeypatch: pytest.MonkeyPatch, seed: int | None
) -> None:
    """What is written beyond the end of a row is dropped."""
    asks = [Ask(ask.question, ask.chat_template, ask.prompt, seed=seed) for ask in MANY]
    expected = without_times(complete(base_model, asks, 10))
    monkeypatch.setitem(completion.TOKENS_A_WAIT, "cpu", 4)
    stages = list(stream_completions(base_model, asks, 10))
    assert without_times(stages[-1]) == expected
    assert len(stages) <= 4  # the first when they are read


def test_a_prefix_is_read_once_as_long_as_it_is_kept(
    base_model: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = without_times(complete(base_model, MANY, 8))
    prefixes = Prefixes()
    sizes = sizes_of_passes(monkeypatch)
    for _ in range(2):
        assert without_times(complete(base_model, MANY, 8, prefixes)) == expected
    rows = [encode(base_model, ask.question, None, ask.chat_template) for ask in MANY]
    assert sizes[1] == sum(len(row.question) for row in rows) < sizes[0]


def test_another_soft_prompt_is_never_taken_for_one_that_was_read(qwen2: BaseModel) -> None:
    """Not even if it comes to have the id of one that is gone."""
    prefixes = Prefixes()
    for number in range(30):
        generator = torch.Generator().manual_seed(number)
        ask = Ask(QUESTIONS[0], False, torch.randn((4, 32), generator=generator))
        found = complete(qwen2, [ask], 6, prefixes)
        assert without_times(found) == without_times(complete(qwen2, [ask], 6))


def test_what_samples_share_is_not_kept(qwen2: BaseModel) -> None:
    prefixes = Prefixes()
    complete(qwen2, [Ask(QUESTIONS[0], True, PROMPTS[0], seed=1)], 4, prefixes)
    assert len(prefixes) == 0
