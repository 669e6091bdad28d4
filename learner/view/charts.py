"""The pictures of learning, as HTML strings with inline SVG.

Lines and bands are SVG stretched to the box; dots, ticks and words are HTML laid over it in per
cent, so text keeps its size and dots stay round at any width. Colours come from CSS variables,
so a picture follows the theme. Redrawing replaces attributes only, so nothing flickers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import isfinite

from learner.measuring import Tally
from learner.view.chart_parts import (
    axis_end,
    episode_ticks,
    frame,
    hovered,
    line,
    percent_ticks,
    plot,
    running_mean,
    svg,
)
from learner.view.labels import places
from learner.wording import NARROW_SPACE, between, percent
from learner.wording import power as power_words

LONE = 0.012  # of the picture's width, to either side: the band of a curve that is one point yet
FORMAT_WORDS = {True: "with the chat template", False: "without the chat template"}


@dataclass(frozen=True)
class CurvePoint:
    """Held-out score after that many episodes."""

    episodes: int
    score: Tally


def score_words(score: Tally) -> str:
    """A score with all that is needed to judge it: ``62 % of 200 (95 % interval 55–68 %)``."""
    interval = f"95{NARROW_SPACE}% interval {between(score.interval)}"
    return f"{percent(score.accuracy)} of {score.n} ({interval})"


def accuracy_chart(
    points: Sequence[CurvePoint],
    baselines: Mapping[bool, Tally],
    chat_template: bool,
    until: int = 80,
    empty: str = "measuring the model alone …",
    rewards: Sequence[tuple[int, float]] = (),
    whole: int = 0,
) -> str:
    """Held-out accuracy over episodes, between two dashed lines for the model alone.

    ``baselines`` maps *with the chat template?* to the bare model's score and may be empty while
    it is being measured. ``chat_template`` is the format that ``points`` were measured in.
    ``until`` is the episode count that the axis reaches at least; ``empty`` says why there are no
    points. ``rewards`` are (episodes, share of the step's own tries that were right): what a
    learner is paid in training, on the same axes. A latest score that has not come to the ``whole``
    set says how far it is.
    """
    episodes = [point.episodes for point in points] + [episodes for episodes, _ in rewards]
    top = axis_end(max(until, *episodes, 0))
    last = (points[-1].episodes / top, points[-1].score.accuracy) if points else None
    where = places(
        last, {key: baselines[key].accuracy for key in (True, False) if key in baselines}
    )
    n = next((s.n for s in [*(p.score for p in points), *baselines.values()]), None)
    field = [
        svg(
            _accuracy_shapes(points, top)
            + _reward_shapes(rewards, top)
            + hovered([(p.episodes / top, _point_words(p)) for p in points])
        ),
        _REWARD_KEY if rewards else "",
        *(
            baseline(one.accuracy, key, where.baselines[key], one.n if one.n < whole else 0)
            for key, one in baselines.items()
        ),
        *(_dot(p, top, where.score if p is points[-1] else "") for p in points),
    ]
    if not points and not (rewards and baselines):
        field.append(f'<span class="spa-plot-empty">{escape(empty)}</span>')
    n = points[-1].score.n if points else n
    subtitle = f"{n} problems never trained on" if n else "problems never trained on"
    if n and n < whole:
        subtitle = f"{n} of {whole} problems never trained on, so far"
    power = f"{power_words(n)}." if n else ""
    words = _accuracy_words(points, baselines, chat_template) + _reward_words(rewards)
    return frame(
        "Held-out accuracy",
        f"{subtitle} · {FORMAT_WORDS[chat_template]}",
        plot("".join(field), percent_ticks(), episode_ticks(top)),
        f"{words} {power}".strip(),
        "spa-accuracy",
        power,
        "held-out",
    )


def loss_chart(losses: Sequence[tuple[int, float]]) -> str:
    """The training loss by episode: every step faintly, their running mean in full.

    ``losses`` holds (episodes learnt so far, mean answer-token loss in nats) of each step.
    """
    steps = [(episodes, loss) for episodes, loss in losses if isfinite(loss)]
    if not steps:
        body, words = '<span class="spa-plot-empty">no steps taken yet</span>', "No steps yet."
        ticks, last_tick = [(0.0, "0")], [(0.0, "0", "start")]
    else:
        first, last = steps[0][0], max(steps[-1][0], steps[0][0] + 1)
        ceiling = max(loss for _, loss in steps) * 1.05 or 1.0
        raw = [((e - first) / (last - first), loss / ceiling) for e, loss in steps]
        mean = running_mean([y for _, y in raw])
        smooth = [(x, y) for (x, _), y in zip(raw, mean, strict=True)]
        told = [
            (x, f"episode {episodes}: {loss:.2f} nats")
            for (x, _), (episodes, loss) in zip(raw, steps, strict=True)
        ]
        body = svg(f"{line(raw, 'spa-loss-raw')}{line(smooth, 'spa-loss-mean')}{hovered(told)}")
        if len(raw) == 1:  # a line has two ends
            body += f'<span class="spa-dot" style="left:0%;bottom:{100 * raw[0][1]:.2f}%"></span>'
        ticks = [(0.0, "0"), (1.0, f"{ceiling:.1f}")]
        last_tick = [(0.0, str(first), "start"), (1.0, str(last), "end")]
        words = f"Loss {steps[0][1]:.2f} at first, {steps[-1][1]:.2f} now, {len(steps)} steps."
    note = f"now {steps[-1][1]:.2f} nats" if steps else "on answer tokens only"
    picture = plot(body, ticks, last_tick)
    return frame("Training loss", note, picture, words, "spa-loss", word="nats")


def family_chart(
    before: Mapping[str, Tally], after: Mapping[str, Tally], chat_template: bool
) -> str:
    """Accuracy by family, model alone → with the soft prompt, with 95 % intervals.

    Keys are family names; ``after`` may be empty when nothing has been learnt yet.
    """
    rows = "".join(_family_row(name, before[name], after.get(name)) for name in before)
    if before:
        total = _family_row("all", _sum(before), _sum(after) if after else None, "spa-row-all")
        ticks = "".join(
            f'<span style="left:{x}%">{x}{NARROW_SPACE}%</span>' for x in (0, 25, 50, 75, 100)
        )
        scale = f'<div class="spa-row"><span></span><div class="spa-xaxis">{ticks}</div></div>'
        key = _family_key(_sum(before), _sum(after) if after else None)
        body = f'<div class="spa-rows">{rows}{total}{scale}</div>{key}'
    else:
        body = '<div class="spa-rows spa-rows-empty">measuring the model alone …</div>'
    sizes = sorted({score.n for score in before.values()})
    counts = f"{sizes[0]} to {sizes[-1]}" if len(sizes) > 1 else "".join(map(str, sizes))
    note = f"{counts} held-out problems each · {FORMAT_WORDS[chat_template]}" if sizes else ""
    words = "; ".join(
        f"{_words(name)}: {score_words(score)}"
        + (f" before, {score_words(after[name])} after" if name in after else "")
        for name, score in before.items()
    )
    return frame("By family, before → after", note, body, words or "Not measured.", "spa-family")


# --- parts -------------------------------------------------------------------------------------


def _accuracy_shapes(points: Sequence[CurvePoint], top: int) -> str:
    upper = [(p.episodes / top, p.score.interval.high) for p in points]
    lower = [(p.episodes / top, p.score.interval.low) for p in reversed(points)]
    if len(points) == 1:  # a band has a width
        ((x, high),), ((_, low),) = upper, lower
        left, right = max(0.0, x - LONE), min(1.0, x + LONE)
        upper, lower = [(left, high), (right, high)], [(right, low), (left, low)]
    outline = " ".join(f"{100 * x:.2f},{100 - 100 * y:.2f}" for x, y in [*upper, *lower])
    middle = [(p.episodes / top, p.score.accuracy) for p in points]
    return f'<polygon class="spa-band" points="{outline}"/>{line(middle, "spa-curve")}'


def baseline(accuracy: float, chat_template: bool, place: tuple[str, int], so_far: int = 0) -> str:
    """A dashed line for the model alone, with its name at its `labels.Places`.

    While it is measured, that is ``so_far`` on so many problems.
    """
    side, offset = place
    text = f"model alone, {'with' if chat_template else 'without'} template"
    return (
        f'<div class="spa-baseline spa-baseline-{side}" style="bottom:{100 * accuracy:.2f}%">'
        f'<span style="transform:translateY({-offset}px)">{text} <b>{percent(accuracy)}</b>'
        f"{f' of {so_far} so far' if so_far else ''}</span>"
        "</div>"
    )


def _point_words(point: CurvePoint) -> str:
    return f"after {point.episodes} episodes: {score_words(point.score)}"


def _dot(point: CurvePoint, top: int, place: str) -> str:
    """A dot; the latest has its score at a ``place`` beside it."""
    x, y = 100 * point.episodes / top, 100 * point.score.accuracy
    label = f"<b>{percent(point.score.accuracy)}</b>" if place else ""
    kind = f"spa-dot spa-dot-last spa-dot-{place}" if place else "spa-dot"
    return f'<span class="{kind}" style="left:{x:.2f}%;bottom:{y:.2f}%">{label}</span>'


def _family_row(name: str, before: Tally, after: Tally | None, kind: str = "") -> str:
    shown = after or before
    left, right = sorted((100 * before.accuracy, 100 * shown.accuracy))
    marks = [
        f'<i class="spa-link" style="left:{left:.2f}%;width:{right - left:.2f}%"></i>',
        _whisker(before, "spa-before"),
        _whisker(shown, "spa-after") if after else "",
        f'<i class="spa-mark spa-before" style="left:{100 * before.accuracy:.2f}%"></i>',
    ]
    values = percent(before.accuracy)
    if after:
        marks.append(f'<i class="spa-mark spa-after" style="left:{100 * after.accuracy:.2f}%"></i>')
        values += f" → <b>{percent(after.accuracy)}</b>"
    told = f"{score_words(before)} by the model alone"
    if after:
        told += f", {score_words(after)} with your soft prompt"
    return (
        f'<div class="spa-row {kind}" title="{escape(told, quote=True)}">'
        f'<span class="spa-row-name">{escape(_words(name))}</span>'
        f'<div class="spa-track">{"".join(marks)}</div>'
        f'<span class="spa-row-value">{values}</span></div>'
    )


def _whisker(score: Tally, kind: str) -> str:
    low, high = 100 * score.interval.low, 100 * score.interval.high
    return f'<i class="spa-whisker {kind}" style="left:{low:.2f}%;width:{high - low:.2f}%"></i>'


def _family_key(before: Tally, after: Tally | None) -> str:
    silent = percent(before.no_answer / before.n)
    if after:
        silent += f" → {percent(after.no_answer / after.n)}"
    return (
        '<div class="spa-key"><span><i class="spa-mark spa-before"></i>model alone</span>'
        '<span><i class="spa-mark spa-after"></i>with your soft prompt</span>'
        f'<span><i class="spa-whisker spa-after"></i>95{NARROW_SPACE}% interval</span>'
        f'<span class="spa-silent">no answer: {silent}</span></div>'
    )


def _accuracy_words(
    points: Sequence[CurvePoint], baselines: Mapping[bool, Tally], chat_template: bool
) -> str:
    parts = [
        f"Model alone {FORMAT_WORDS[key]}: {score_words(score)}."
        for key, score in baselines.items()
    ]
    if points:
        parts.append(
            f"With your soft prompt, {FORMAT_WORDS[chat_template]}: "
            + ", ".join(f"{score_words(p.score)} after {p.episodes} episodes" for p in points)
            + "."
        )
    return " ".join(parts) or "Nothing measured yet."


def _reward_shapes(rewards: Sequence[tuple[int, float]], top: int) -> str:
    mean = running_mean([reward for _, reward in rewards])
    places = [episodes / top for episodes, _ in rewards]
    return line(list(zip(places, mean, strict=True)), "spa-reward") if rewards else ""


_REWARD_KEY = (
    '<span class="spa-reward-key" aria-hidden="true"><i></i>its own tries, mean of 5 steps</span>'
)


def _reward_words(rewards: Sequence[tuple[int, float]]) -> str:
    if not rewards:
        return ""
    first, last = rewards[0][1], rewards[-1][1]
    return (
        f" Of its own tries {percent(first)} were right in the first step, {percent(last)} in the "
        f"latest, {len(rewards)} steps."
    )


def _sum(scores: Mapping[str, Tally]) -> Tally:
    tallies = scores.values()
    return Tally(
        correct=sum(tally.correct for tally in tallies),
        n=sum(tally.n for tally in tallies),
        no_answer=sum(tally.no_answer for tally in tallies),
    )


def _words(name: str) -> str:
    return name.replace("_", " ")
