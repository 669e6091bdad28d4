"""Who has to make room when a disk is full of sessions, and who must not.

A learner that has really learnt is safe from newcomers for a promised time after its last use:
whoever floods the app with sessions finds no room in the end, and takes nobody's.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from learner.visitors.store import Summary

DAY = 86400.0  # seconds
PROMISED_SECONDS = 7 * DAY
PROMISED_EPISODES = 10  # of training here; loading a trained soft prompt costs nothing


@dataclass(frozen=True)
class Limits:
    """How many sessions are kept, in how many bytes all together, and how long unused (seconds)."""

    sessions: int = 10_000
    size: int = 1 << 31
    age: float = 30 * DAY


def surplus(
    kept: Iterable[Summary], more: Summary | None, now: float, limits: Limits, held: Collection[str]
) -> tuple[list[Summary], bool]:
    """Which of those ``kept`` to remove, and whether there is room for ``more`` afterwards.

    Those not used for too long go whether or not there is room, those ``held`` stay. Then the
    longest unused go, those first that have hardly learnt; never one within its promised time.
    """
    others = [summary for summary in kept if more is None or summary.key != more.key]
    free = [summary for summary in others if summary.key not in held]
    gone = [summary for summary in free if now - summary.used_at > limits.age]
    young = [summary for summary in free if now - summary.used_at <= limits.age]
    count = len(others) - len(gone) + (more is not None)
    size = sum(summary.size for summary in others) - sum(summary.size for summary in gone)
    size += more.size if more else 0
    spare = [summary for summary in young if not _promised(summary, now)]
    spare.sort(key=lambda summary: (summary.learnt >= PROMISED_EPISODES, summary.used_at))
    for summary in spare:
        if count <= limits.sessions and size <= limits.size:
            break
        gone.append(summary)
        count -= 1
        size -= summary.size
    return gone, count <= limits.sessions and size <= limits.size


def _promised(summary: Summary, now: float) -> bool:
    return summary.learnt >= PROMISED_EPISODES and now - summary.used_at <= PROMISED_SECONDS
