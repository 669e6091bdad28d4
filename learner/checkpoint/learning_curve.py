"""The training curve as a picture for a model card: loss, and how much was answered rightly."""

from collections.abc import Callable, Sequence
from statistics import fmean, median

from learner.learning.answer import ANSWER
from learner.learning.learner import StepRecord
from learner.learning.signals import RECORDED
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

    Left: the loss of each step that was told answers, in nats a token, and its running median.
    Right: shares that were right, as means over the latest steps of their kind; what they are of
    depends on what the learner was told, so each kind has a line of its own. What a person liked
    is no skill and is not drawn. Whatever the history says, nothing leaves the panels: it may be a
    stranger's.
    """
    shares: dict[str, list[Point]] = {}
    for record in history:
        if (kind := RECORDED[record.signal].right) is not None:
            shares.setdefault(kind, []).append((record.episodes, record.correct / record.total))
    if sum(map(len, shares.values())) < 2:
        return None
    losses = [(float(r.episodes), r.loss) for r in history if RECORDED[r.signal].told]
    first, last = history[0].episodes, history[-1].episodes
    sheet = Sheet(2 * _WIDTH, _HEIGHT)
    loss_panel = Panel(
        sheet,
        (0, 0, _WIDTH, _HEIGHT),
        f"Loss per step, running median of {WINDOW} ({ANSWER.loss})",
        episodes_axis(last, first),
        loss_axis(max([0.0, *(loss for _, loss in losses)])),
    )
    if not losses:
        loss_panel.note("no step was told an answer")
    loss_panel.line(losses, PALE[0], 1)
    loss_panel.line(_smoothed(losses, median), PALETTE[0])
    share_panel = Panel(
        sheet,
        (_WIDTH, 0, _WIDTH, _HEIGHT),
        f"Share right, mean of {WINDOW} steps",
        episodes_axis(last, first),
        percent_axis(),
    )
    for (kind, points), colour in zip(shares.items(), PALETTE, strict=False):
        share_panel.line(_smoothed(points, fmean), colour)
        share_panel.name(kind, colour)
    return sheet.png()


def _smoothed(points: Sequence[Point], summary: Callable[[Sequence[float]], float]) -> list[Point]:
    values = [value for _, value in points]
    return [
        (episode, summary(values[max(0, index + 1 - WINDOW) : index + 1]))
        for index, (episode, _) in enumerate(points)
    ]
