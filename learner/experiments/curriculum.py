"""A curriculum: difficulty that follows accuracy.

Easy problems first, harder ones as they are mastered (Bengio et al., 2009, "Curriculum learning"),
by a staircase (Levitt, 1971, "Transformed up-down methods in psychoacoustics"): up a difficulty
when nearly all of the latest problems at it were right, down when hardly any were. Rights are read
off the training pass, before a problem is learnt from, so following them costs nothing.

A level follows from the answers so far and from nothing else: a run that is continued, or done
again, climbs the same stairs.
"""

from collections.abc import Iterable, Sequence

WINDOW = 6  # problems at a difficulty before it is judged
RISE, FALL = 5, 1  # so many of them right, or more: up; so many, or fewer: down


def level(rights: Iterable[bool], difficulties: Sequence[int]) -> int:
    """The difficulty of the next problem.

    ``rights`` says of each problem so far whether it would have been answered rightly;
    ``difficulties`` are those to choose from, easiest first.
    """
    step, latest = 0, 0
    correct = 0
    for right in rights:
        latest += 1
        correct += right
        if latest < WINDOW:
            continue
        if correct >= RISE:
            step = min(step + 1, len(difficulties) - 1)
        elif correct <= FALL:
            step = max(step - 1, 0)
        latest = correct = 0
    return difficulties[step]
