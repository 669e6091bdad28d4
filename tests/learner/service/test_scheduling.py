"""Laws of the queueing rules: bounded, in order, nobody waits for ever, and shares of the time."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from learner.service.scheduling import FairQueue, Shares

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


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 9), st.integers(1, 40), st.booleans())
def test_one_of_a_small_group_is_in_every_batch_and_a_crowd_has_its_part(crowd, rows, most, early):
    """However many are in the crowd and whoever came first; two that are too large take turns."""
    queue = FairQueue(lambda item: rows)

    def ask(owner, group):
        queue.add(owner, owner, group)

    if early:
        ask("alone", "home")
    for number in range(crowd):
        ask(number, "hall")
    if not early:
        ask("alone", "home")
    alone, served = 0, []
    for _ in range(6):
        batch = queue.take(most)
        alone += "alone" in batch
        of_crowd = [owner for owner in batch if owner != "alone"]
        assert len(of_crowd) <= max(1, most // 2 // rows)
        served += of_crowd
        for owner in batch:
            ask(owner, "home" if owner == "alone" else "hall")
    assert alone == (6 if 2 * rows <= most else 3)
    assert max(map(served.count, range(crowd))) - min(map(served.count, range(crowd))) <= 1


def test_a_group_that_is_alone_has_all_of_a_batch():
    queue = FairQueue(lambda item: 1)
    for owner in range(9):
        queue.add(owner, owner, "hall")
    assert queue.take(8) == [0, 1, 2, 3, 4, 5, 6, 7]
    queue.add(0, 0, "elsewhere")  # has moved, and nothing is left of it in the hall
    assert queue.take(8) == [8, 0]


def test_an_owner_who_moves_has_one_item_in_a_batch_nevertheless():
    queue = FairQueue(lambda item: 1)
    queue.add("me", 1, "hall")
    queue.add("me", 2, "elsewhere")
    assert (queue.take(8), queue.take(8)) == ([1], [2])


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


def test_owners_it_goes_without_keep_their_place():
    queue = queue_of([("a", 1), ("b", 1), ("a", 2)])
    assert [item[0] for item in queue.take(4, without={"a"})] == ["b"]
    assert [item[:2] for item in queue.take(4)] == [("a", 1)]


# Whose turn it is

WEIGHTS = st.lists(st.floats(0.5, 50), min_size=1, max_size=4)


@settings(deadline=None)
@given(WEIGHTS, st.floats(0.01, 10), st.integers(0, 1000))
def test_what_is_always_ready_has_its_share_of_the_time(weights, longest, seed):
    shares, had, random = Shares(weights, weights), [0.0] * len(weights), Random(seed)
    for _ in range(2000):
        kind = shares.next([True] * len(weights))
        seconds = random.uniform(longest / 2, longest)
        had[kind] += seconds
        shares.took(kind, seconds)
    for seconds, weight in zip(had, weights, strict=True):
        due = sum(had) * weight / sum(weights)
        assert abs(seconds - due) <= longest * (1 + len(weights) * weight / min(weights))


@settings(deadline=None)
@given(WEIGHTS, st.floats(0, 1), st.integers(0, 3), st.integers(1, 50))
def test_what_was_not_ready_catches_up_on_its_arrears_alone(weights, arrears, idle, turns):
    """It is next, as whatever becomes ready is; then it waits as if it had been there."""
    shares, idle = Shares(weights, [arrears] * len(weights)), idle % len(weights)
    others = [kind != idle for kind in range(len(weights))]
    for _ in range(turns if any(others) else 0):
        shares.took(shares.next(others), 1.0)
    in_a_row = 0
    while in_a_row < 1000 and shares.next([True] * len(weights)) == idle:
        shares.took(idle, 1.0)
        in_a_row += 1
    if any(others):
        heaviest = max(weights[idle] / other for i, other in enumerate(weights) if i != idle)
        assert in_a_row <= heaviest + 2 + arrears


def test_of_equals_the_first_is_next_and_only_what_is_ready():
    shares = Shares([4, 2, 1], [0.0] * 3)
    assert shares.next([True, True, True]) == 0
    assert shares.next([False, True, True]) == 1
    assert shares.next([False, False, True]) == 2


def test_what_comes_back_a_moment_late_loses_nothing_by_it():
    """Another kind has a turn before each step, which has two: the step has both at once."""
    shares = Shares([8, 1], [0.5, 0.0])
    for _ in range(100):
        for ready in ([False, True], [True, True], [True, True]):
            kind = shares.next(ready)
            assert kind == (not ready[0])
            shares.took(kind, 0.25)
