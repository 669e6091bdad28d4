"""Laws of the two queueing rules: bounded, in order, and nobody waits for ever."""

from hypothesis import given
from hypothesis import strategies as st

from learner.scheduling import FairQueue, deal_rows

ITEMS = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 9)), max_size=30)


def queue_of(items):
    """A queue of (owner, rows, number) items, numbered in order of arrival."""
    queue = FairQueue(lambda item: item[1])
    for number, (owner, rows) in enumerate(items):
        queue.add(owner, (owner, rows, number))
    return queue


@given(ITEMS, st.integers(1, 12))
def test_batches_serve_everything_once_in_order_within_bounds(items, rows):
    queue, batches = queue_of(items), []
    while len(queue):
        batches.append(queue.take(rows))
        assert batches[-1], "a queue that holds something always gives something"
    served = [item for batch in batches for item in batch]
    assert sorted(item[2] for item in served) == list(range(len(items)))
    for owner in "abcd":
        mine = [number for name, _, number in served if name == owner]
        assert mine == sorted(mine)
    for batch in batches:
        assert len({item[0] for item in batch}) == len(batch)
        assert len(batch) == 1 or sum(item[1] for item in batch) <= max(rows, batch[0][1])


@given(st.integers(1, 6), st.integers(1, 20), st.integers(1, 9))
def test_a_newcomer_waits_for_at_most_one_turn_of_each_owner(owners, backlog, rows):
    queue = queue_of([(str(owner), rows) for owner in range(owners) for _ in range(backlog)])
    queue.add("new", ("new", rows, -1))
    turns = [queue.take(rows) for _ in range(owners + 1)]
    assert ("new", rows, -1) in [item for batch in turns for item in batch]


def test_owners_whose_item_does_not_fit_keep_their_place():
    queue = queue_of([("a", 3), ("b", 3), ("c", 1), ("c", 1)])
    assert [item[0] for item in queue.take(4)] == ["a", "c"]
    assert [item[0] for item in queue.take(4)] == ["b", "c"]


def test_an_item_larger_than_a_batch_goes_alone():
    queue = queue_of([("a", 9), ("b", 1)])
    assert [item[0] for item in queue.take(4)] == ["a"]
    assert [item[0] for item in queue.take(4)] == ["b"]


def test_take_all_empties_the_queue():
    queue = queue_of([("a", 1), ("b", 1), ("a", 1)])
    assert sorted(item[2] for item in queue.take_all()) == [0, 1, 2]
    assert len(queue) == 0
    assert queue.take(4) == []


SIZES = st.lists(st.integers(1, 200), max_size=20)


@given(SIZES, st.integers(4, 64))
def test_a_pass_is_as_full_as_it_can_be_and_the_oldest_is_in_it(sizes, rows):
    dealt = deal_rows(sizes, rows)
    assert all(0 <= got <= size for got, size in zip(dealt, sizes, strict=True))
    assert sum(dealt) == min(rows, sum(sizes))
    assert not sizes or dealt[0] >= min(sizes[0], rows // 4)


@given(st.lists(st.integers(100, 200), min_size=1, max_size=5))
def test_a_click_is_in_the_next_pass_however_long_the_evaluations(evaluations):
    assert deal_rows([*evaluations, 4], 64)[-1] == 4
