"""Rows in an arena must write what rows in growing views write, whatever was in it before.

On a CPU a step is run as it is each time; where there is a CUDA device, captured and repeated.
"""

from collections.abc import Iterator
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.model import static_cache
from learner.model.base_model import BaseModel
from learner.model.completion import Ask, complete
from learner.model.cuda_graphs import Fixtures, clear_fixtures
from learner.model.decoding_cache import DecodedRows
from learner.model.forward import Batch, Row, decoded_rows, next_logits
from learner.model.static_cache import Arena, StaticRows, static_rows
from tests.learner.questions import MANY, PROMPTS, QUESTIONS
from tests.learner.tiny_models import DEVICES, build_model, build_on

ROOM = 1 << 30  # bytes

asks = st.builds(
    Ask,
    st.sampled_from(QUESTIONS),
    st.booleans(),
    st.sampled_from([None, *PROMPTS]),
    seed=st.none() | st.integers(0, 3),
)


@pytest.fixture(params=DEVICES)
def static(request: pytest.FixtureRequest) -> BaseModel:
    return build_on(request.param, ROOM)


@pytest.fixture
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several sizes for few rows."""
    monkeypatch.setattr(static_cache, "ROWS", (1, 2, 4, 8, 16, 32))


@pytest.fixture(scope="module", params=[(d, a) for d in DEVICES for a in ("qwen2", "llama")])
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[BaseModel, BaseModel]]:
    """The same model with arenas and without."""
    device, architecture = request.param
    yield build_on(device, ROOM, architecture), build_on(device, 0, architecture)


@settings(max_examples=15, deadline=None)
@given(batch=st.lists(asks, min_size=1, max_size=9), tokens=st.integers(1, 12))
def test_any_batch_writes_what_it_writes_in_growing_views(
    pair: tuple[BaseModel, BaseModel], batch: list[Ask], tokens: int
) -> None:
    """Also after others, whose numbers are still in the arena; and as rows end and leave."""
    static, growing = pair
    ours, theirs = (complete(model, batch, tokens) for model in pair)
    assert [done.ids for done in ours] == [done.ids for done in theirs]
    assert len(static.fixtures) and not len(growing.fixtures)


def test_a_repeated_step_gives_the_same_numbers_as_one_that_is_run(static: BaseModel) -> None:
    """The first step is run, the second captured and repeated: from the same state, the same."""
    rows = [Row(None, (5, 6), tuple(range(10, 10 + n))) for n in (3, 9, 4)]
    tokens = torch.tensor([40, 50, 60], device=static.device)
    found = []
    with torch.inference_mode():
        for _ in range(4):
            decoded = read(static, rows, room=3)
            found.append(torch.stack([next_logits(static, decoded, tokens).clone() for _ in "abc"]))
            del decoded
    assert len(static.fixtures) == 1
    assert all(torch.equal(one, found[0]) for one in found)


@pytest.mark.usefixtures("few_rows")
def test_rows_that_leave_move_the_others_up(static: BaseModel) -> None:
    rows = [Row(None, (5,), tuple(range(10 + n, 20 + 2 * n))) for n in range(7)]
    with torch.inference_mode():
        decoded = read(static, rows, room=6)
        written: list[tuple[int, ...]] = [()] * 7
        left = list(range(7))
        for step, kept in enumerate(([6, 0, 3, 4, 1], [0, 2, 4], [2])):
            new = [50 + step + i for i in left]
            logits = next_logits(static, decoded, torch.tensor(new, device=static.device))
            for i, token in zip(left, new, strict=True):
                written[i] = (*written[i], token)
            assert_plain(static, logits, [rows[i].head + rows[i].tokens + written[i] for i in left])
            decoded.keep(kept)
            left = [left[place] for place in kept]
        assert_plain(
            static,
            next_logits(static, decoded, torch.tensor([9], device=static.device)),
            [rows[left[0]].head + rows[left[0]].tokens + written[left[0]] + (9,)],
        )


def assert_plain(base_model: BaseModel, logits: torch.Tensor, texts: list[tuple[int, ...]]) -> None:
    model = build_model("qwen2").eval()
    for row, text in zip(logits, texts, strict=True):
        expected = model(input_ids=torch.tensor([text]), use_cache=False).logits[0, -1]
        torch.testing.assert_close(row.cpu(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("few_rows")
def test_rows_join_others_that_are_further_on(static: BaseModel) -> None:
    arena = Arena(8, 64, 1, static.device)
    lent = arena.lend()
    texts: list[tuple[int, ...]] = []
    with torch.inference_mode():
        for joining in ([(7, 8, 9), (20, 21)], [(30,)], [(41, 42, 43, 44), (5, 6)]):
            read(static, [Row(None, (), text) for text in joining], into=lent)
            texts += joining
            for token in (3, 4):
                texts = [(*text, token + i) for i, text in enumerate(texts)]
                newest = torch.tensor([text[-1] for text in texts], device=static.device)
                logits = next_logits(static, lent, newest)
                assert_plain(static, logits, texts)
            lent.keep(range(len(texts) - 1, -1, -1))
            texts.reverse()


def read(
    base_model: BaseModel, rows: list[Row], room: int = 0, into: DecodedRows | None = None
) -> DecodedRows:
    """Run over these rows, and have them join others or be by themselves."""
    columns = max(len(row.head) + len(row.tokens) for row in rows) + room
    decoded = decoded_rows(base_model, len(rows), columns) if into is None else into
    Batch(base_model, rows, [], decoded=decoded, room=room).logits(None)
    return decoded


@pytest.mark.usefixtures("few_rows")
def test_rows_that_outgrow_an_arena_go_on_in_a_larger_one_or_in_growing_views() -> None:
    static = build_on("cpu", 2 * 64 * 512)  # bytes: two rows, or one, of the smallest kind
    texts = [(7, 8, 9), (20, 21, 22, 23), (30,)]
    with torch.inference_mode():
        decoded, kinds = None, []
        for count, text in enumerate(texts, 1):
            decoded = decoded_rows(static, count, 64, decoded)
            kinds.append(type(decoded))
            read(static, [Row(None, (), text)], room=4, into=decoded)
            texts[:count] = [(*one, count) for one in texts[:count]]
            logits = next_logits(static, decoded, torch.full((count,), count))
            assert_plain(static, logits, texts[:count])
            vars(static)["fixtures"].max_bytes *= 2
    assert kinds[0] is StaticRows


def test_numbers_that_are_not_finite_are_gone_with_their_row(static: BaseModel) -> None:
    healthy, other = Ask(QUESTIONS[0], True), Ask(QUESTIONS[3], False, PROMPTS[0])
    expected = complete(static, [healthy, other], 8)
    broken = torch.full((8, 32), torch.nan)
    for _ in range(2):  # beside it, and after it
        for batch in ([healthy, Ask(QUESTIONS[3], True, broken), other], [healthy, other]):
            found = complete(static, batch, 8)
            assert [found[0].ids, found[-1].ids] == [done.ids for done in expected]


def test_batches_at_the_same_time_do_not_meet(static: BaseModel) -> None:
    rows = [[Row(None, (5,), (first, first + 1))] for first in (10, 20, 30)]
    tokens = torch.tensor([40], device=static.device)

    def started(i: int) -> DecodedRows:
        return read(static, rows[i], room=4)

    with torch.inference_mode():
        alone = []
        for i in range(3):
            decoded = started(i)
            alone.append([next_logits(static, decoded, tokens).clone() for _ in range(4)])
            del decoded
        together = [started(i) for i in range(3)]  # more than there are arenas of one size
        assert [type(decoded) is StaticRows for decoded in together] == [True, True, False]
        for step in range(4):
            for decoded, expected in zip(together, alone, strict=True):
                found = next_logits(static, decoded, tokens)
                torch.testing.assert_close(found, expected[step])
    del together, decoded
    assert type(started(0)) is StaticRows


def test_arenas_have_a_bound_and_those_in_use_stay() -> None:
    fixtures, device = Fixtures(3 * 64 * 10), torch.device("cpu")

    def rows(columns: int) -> StaticRows | None:
        return static_rows(fixtures, 1, columns, 10, device)

    first = rows(20)
    assert first is not None and rows(100) is not None
    assert fixtures.bytes == 3 * 64 * 10
    assert rows(20) is not None  # in the place of the one that nobody uses
    assert fixtures.bytes == 2 * 64 * 10
    assert rows(200) is None  # larger than all of it
    clear_fixtures()
    assert fixtures.bytes == 64 * 10  # the first
    del first
    clear_fixtures()
    assert fixtures.bytes == 0


def test_too_many_rows_are_decoded_without(monkeypatch: pytest.MonkeyPatch) -> None:
    static = build_on("cpu", ROOM)
    expected = [done.ids for done in complete(static, MANY, 4)]
    monkeypatch.setattr(static_cache, "ROWS", (1, 2))
    monkeypatch.setattr(Arena, "step", None)
    assert [done.ids for done in complete(static, MANY, 4)] == expected


@pytest.mark.parametrize(("kind", "kept"), [("default", True), ("dynamic", False)])
def test_rotations_that_follow_the_longest_text_are_not_repeated(kind: str, kept: bool) -> None:
    """Which they are is a number to wait for, and another graph for each."""
    base_model = build_on("cpu", 0)
    del vars(base_model)["fixtures"]
    rotations = {"rope_type": kind, "rope_theta": 10_000.0, "factor": 2.0}
    with (
        mock.patch.object(base_model.model.config, "rope_parameters", rotations),
        mock.patch("learner.model.base_model.fixtures_on", return_value=Fixtures(ROOM)),
    ):
        assert (base_model.fixtures.max_bytes > 0) is kept
