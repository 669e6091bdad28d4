"""A row of the running batch writes what it writes alone, whatever joins, leaves and runs out."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.model import completion
from learner.model.base_model import BaseModel
from learner.model.completion import Ask, RunningBatch, Writing, complete
from learner.model.decoding_cache import DecodedRows, Prefixes
from learner.model.forward import Batch, next_logits
from learner.model.memory import OutOfMemory
from learner.model.pace import Pace, Paces
from tests.learner.questions import PROMPTS, QUESTIONS
from tests.learner.tiny_models import build_base_model

EXAMPLES = ((QUESTIONS[0], "10"), (QUESTIONS[1], "Alice"))

asks = st.builds(
    Ask,
    st.sampled_from(QUESTIONS),
    st.booleans(),
    st.sampled_from([None, *PROMPTS]),
    st.sampled_from([(), EXAMPLES]),
    st.none() | st.integers(0, 3),
)
events = st.lists(
    st.one_of(
        st.tuples(st.just("join"), st.lists(st.tuples(asks, st.integers(1, 9)), max_size=4)),
        st.tuples(st.just("leave"), st.integers(0, 9)),
        st.tuples(st.just("advance"), st.integers(1, 6)),
        st.tuples(st.just("memory"), st.integers(1, 6)),
    ),
    max_size=12,
)


def fixed(chunk: int, rows: int = 64) -> Paces:
    """Chunks of so many tokens, and so many rows, whatever they take."""
    return Paces(Pace(1.0, chunk, chunk, chunk), Pace(1.0, rows, rows, rows))


@pytest.fixture(autouse=True)
def memory_that_holds_no_numbers() -> Iterator[None]:
    """What is allocated and not written is filled with what is no number."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


@contextmanager
def little_memory() -> Iterator[list[int]]:
    """A list of one number: the rows that fit at once; it is forgotten once it was run into."""
    fits = [1 << 20]
    logits = Batch.logits

    def refuse(rows: int) -> None:
        if rows > fits[0]:
            fits[0] = 1 << 20
            raise torch.OutOfMemoryError("CUDA out of memory.")

    def limited(base_model: BaseModel, rows: DecodedRows, tokens: torch.Tensor) -> torch.Tensor:
        refuse(len(tokens))
        return next_logits(base_model, rows, tokens)

    def limited_too(batch: Batch, prompts: torch.Tensor | None) -> torch.Tensor:
        found = logits(batch, prompts)
        refuse(len(found))
        return found

    with (
        mock.patch.object(completion, "next_logits", limited),
        mock.patch.object(Batch, "logits", limited_too),
    ):
        yield fits


@settings(max_examples=25, deadline=None)
@given(
    happens=events,
    chunk=st.none() | st.integers(1, 200),
    most=st.integers(1, 6),
    architecture=st.sampled_from(["qwen2", "llama"]),
)
def test_a_row_writes_what_it_writes_alone(
    happens: list, chunk: int | None, most: int, architecture: str
) -> None:
    base_model = build_base_model(architecture)
    batch = RunningBatch(
        base_model,
        None,
        None if chunk is None else fixed(chunk, most),
    )
    joined: list[tuple[Writing, Ask, int]] = []
    left: list[Writing] = []
    with little_memory() as fits:
        for what, how in happens:
            if what == "join":
                rows = [(Writing(base_model, ask, tokens), ask, tokens) for ask, tokens in how]
                batch.add([row for row, _, _ in rows])
                joined += rows
            elif what == "leave" and joined:
                left.append(joined[how % len(joined)][0])
                batch.drop(left)
            elif what == "memory":
                fits[0] = how
            elif what == "advance":
                for _ in range(how):
                    batch.advance()
        fits[0] = 1 << 20
        while batch.advance():
            pass
    assert len(batch) == 0
    for row, ask, tokens in joined:
        if row in left or isinstance(row.error, OutOfMemory):
            continue
        alone, found = complete(base_model, [ask], tokens)[0], row.completion()
        assert (found.text, found.ids, found.finished) == (alone.text, alone.ids, alone.finished)
        if ask.seed is None:
            assert found.entropy is None
        else:
            assert found.entropy == pytest.approx(alone.entropy, rel=1e-3)


@pytest.mark.parametrize("size", [16, 60])
def test_a_chunk_holds_no_more_than_it_may(
    qwen2: BaseModel, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Long prompts are read in parts, and after a few chunks everybody writes a token."""
    sizes: list[int] = []
    logits, step = Batch.logits, next_logits

    def noted(batch: Batch, prompts: torch.Tensor | None) -> torch.Tensor:
        sizes.append(len(batch))
        return logits(batch, prompts)

    def wrote(*given_: object) -> torch.Tensor:
        sizes.append(0)
        return step(*given_)  # type: ignore[arg-type]

    monkeypatch.setattr(Batch, "logits", noted)
    monkeypatch.setattr(completion, "next_logits", wrote)
    batch = RunningBatch(qwen2, None, fixed(size))
    told = [Ask(question, True, PROMPTS[1], EXAMPLES) for question in QUESTIONS]
    rows = [Writing(qwen2, ask, 20) for ask in told]
    batch.add(rows)
    while batch.advance():
        pass
    assert max(sizes) <= completion.LONG * size
    assert 0 in sizes
    first = sizes.index(0)
    between = itertools.groupby(sizes[first:], key=bool)
    assert all(len(list(chunks)) <= completion.CHUNKS_A_TOKEN for read, chunks in between if read)
    assert [row.completion().ids for row in rows] == [
        done.ids for done in complete(qwen2, told, 20)
    ]


def test_a_head_that_is_read_in_parts_is_read_once(
    qwen2: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    logits = Batch.logits

    def noted(batch: Batch, prompts: torch.Tensor | None) -> torch.Tensor:
        read.append(len(batch))
        return logits(batch, prompts)

    monkeypatch.setattr(Batch, "logits", noted)
    prefixes = Prefixes()
    batch = RunningBatch(qwen2, prefixes, fixed(16))
    rows = [Writing(qwen2, Ask(q, True, PROMPTS[1], EXAMPLES), 3) for q in QUESTIONS]
    batch.add(rows)
    while batch.advance():
        pass
    lengths = [len(row.row(0).tokens) - len(row.written) for row in rows]
    assert sum(read) == len(PROMPTS[1]) + rows[0].head_length + sum(lengths)


def test_no_more_rows_are_decoded_than_a_step_may_take(qwen2: BaseModel) -> None:
    now = [0.0]
    steps = Pace(1.0, 4, 1, 4)
    batch = RunningBatch(qwen2, None, Paces(Pace(1.0, 1 << 16), steps))
    with mock.patch.object(completion.time, "perf_counter", lambda: now[0]):
        batch.add([Writing(qwen2, Ask(QUESTIONS[0], True), 6) for _ in range(8)])
        seen = [len(batch.advance()) for _ in range(3)]
        assert seen == [4, 4, 4]
        steps.measured(4, 100.0)  # busy: fewer from now on
        for _ in range(40):
            batch.advance()
    assert len(batch) == 0


def test_what_is_raised_leaves_all_rows_to_be_read_again(
    qwen2: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [Writing(qwen2, Ask(question, False), 8) for question in QUESTIONS]
    batch = RunningBatch(qwen2)
    batch.add(rows)
    for _ in range(3):
        batch.advance()

    def broken(*_: object) -> torch.Tensor:
        raise RuntimeError("a broken model")

    with monkeypatch.context() as patched:
        patched.setattr(completion, "next_logits", broken)
        with pytest.raises(RuntimeError, match="a broken model"):
            batch.advance()
    while batch.advance():
        pass
    expected = complete(qwen2, [row.ask for row in rows], 8)
    assert [row.completion().ids for row in rows] == [done.ids for done in expected]
