"""One packed pass must be the model's own forward, row by row: values and gradients."""

from collections.abc import Sequence
from itertools import islice, pairwise
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from arena import stream
from learner.model.base_model import BaseModel
from learner.model.decoding_cache import CachedRows, Prefix
from learner.model.formatting import encode
from learner.model.forward import (
    Batch,
    Row,
    decoded_rows,
    next_logits,
    row_length,
    split_passes,
)
from learner.model.memory import Budget
from tests.learner.tiny_models import build_base_model, build_model

HEADS = ((), (5,), (9, 8, 7, 6, 5))
ids = st.integers(4, 300)


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[Row], list[int]]:
    """Rows that share prompts and heads in any mix, and the lengths of the prompts."""
    prompt_lengths = draw(st.lists(st.integers(1, 6), min_size=0, max_size=3))
    prompts = st.sampled_from([None, *range(len(prompt_lengths))])
    rows = []
    for _ in range(draw(st.integers(1, 6))):
        tokens = tuple(draw(st.lists(ids, min_size=1, max_size=40)))
        predictions = draw(st.integers(1, len(tokens)))
        rows.append(Row(draw(prompts), draw(st.sampled_from(HEADS)), tokens, predictions))
    return rows, prompt_lengths


def random_prompts(base_model: BaseModel, lengths: Sequence[int], seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((sum(lengths), base_model.hidden_size), generator=generator)


def plain_logits(
    model: torch.nn.Module, row: Row, prompts: torch.Tensor, lengths: Sequence[int]
) -> torch.Tensor:
    """The unmodified model's logits of one row, alone and whole."""
    embeddings = model.get_input_embeddings()(torch.tensor(row.head + row.tokens))
    if row.prompt is not None:
        soft = prompts.split(list(lengths))[row.prompt]
        embeddings = torch.cat((soft.to(embeddings.dtype), embeddings))
    logits = model(inputs_embeds=embeddings[None], use_cache=False).logits[0]
    return logits[-row.predictions :]


def assert_equals_plain(
    architecture: str, rows: list[Row], lengths: list[int], relative: float, dtype: torch.dtype
) -> None:
    base_model = build_base_model(architecture, dtype=dtype)
    model = build_model(architecture).to(dtype).eval()  # its own attention: never touched by ours
    prompts = random_prompts(base_model, lengths)
    results = []
    for plain in (False, True):
        leaf = prompts.clone().requires_grad_()
        if plain:
            logits = torch.cat([plain_logits(model, row, leaf, lengths) for row in rows])
        else:
            logits = Batch(base_model, rows, lengths).logits(leaf)
        weight = torch.linspace(-1, 1, logits.numel()).view_as(logits).cos()
        if any(row.prompt is not None for row in rows):
            (logits.float().log_softmax(-1) * weight).sum().backward()
        results.append((logits.detach().float(), leaf.grad))
    (packed, gradient), (expected, expected_gradient) = results
    assert packed.shape == expected.shape
    assert (packed - expected).norm() <= relative * expected.norm()
    if expected_gradient is not None:
        assert gradient is not None
        assert (gradient - expected_gradient).norm() <= relative * expected_gradient.norm()


@settings(max_examples=50, deadline=None)
@given(batch=batches(), architecture=st.sampled_from(["qwen2", "llama"]), rounded=st.booleans())
def test_a_packed_pass_is_the_plain_forward(
    batch: tuple[list[Row], list[int]], architecture: str, rounded: bool
) -> None:
    """With and without the fillers and block sizes that half precision gets on a CPU."""
    with mock.patch("learner.model.forward._compiles_shapes", return_value=rounded):
        assert_equals_plain(architecture, *batch, relative=1e-4, dtype=torch.float32)


MIXED = [
    Row(0, (9, 8, 7), (11, 12, 13, 14), 3),
    Row(0, (9, 8, 7), tuple(range(20, 60)), 2),
    Row(1, (9, 8, 7), (31, 32), 1),
    Row(None, (), (41, 42, 43), 2),
    Row(1, (9, 8, 7), (11, 12, 13, 14, 15, 16), 1),
    Row(None, (5,), tuple(range(100, 200)), 1),
]


@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
def test_bfloat16_agrees_loosely(architecture: str) -> None:
    assert_equals_plain(architecture, MIXED, [3, 5], relative=0.15, dtype=torch.bfloat16)


@settings(deadline=None)
@given(batch=batches())
def test_fillers_stay_few(batch: tuple[list[Row], list[int]]) -> None:
    exact, rounded = (
        len(Batch(build_base_model("qwen2", dtype=dtype), *batch))
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert exact <= rounded < exact + max(16, exact / 16)


@pytest.mark.parametrize("problems", [4, 8, 64])
def test_padding_stays_under_a_tenth_of_the_tokens(problems: int) -> None:
    """Of the arena's problems; in float32 there is none at all."""
    rows = []
    for problem in islice(stream(0), problems):
        row = encode(build_base_model("qwen2"), problem.question, problem.answer, True)
        rows.append(Row(0, row.head, row.question + row.answer[:-1], len(row.answer)))
    tokens = 8 + len(rows[0].head) + sum(len(row.tokens) for row in rows)
    exact, rounded = (
        len(Batch(build_base_model("qwen2", dtype=dtype), rows, [8]))
        for dtype in (torch.float32, torch.bfloat16)
    )
    assert exact == tokens
    assert rounded < 1.1 * tokens


def test_the_pass_holds_every_token_once(qwen2: BaseModel) -> None:
    prefix = 8 + 3
    rows = [Row(0, (9, 8, 7), (1,) * n) for n in (10, 20, 30)]
    assert len(Batch(qwen2, rows, [8])) == prefix + 60
    assert len(Batch(qwen2, rows[:1], [8])) == prefix + 10


def test_decoding_token_by_token_is_the_plain_forward(base_model: BaseModel) -> None:
    prompts = random_prompts(base_model, [3, 5])
    rows = [Row(row.prompt, row.head, row.tokens[:-1]) for row in MIXED]
    decoded = decoded_rows(base_model, len(rows), 32)
    batch = Batch(base_model, rows, [3, 5], decoded=decoded, room=2)
    kept = [4, 1, 5]
    with torch.inference_mode():
        batch.logits(prompts)
        next_logits(base_model, decoded, torch.tensor([row.tokens[-1] for row in MIXED]))
        decoded.keep(kept)
        second = next_logits(base_model, decoded, torch.tensor([50, 51, 52]))
        for logits, i, token in zip(second, kept, (50, 51, 52), strict=True):
            row = Row(MIXED[i].prompt, MIXED[i].head, (*MIXED[i].tokens, token))
            expected = plain_logits(base_model.model, row, prompts, [3, 5])[0]
            torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


def test_a_number_that_is_not_finite_stays_with_its_prompt(qwen2: BaseModel) -> None:
    lengths = [3, 5]
    healthy = random_prompts(qwen2, lengths)
    results = []
    for poison in (0.0, torch.nan):
        prompts = healthy.clone()
        prompts[:3] += poison
        prompts.requires_grad_()
        logits = Batch(qwen2, MIXED, lengths).logits(prompts)
        logits.sum().backward()
        assert prompts.grad is not None
        rows = logits.detach().split([row.predictions for row in MIXED])
        results.append((torch.cat([rows[i] for i in (2, 3, 4, 5)]), prompts.grad[3:], rows[0]))
    (before, gradient, _), (after, gradient_after, poisoned) = results
    assert poisoned.isnan().all()
    assert torch.equal(before, after)
    assert torch.equal(gradient, gradient_after)


@settings(max_examples=50, deadline=None)
@given(batch=batches(), limit=st.integers(1, 200), free=st.integers(1, 20_000))
def test_passes_take_all_rows_in_order_within_the_budget(
    batch: tuple[list[Row], list[int]], limit: int, free: int
) -> None:
    rows, lengths = batch
    budget = Budget(tokens=limit, free=free, token=20, logits=50, score=1, cached=5)
    passes = split_passes(rows, lengths, budget, room=3)
    assert [i for members in passes for i in members] == list(range(len(rows)))
    base_model = build_base_model("qwen2")
    for members in passes:
        chosen = [rows[i] for i in members]
        if len(members) == 1:
            continue
        assert len(Batch(base_model, chosen, lengths)) <= limit
        held = sum(50 * row.predictions + 5 * (row_length(row, lengths) + 3) for row in chosen)
        assert held <= free
    merged = [a + b for a, b in pairwise(passes)]
    for members in merged:  # none could have been a row longer
        most = sum(budget.bytes(row_length(rows[i], lengths), 60, 40, 3) for i in members)
        tokens = sum(row_length(rows[i], lengths) for i in members)
        assert tokens > limit or most > free


@settings(max_examples=40, deadline=None)
@given(batch=batches(), rounded=st.booleans(), architecture=st.sampled_from(["qwen2", "llama"]))
def test_prefixes_that_were_read_before_change_nothing(
    batch: tuple[list[Row], list[int]], rounded: bool, architecture: str
) -> None:
    """Neither in the first pass over rows, nor in decoding after it."""
    rows, lengths = batch
    base_model = build_base_model(architecture)
    prompts = random_prompts(base_model, lengths) if lengths else None
    keys = list({row.prefix: None for row in rows if row.head or row.prompt is not None})
    token = torch.arange(4, 4 + len(rows))
    with (
        mock.patch("learner.model.forward._compiles_shapes", return_value=rounded),
        torch.inference_mode(),
    ):
        decoded = CachedRows(base_model.device)
        first = Batch(base_model, rows, lengths, to_store=keys, decoded=decoded, room=1)
        expected = first.logits(prompts), next_logits(base_model, decoded, token)
        assert list(first.stored) == keys
        for known in (first.stored, {key: first.stored[key] for key in keys[:1]}):
            decoded = CachedRows(base_model.device)
            again = Batch(base_model, rows, lengths, known=known, decoded=decoded, room=1)
            saved = sum(_length(key, lengths) for key in known)
            assert len(again) <= len(first) - (0 if rounded else saved)
            found = again.logits(prompts), next_logits(base_model, decoded, token)
            for ours, theirs in zip(found, expected, strict=True):
                torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


def _length(key: tuple[int | None, tuple[int, ...]], lengths: Sequence[int]) -> int:
    prompt, head = key
    return len(head) + (0 if prompt is None else lengths[prompt])


def test_a_prefix_that_is_stored_is_its_rows_own_beginning(qwen2: BaseModel) -> None:
    """Also where a row alone has it, and is one piece with it."""
    prompts = random_prompts(qwen2, [3, 5])
    key = (1, (9, 8, 7))
    stored: list[Prefix] = []
    for rows in (MIXED, MIXED[2:3]):
        batch = Batch(qwen2, rows, [3, 5], to_store=[key])
        with torch.inference_mode():
            batch.logits(prompts)
        stored.append(batch.stored[key])
    shared, alone = stored
    assert shared.length == alone.length == 8 and shared.bytes == alone.bytes > 0
    for layer in shared.states:
        for one, other in zip(shared.states[layer], alone.states[layer], strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
