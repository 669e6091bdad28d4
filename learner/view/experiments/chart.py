"""The picture of experiments side by side: held-out accuracy over episodes, a line each.

Lines, bands and dashes as in `charts`; a number at the end of each line and in the key below tells
them apart where colours do not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from arena.statistics import Interval
from learner.experiments.estimates import Arm, Estimate, alone, curve_of
from learner.view.chart_parts import (
    axis_end,
    episode_ticks,
    frame,
    hovered,
    line,
    percent_ticks,
    plot,
    svg,
)
from learner.view.charts import FORMAT_WORDS, baseline
from learner.view.labels import places
from learner.wording import NARROW_SPACE, between, count, percent

SLOTS = 8  # colours that lines can have


@dataclass(frozen=True)
class Point:
    """An accuracy after so many episodes, with its 95 % interval."""

    episodes: int
    value: float
    interval: Interval


@dataclass(frozen=True)
class Series:
    """One line. ``mark`` stands at its end; ``slot`` chooses its colour, or its dashes if it was
    ``published`` by others. ``asked`` says of how many problems and seeds it is."""

    name: str
    mark: str
    slot: int
    points: tuple[Point, ...]
    asked: str
    published: bool = False


def series_of(arm: Arm, mark: str, slot: int, published: bool = False) -> Series:
    """The line of an experiment: the mean of its seeds at every milestone that all have passed."""
    points = [
        Point(episodes, one.value, one.interval) for episodes, one in curve_of(arm.runs).items()
    ]
    problems = max(score.n for run in arm.runs for score in run.curve)
    asked = f"{count(problems, 'problem')} × {count(len(arm.runs), 'seed')}"
    if published:
        asked = f"{problems} other problems, graded by substring"
    return Series(arm.name, mark, slot, tuple(points), asked, published)


def baselines_of(arms: Sequence[Arm]) -> dict[bool, Estimate]:
    """The model alone, with the chat template? -> as the arm measured it that asked the most."""
    found: dict[bool, Estimate] = {}
    for arm in arms:
        if all(run.alone is not None for run in arm.runs):
            estimate = Arm("", arm.runs[:1]).estimate(alone)  # the same for every seed
            chat = arm.runs[0].chat_template
            if chat not in found or estimate.problems > found[chat].problems:
                found[chat] = estimate
    return found


def experiments_chart(lines: Sequence[Series], baselines: Mapping[bool, Estimate]) -> str:
    """Lines over one another, their bands behind them, the model alone dashed, and a key."""
    top = axis_end(max([80, *(point.episodes for one in lines for point in one.points)]))
    own = [one for one in lines if not one.published and one.points]
    shapes = [_band(one, top) for one in own]
    shapes += [_line(one, top) for one in lines if len(one.points) > 1]
    where = places(None, {chat: one.value for chat, one in baselines.items()}).baselines
    field = [
        svg("".join(shapes) + hovered(_told(lines, top))),
        *(baseline(baselines[chat].value, chat, place) for chat, place in where.items()),
        *(_dots(one, top) for one in lines),
    ]
    if not lines:
        field.append('<span class="spa-plot-empty">choose what to show</span>')
    elif not own:
        field.append('<span class="spa-plot-empty">your run draws its line here</span>')
    body = plot("".join(field), percent_ticks(), episode_ticks(top))
    note = f"mean over seeds, with its 95{NARROW_SPACE}% interval over seeds and problems"
    words = " ".join([*map(_words, lines), *(_alone_words(*item) for item in baselines.items())])
    chart = frame("Held-out accuracy", note, body, words or "Nothing to show.", "spa-experiments")
    return f"{chart}{_key(lines)}"


def slots(numbers: Sequence[int]) -> list[int]:
    """A colour for each run: its own number's as long as nobody has that one, else a free one."""
    taken: list[int] = []
    for number in numbers:
        wanted = [(number - 1 + shift) % SLOTS for shift in range(SLOTS)]
        taken.append(next((slot for slot in wanted if slot not in taken), wanted[0]))
    return taken


# --- parts -------------------------------------------------------------------------------------


def _class(one: Series) -> str:
    return f"spa-published-{one.slot}" if one.published else f"spa-run-{one.slot}"


def _band(one: Series, top: int) -> str:
    upper = [(p.episodes / top, p.interval.high) for p in one.points]
    lower = [(p.episodes / top, p.interval.low) for p in reversed(one.points)]
    outline = " ".join(f"{100 * x:.2f},{100 - 100 * y:.2f}" for x, y in [*upper, *lower])
    return f'<polygon class="spa-run-band {_class(one)}" points="{outline}"/>'


def _line(one: Series, top: int) -> str:
    kind = "spa-published-line" if one.published else "spa-run-line"
    return line([(p.episodes / top, p.value) for p in one.points], f"{kind} {_class(one)}")


def _dots(one: Series, top: int) -> str:
    if not one.points:
        return ""
    *early, last = one.points
    dots = [] if one.published else [_dot(one, point, top) for point in early]
    left, bottom = 100 * last.episodes / top, 100 * last.value
    return "".join(dots) + (
        f'<span class="spa-run-end {_class(one)}" style="left:{left:.2f}%;bottom:{bottom:.2f}%">'
        f"{escape(one.mark)}</span>"
    )


def _dot(one: Series, point: Point, top: int) -> str:
    left, bottom = 100 * point.episodes / top, 100 * point.value
    return (
        f'<span class="spa-run-dot {_class(one)}" style="left:{left:.2f}%;bottom:{bottom:.2f}%">'
        "</span>"
    )


def _key(lines: Sequence[Series]) -> str:
    rows = []
    for one in lines:
        value = "not measured yet"
        if one.points:
            last = one.points[-1]
            value = f"<b>{percent(last.value)}</b> ({between(last.interval)})"
        rows.append(
            f'<li><span class="spa-run-end {_class(one)}">{escape(one.mark)}</span>'
            f'<span class="spa-runs-name">{escape(one.name)}</span>'
            f'<span class="spa-runs-asked">{escape(one.asked)}</span>'
            f'<span class="spa-runs-value">{value}</span></li>'
        )
    return f'<ul class="spa-runs-key">{"".join(rows)}</ul>'


def _told(lines: Sequence[Series], top: int) -> list[tuple[float, str]]:
    """What every line says after so many episodes, at its share of the width."""
    said: dict[int, list[str]] = {}
    for one in lines:
        for point in one.points:
            words = f"{one.name}: {percent(point.value)} ({between(point.interval)})"
            said.setdefault(point.episodes, []).append(words)
    return [
        (episodes / top, f"after {episodes} episodes: {'; '.join(said[episodes])}")
        for episodes in sorted(said)
    ]


def _words(one: Series) -> str:
    points = ", ".join(
        f"{percent(point.value)} ({between(point.interval)}) after {point.episodes} episodes"
        for point in one.points
    )
    return f"{one.name}: {points or 'not measured yet'}; of {one.asked}."


def _alone_words(chat_template: bool, estimate: Estimate) -> str:
    return (
        f"Model alone {FORMAT_WORDS[chat_template]}: {percent(estimate.value)} "
        f"({between(estimate.interval)}) of {estimate.problems}."
    )
