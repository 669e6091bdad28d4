"""Decoded rows give back the room of a crowd; prefixes are found again by the very soft prompt."""

import gc
import weakref
from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.model.decoding_cache import CachedRows, Prefix, Prefixes
from learner.model.packing import Layout

SIZE = 2 * 3 * 4 * 4  # bytes of a prefix of three tokens, four numbers wide, in one layer


def prefix() -> Prefix:
    return Prefix(3, {0: (torch.zeros(3, 4), torch.ones(3, 4))})


def join(rows: CachedRows, numbers: Sequence[int], length: int, room: int) -> None:
    """Rows of ``length`` tokens, whose keys and values are all their number."""
    places = np.arange(len(numbers) * length).reshape(-1, length)
    layout = cast(Layout, SimpleNamespace(tokens_of=lambda row: places[row]))
    rows.join(layout, range(len(numbers)), room)
    states = torch.tensor(numbers, dtype=torch.float32).repeat_interleave(length)[:, None]
    rows.fill(0, states, -states, heads=1)


def bytes_of(rows: CachedRows) -> int:
    return sum(kept.untyped_storage().nbytes() for kept in rows.taken()[0][0])


@settings(deadline=None)
@given(
    crowd=st.integers(1, 300),
    long=st.integers(1, 2000),
    kept=st.sets(st.integers(0, 9), min_size=1, max_size=10),
)
def test_what_a_crowd_or_a_long_row_took_is_given_back_while_others_go_on(
    crowd: int, long: int, kept: set[int]
) -> None:
    rows, few = CachedRows(torch.device("cpu")), CachedRows(torch.device("cpu"))
    staying = sorted(kept)
    for target in (rows, few):
        join(target, range(10), length=5, room=20)
    join(rows, [99], length=5, room=long)
    join(rows, [99] * crowd, length=7, room=30)
    rows.keep(staying)
    [(keys, values)], lengths = [*rows.taken()[0].values()], rows.taken()[1]
    assert lengths == [5] * len(staying)
    for slot, number in enumerate(staying):
        assert (keys[slot, :, :5] == number).all() and (values[slot, :, :5] == -number).all()
    assert bytes_of(rows) <= 4 * 16 / 10 * bytes_of(few)  # slots come by sixteen
    join(rows, [7], length=3, room=100)
    assert (rows.taken()[0][0][0][len(staying), :, :3] == 7).all()


def test_a_prefix_is_found_by_its_prompt_and_head() -> None:
    kept, prompts = Prefixes(), [torch.zeros(2, 4), torch.zeros(2, 4)]
    mine = prefix()
    kept.put(prompts[0], (1, 2), mine)
    assert kept.get(prompts[0], (1, 2)) is mine
    assert kept.get(prompts[0], (1,)) is None
    assert kept.get(prompts[1], (1, 2)) is None  # equal numbers, another tensor
    assert kept.get(None, (1, 2)) is None


def test_the_base_model_alone_has_prefixes_too() -> None:
    kept, mine = Prefixes(), prefix()
    kept.put(None, (1, 2), mine)
    assert kept.get(None, (1, 2)) is mine


def test_a_prefix_does_not_keep_its_prompt_alive() -> None:
    kept, prompt = Prefixes(), torch.zeros(2, 4)
    alive = weakref.ref(prompt)
    kept.put(prompt, (1,), prefix())
    del prompt
    gc.collect()
    assert alive() is None


@settings(deadline=None)
@given(uses=st.lists(st.integers(0, 9), max_size=60), room=st.integers(1, 5))
def test_those_used_last_are_kept_within_the_bytes(uses: list[int], room: int) -> None:
    kept, latest = Prefixes(room * SIZE), []
    for number in uses:
        if kept.get(None, (number,)) is None:
            kept.put(None, (number,), prefix())
        latest = [number, *(one for one in latest if one != number)][:room]
        assert len(kept) == len(latest)
    for number in latest:
        assert kept.get(None, (number,)) is not None


def test_one_too_large_for_all_the_room_is_not_kept() -> None:
    kept = Prefixes(SIZE - 1)
    kept.put(None, (1,), prefix())
    assert len(kept) == 0 and kept.get(None, (1,)) is None


def test_putting_one_again_counts_it_once() -> None:
    kept = Prefixes(2 * SIZE)
    for _ in range(5):
        kept.put(None, (1,), prefix())
    kept.put(None, (2,), prefix())
    assert len(kept) == 2
