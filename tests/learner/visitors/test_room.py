"""Making room: who goes first, who never, and when there is none."""

import random

from learner.visitors.room import DAY, PROMISED_EPISODES, PROMISED_SECONDS, Limits, surplus
from learner.visitors.store import Summary

NOW = 100 * DAY


def row(key, days=0.0, learnt=0, size=10):
    return Summary(key, 1, NOW - days * DAY, learnt, size)


def gone(kept, more=None, held=(), **limits):
    removed, enough = surplus(kept, more, NOW, Limits(**limits), held)
    return "".join(summary.key for summary in removed), enough


def test_while_there_is_room_only_what_is_too_old_goes():
    kept = [row("a", 31), row("b", 29), row("c", 31, learnt=1000)]
    assert gone(kept, row("n")) == ("ac", True)


def test_those_that_hardly_learnt_go_first_the_longest_unused_of_them_first():
    kept = [row("a", 20, PROMISED_EPISODES), row("b", 1), row("c", 2), row("d", 3)]
    assert gone(kept, row("n"), sessions=3) == ("dc", True)
    assert gone(kept, row("n"), sessions=1) == ("dcba", True)


def test_nobody_goes_within_the_promised_time():
    kept = [row("a", PROMISED_SECONDS / DAY - 0.1, PROMISED_EPISODES), row("b", 0, 500)]
    assert gone(kept, row("n"), sessions=2) == ("", False)
    assert gone(kept, row("n"), size=25) == ("", False)
    kept[0] = row("a", PROMISED_SECONDS / DAY + 0.1, PROMISED_EPISODES)
    assert gone(kept, row("n"), sessions=2) == ("a", True)


def test_what_is_held_stays_however_old():
    assert gone([row("a", 99), row("b", 99)], held={"a"}) == ("b", True)


def test_who_is_there_already_takes_no_second_place():
    kept = [row("a", size=90), row("b", size=5)]
    assert gone(kept, row("a", size=95), size=100, sessions=2) == ("", True)
    assert gone(kept, row("a", size=96), size=100) == ("b", True)
    assert gone(kept, row("a", size=101), size=100) == ("b", False)


def test_whatever_happens_the_limits_hold_and_no_promise_is_broken():
    rng = random.Random(0)
    for _ in range(300):
        kept = [
            row(str(i), rng.uniform(0, 40), rng.choice([0, 9, 10, 99]), rng.randint(1, 50))
            for i in range(rng.randint(0, 20))
        ]
        more = row("new", 0, 0, rng.randint(1, 50))
        limits = Limits(sessions=rng.randint(1, 20), size=rng.randint(1, 500))
        removed, enough = surplus(kept, more, NOW, limits, ())
        left = [summary for summary in kept if summary not in removed]
        for summary in removed:
            days = (NOW - summary.used_at) / DAY
            assert summary.learnt < 10 or days > 7
        if enough:
            assert len(left) + 1 <= limits.sessions
            assert sum(summary.size for summary in left) + more.size <= limits.size
