"""The training curve as a picture for a model card: loss, and how much was answered rightly."""

from collections.abc import Callable, Sequence
from statistics import fmean, median

from learner.learning.learner import StepRecord
from learner.plot import (
    PALE,
    PALETTE,
    Panel,
    Point,
    Sheet,
    episodes_axis,
    loss_axis,
    percent_axis,
)

WINDOW = 9  # steps that a smoothed point looks back over
_WIDTH, _HEIGHT = 460, 300  # of a panel, pixels


def draw_learning_curve(history: Sequence[StepRecord]) -> bytes | None:
    """A PNG of ``history``; None if there are too few steps for a curve.

    Left: the loss of each step in nats a token, and its running median. Right: the share of a
    step's problems that the learner would have got right before learning from them, as the mean
    over the latest steps. Whatever the history says, nothing leaves the panels: it may be a
    stranger's.
    """
    if len(history) < 2:
        return None
    losses = [(float(record.episodes), record.loss) for record in history]
    shares = [(float(record.episodes), record.correct / record.total) for record in history]
    first, last = losses[0][0], losses[-1][0]
    sheet = Sheet(2 * _WIDTH, _HEIGHT)
    loss_panel = Panel(
        sheet,
        (0, 0, _WIDTH, _HEIGHT),
        f"Loss per step, running median of {WINDOW} (nats a token)",
        episodes_axis(last, first),
        loss_axis(max(0.0, *(loss for _, loss in losses))),
    )
    loss_panel.line(losses, PALE[0], 1)
    loss_panel.line(_smoothed(losses, median), PALETTE[0])
    share_panel = Panel(
        sheet,
        (_WIDTH, 0, _WIDTH, _HEIGHT),
        f"Right before learning from it, mean of {WINDOW} steps",
        episodes_axis(last, first),
        percent_axis(),
    )
    share_panel.line(_smoothed(shares, fmean), PALETTE[0])
    return sheet.png()


def _smoothed(points: Sequence[Point], summary: Callable[[Sequence[float]], float]) -> list[Point]:
    values = [value for _, value in points]
    return [
        (episode, summary(values[max(0, index + 1 - WINDOW) : index + 1]))
        for index, (episode, _) in enumerate(points)
    ]
