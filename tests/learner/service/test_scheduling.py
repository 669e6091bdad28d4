"""Laws of the queueing rules: bounded, in order, nobody waits for ever, and sizes that pay."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from learner.service.scheduling import FORGOTTEN_AFTER, FairQueue, PassSizer, deal_rows

ITEMS = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 9)), max_size=30)


def queue_of(items):
    """A queue of (owner, rows, number) items, numbered in order of arrival."""
    queue = FairQueue(lambda item: item[1])
    for number, (owner, rows) in enumerate(items):
        queue.add(owner, (owner, rows, number))
    return queue


@settings(deadline=None)
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


@settings(deadline=None)
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


def test_a_queue_knows_who_waits_and_what_the_next_batch_would_hold():
    queue = queue_of([("a", 3), ("b", 2), ("a", 9)])
    assert (queue.owners, queue.rows, len(queue)) == ({"a", "b"}, 5, 3)
    queue.take(5)
    assert (queue.owners, queue.rows, len(queue)) == ({"a"}, 9, 1)


def test_take_all_empties_the_queue():
    queue = queue_of([("a", 1), ("b", 1), ("a", 1)])
    assert sorted(item[2] for item in queue.take_all()) == [0, 1, 2]
    assert len(queue) == 0
    assert queue.take(4) == []


SIZES = st.lists(st.integers(1, 200), max_size=20)


@settings(deadline=None)
@given(SIZES, st.integers(4, 64))
def test_a_pass_is_as_full_as_it_can_be_and_the_oldest_is_in_it(sizes, rows):
    dealt = deal_rows(sizes, rows)
    assert all(0 <= got <= size for got, size in zip(dealt, sizes, strict=True))
    assert sum(dealt) == min(rows, sum(sizes))
    assert not sizes or dealt[0] >= min(sizes[0], rows // 4)


@settings(deadline=None)
@given(st.lists(st.integers(100, 200), min_size=1, max_size=5))
def test_a_click_is_in_the_next_pass_however_long_the_evaluations(evaluations):
    assert deal_rows([*evaluations, 4], 64)[-1] == 4


# The size of passes


def run(sizer, seconds, passes, waiting=10**6):
    """Run passes of as many rows as are allowed and wait; the sizes of all of them."""
    sizes = []
    for _ in range(passes):
        sizes.append(min(sizer.rows, waiting))
        sizer.measured(sizes[-1], seconds(sizes[-1]))
    return sizes


def test_passes_grow_while_that_pays():
    sizes = run(PassSizer(64, 10.0), lambda rows: 1.0 + 0.01 * rows, 10)
    assert sizes == [8, 8, 16, 16, 32, 32, *[64] * 4]


def test_the_first_pass_of_a_size_does_not_speak_for_it():
    """It compiles kernels for its shapes, which takes as long as many passes."""
    seen = set()

    def seconds(rows):
        first = rows not in seen
        seen.add(rows)
        return 1.0 + 0.01 * rows + first

    assert run(PassSizer(64, 10.0), seconds, 10)[-4:] == [64] * 4


def test_passes_stop_growing_where_a_row_gets_dearer():
    """As where many rows fall out of cache: a larger pass is tried once in a while, no more."""
    sizes = run(PassSizer(64, 10.0), lambda rows: rows * (1.0 if rows <= 16 else 1.4) / 100, 300)
    assert sizes[:7] == [8, 8, 16, 16, 32, 32, 8]  # 8 cost as little a row as 16
    assert 4 <= sum(size > 16 for size in sizes) <= 2 * (300 / FORGOTTEN_AFTER + 2)
    assert max(sizes) == 32


@settings(deadline=None)
@given(
    most=st.integers(1, 100),
    longest=st.floats(0.01, 10),
    fixed=st.floats(0, 1),
    each=st.floats(0.0001, 1),
    waiting=st.integers(1, 200),
)
def test_no_pass_is_longer_than_allowed_once_that_is_known(most, longest, fixed, each, waiting):
    def seconds(rows):
        return fixed + each * rows

    sizes = run(PassSizer(most, longest), seconds, 200, waiting)
    assert all(1 <= size <= most for size in sizes)
    too_long = [size for size in sizes if seconds(size) > longest and size > 1]
    assert len(too_long) <= 5 + 3 * 200 / FORGOTTEN_AFTER
    if seconds(1) <= longest:
        assert seconds(sizes[-1]) <= longest or sizes[-1] in too_long


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 300), st.floats(0, 5)), max_size=100))
def test_sizes_stay_within_bounds_whatever_is_measured(measurements):
    sizer = PassSizer(64, 1.0)
    for rows, seconds in measurements:
        sizer.measured(rows, seconds)
        assert 1 <= sizer.rows <= 64


def test_a_machine_that_gets_busy_and_free_again_is_followed():
    sizer = PassSizer(64, 1.0)
    load = itertools.chain(itertools.repeat(1, 20), itertools.repeat(20, 40), itertools.repeat(1))
    sizes = run(sizer, lambda rows: next(load) * (0.1 + 0.005 * rows), 400)
    assert sizes[19] == 64
    assert max(sizes[50:60]) <= 4
    assert sizes[-1] == 64


def test_what_counts_for_the_wait_is_the_longest_stretch_without_a_pause():
    sizer = PassSizer(64, 1.0)
    for _ in range(8):
        sizer.measured(sizer.rows, seconds=60.0, stretch=0.1)
    assert sizer.rows == 64
