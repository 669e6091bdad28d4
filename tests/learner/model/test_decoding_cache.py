"""Prefixes that are kept: found again by the very soft prompt, within bounds."""

import gc
import weakref

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.model.decoding_cache import Prefix, Prefixes

SIZE = 2 * 3 * 4 * 4  # bytes of a prefix of three tokens, four numbers wide, in one layer


def prefix() -> Prefix:
    return Prefix(3, {0: (torch.zeros(3, 4), torch.ones(3, 4))})


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
