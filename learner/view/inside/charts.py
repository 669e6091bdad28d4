"""The pictures of a look inside, as HTML: switches, curves, rows, and each with what was found."""

from collections.abc import Callable, Sequence
from html import escape

from arena.statistics import Interval
from learner.inspection.changes import Changes
from learner.inspection.findings import found, made, printable, shown
from learner.inspection.inside import Inside, Watched
from learner.inspection.likeness import Ranking
from learner.inspection.listening import Listening
from learner.inspection.nearest import NearestWords
from learner.inspection.size import Size
from learner.inspection.strength import STRONGEST, Path, Strength
from learner.inspection.vectors import Vectors
from learner.inspection.whole import Part
from learner.inspection.words import Words
from learner.measuring import Tally
from learner.view.chart_parts import (
    episode_ticks,
    frame,
    hovered,
    line,
    percent_ticks,
    plot,
    svg,
)
from learner.view.charts import score_words
from learner.view.strip import cells_of
from learner.wording import percent

THIN = 5  # layers to a name, where there are many

SWITCHING = """
element.addEventListener("click", (event) => {
    const vector = event.target.closest("button[data-vector]");
    if (vector && !vector.disabled) trigger("click", { vector: Number(vector.dataset.vector) });
});
"""
"""Sends a click on a vector as its event's data."""


def switchboard(inside: Inside, scale: float) -> str:
    """Every vector as a switch: its numbers, and below it the share of the gain that it carries."""
    watched = inside.watched
    part = inside.parts.get("vectors")
    shares = part.shares if isinstance(part, Vectors) else ()
    most = max((abs(share.value) for share in shares), default=0.0) or 1.0
    buttons = []
    for i, vector in enumerate(watched.prompt.tolist()):
        share = shares[i] if i < len(shares) else None
        sure = share is not None and share.carries
        height = 100 * max(0.0, share.value) / most if share else 0.0
        words = "on" if watched.kept[i] else "off"
        carried = f", carries {_points(share.value)} points" if share else ""
        label = _points(share.value) if share else "&nbsp;"
        buttons.append(
            f'<button type="button" class="spa-switch" data-vector="{i}" '
            f'aria-pressed="{"true" if watched.kept[i] else "false"}" '
            f'aria-label="Vector {i + 1} {words}{carried}"><span class="spa-token">'
            f"{cells_of(vector, scale)}</span><b>{i + 1}</b>"
            f'<span class="spa-carries"><i class="{"spa-sure" if sure else ""}" '
            f'style="height:{height:.0f}%"></i></span><small>{label}</small></button>'
        )
    return (
        '<section class="spa-switches" aria-label="Vectors, each a switch">'
        f"{''.join(buttons)}</section>{_switch_words(inside, bool(shares))}"
    )


def watched_answer(watched: Watched, moments: Sequence[int]) -> str:
    """The lesson's problem as it is answered behind the altered soft prompt."""
    if watched.problem is None:
        return '<article class="spa-watched"><p>…</p></article>'
    off = [str(i + 1) for i, kept in enumerate(watched.kept) if not kept]
    how = [f"strength {percent(watched.place)}"]
    if off:
        how.append(f"without vector {', '.join(off)}")
    if len(moments) > 1:
        how.append(f"as after {moments[watched.moment]} episodes")
    completion = watched.completion
    text = escape(completion.text) or '<span class="spa-empty">(nothing yet)</span>'
    verdict = ""
    if completion.grade is not None:
        kind, word = _verdict(completion.grade.correct, completion.grade.extracted is None)
        verdict = f'<span class="spa-verdict {kind}">{word}</span>'
    right = watched.problem.answer
    gold = f" <span>Right: {escape(right)}.</span>" if right else ""
    kept = "".join("10"[not one] for one in watched.kept)
    state = f'data-moment="{watched.moment}" data-latest="{moments[-1]}" data-kept="{kept}"'
    state += " data-finished" if completion.finished else ""
    return (
        f'<article class="spa-watched" aria-live="polite" {state}><p class="spa-watched-question">'
        f"{escape(watched.problem.question)}</p>"
        f'<p class="spa-watched-answer">{text} {verdict}</p>'
        f"<p>{escape(', '.join(how))}.{gold}</p></article>"
    )


def cards(inside: Inside, kinds: Sequence[str]) -> str:
    """The parts of these names that are known, each with its picture and what was found."""
    paint: dict[str, Callable[..., str]] = {
        "changes": changes_chart,
        "nearest": nearest_chart,
        "likeness": likeness_chart,
        "listening": listening_chart,
        "vectors": vectors_chart,
        "size": size_chart,
        "words": words_chart,
    }
    known = [paint[name](inside.parts[name]) for name in kinds if name in inside.parts]
    return f'<div class="spa-inside">{"".join(known)}</div>' if known else ""


def strength_chart(part: Part | None, place: float, coming: bool) -> str:
    """Accuracy along the line from untrained to trained, with a mark where the slider stands.

    Before it is there, the picture says whether it is ``coming``.
    """
    ticks = [(0.0, "untrained", "start"), (2 / 3, "trained", "middle"), (1.0, "150 %", "end")]
    if not isinstance(part, Strength):
        words = "the curve is coming" if coming else "press Look inside to draw the curve"
        empty = f'<span class="spa-plot-empty">{words}</span>'
        return frame(
            "How much of it does it take?",
            "accuracy from untrained to trained, and beyond",
            plot(empty, percent_ticks(), ticks),
            "Not measured yet.",
            "spa-strength",
        )
    curve = _curve(
        [
            (x / STRONGEST, score, f"strength {percent(x)}")
            for x, score in zip(part.places, part.scores, strict=True)
        ]
    )
    dots = "".join(
        f'<span class="spa-dot spa-control" style="left:{100 * x / STRONGEST:.2f}%;'
        f'bottom:{100 * s.accuracy:.2f}%"></span>'
        for x, s in zip(part.control_places, part.control, strict=True)
    )
    marker = f'<i class="spa-here" style="left:{100 * place / STRONGEST:.2f}%"></i>'
    return _card(
        part,
        f"{part.scores[0].n} held-out problems · band: 95 % interval · grey: a random direction",
        plot(curve + dots + marker, percent_ticks(), ticks),
        "spa-strength",
    )


def path_chart(part: Part | None, moment: int) -> str:
    """Accuracy on the way that training took, with a mark at the moment that is watched."""
    if not isinstance(part, Path) or len(part.moments) < 2:
        return ""
    first, (last, last_score) = part.moments[0][0], part.moments[-1]
    width = max(1, last - first)

    def across(episodes: int) -> float:
        return (episodes - first) / width

    curve = _curve([(across(e), score, f"after {e} episodes") for e, score in part.moments])
    marker = f'<i class="spa-here" style="left:{100 * across(moment):.2f}%"></i>'
    ticks = episode_ticks(last) if first == 0 else [(0.0, str(first), "start")]
    if first:
        ticks.append((1.0, f"{last} episodes", "end"))
    return _card(
        part,
        f"{last_score.n} held-out problems · band: 95 % interval",
        plot(curve + marker, percent_ticks(), ticks),
        "spa-path",
    )


def _curve(points: Sequence[tuple[float, Tally, str]]) -> str:
    """Accuracy with its interval at shares of the width, each with the words that name it."""
    edges = [(x, score.interval.high) for x, score, _ in points]
    edges += [(x, score.interval.low) for x, score, _ in reversed(points)]
    outline = " ".join(f"{100 * x:.2f},{100 - 100 * y:.2f}" for x, y in edges)
    shapes = f'<polygon class="spa-band" points="{outline}"/>'
    shapes += line([(x, score.accuracy) for x, score, _ in points], "spa-curve")
    return svg(shapes + hovered([(x, f"{name}: {score_words(s)}") for x, s, name in points]))


def vectors_chart(part: Vectors) -> str:
    """Each vector's share of the gain, and what it does when trained alone."""
    values = [share.interval for share in part.shares]
    values += [one.change.interval for one in part.alone]
    low = min(0.0, *(one.low for one in values))
    high = max(0.05, *(one.high for one in values))
    zero = f'<i class="spa-zero" style="left:{-100 * low / (high - low):.2f}%"></i>'
    rows = []
    for i, (share, alone) in enumerate(zip(part.shares, part.alone, strict=True)):
        track = zero + _mark(alone.change.value, alone.change.interval, low, high, "before")
        track += _mark(share.value, share.interval, low, high, "after")
        star = " *" if share.carries else ""
        rows.append(_row(f"vector {i + 1}", track, f"<b>{_points(share.value)}</b>{star}"))
    key = _key(("after", "share of the gain, points"), ("before", "trained alone"))
    return _card(
        part,
        f"{part.problems_for_shares} problems × {part.subsets} subsets · * differs from nothing, "
        "after Holm's correction",
        f'<div class="spa-rows">{"".join(rows)}</div>{key}',
    )


def likeness_chart(part: Ranking) -> str:
    """How far each text is from the soft prompt; hollow, from the untrained one."""
    control = {one.text: one for one in part.untrained}
    high = max(one.interval.high for one in (*part.trained, *part.untrained)) or 1.0
    rows = []
    for one in part.trained:
        other = control[one.text]
        track = _mark(other.divergence, other.interval, 0.0, high, "before")
        track += _mark(one.divergence, one.interval, 0.0, high, "after")
        name = f"{shown(one)}{' *' if one.first else ''}"
        rows.append(_row(name, track, f"as text {percent(one.score.accuracy)}", one.kind))
    key = _key(("after", "nats from yours (left: the same answers)"), ("before", "from untrained"))
    return _card(
        part,
        f"{part.problems} held-out problems · * as close as the closest, as far as can be told",
        f'<div class="spa-rows spa-wide-names">{"".join(rows)}</div>{key}',
    )


def size_chart(part: Size) -> str:
    """Accuracy of each smaller prompt, by bytes."""
    told = {*part.bits, *(part.both or part.vectors)} | (
        {part.smallest} if part.smallest else set()
    )
    smaller = sorted(told, key=lambda one: -one.bytes)
    rows = []
    for one in smaller:
        kind = "after" if one.loses_nothing else "before"
        track = _mark(one.score.accuracy, one.score.interval, 0.0, 1.0, kind)
        mine = " spa-smallest" if one == part.smallest else ""
        rows.append(_row(made(one), track, f"{one.bytes:,} bytes", kind=mine))
    key = _key(("after", "sure to lose less than 5 points"), ("before", "may lose more"))
    return _card(
        part,
        f"{part.whole.n} held-out problems · accuracy",
        f'<div class="spa-rows spa-wide-names">{"".join(rows)}</div>{key}',
    )


def listening_chart(part: Listening) -> str:
    """A cell for each head, by layer: how much more it attends to the soft prompt."""
    most = max(abs(share) for layer in part.heads for share in layer) or 1.0
    thin = " spa-thin" if len(part.heads) > 3 * THIN else ""
    rows = []
    for i, layer in enumerate(part.heads):
        cells = "".join(
            f'<i class="spa-{"plus" if share >= 0 else "minus"}" '
            f'style="--v:{abs(share) / most:.2f}" title="{_points(share)} points"></i>'
            for share in layer
        )
        name = "&nbsp;" if thin and i % THIN else f"layer {i + 1}"
        rows.append(f'<div class="spa-heads{thin}"><span>{name}</span>{cells}</div>')
    key = (
        '<div class="spa-key"><span><i class="spa-head spa-plus" style="--v:1"></i>'
        f'{100 * most:.0f} points more attention</span><span><i class="spa-head spa-minus" '
        'style="--v:1"></i>as much less</span></div>'
    )
    return _card(
        part,
        f"{part.problems} held-out problems · a cell a head, less the untrained prompt's",
        f'<div class="spa-rows">{"".join(rows)}</div>{key}',
    )


def changes_chart(part: Changes) -> str:
    """Problems that became right and wrong, by family, and a few of them."""
    rows = []
    for name, (gained, lost, n) in part.families.items():
        track = f'<i class="spa-gained" style="width:{100 * gained / n:.2f}%"></i>'
        track += f'<i class="spa-lost" style="width:{100 * lost / n:.2f}%"></i>'
        rows.append(_row(name.replace("_", " "), track, f"<b>+{gained}</b> −{lost} of {n}"))
    flips = "".join(
        f"<li><span>{escape(flip.problem.question)}</span> {escape(flip.before) or '(nothing)'} → "
        f"<b>{escape(flip.after) or '(nothing)'}</b> {'✓' if flip.gained else '✗'}"
        f"{f', right since episode {flip.since}' if flip.since else ''}</li>"
        for flip in part.flips[:2]
    )
    begin = " · ".join(
        f"“{escape(printable(one.text))}” {percent(one.before)} → <b>{percent(one.after)}</b>"
        for one in part.beginnings[:4]
    )
    return _card(
        part,
        f"{part.after.n} held-out problems · untrained → trained",
        f'<div class="spa-rows">{"".join(rows)}</div><ul class="spa-flips">{flips}'
        f"<li>How answers begin: {begin}</li></ul>",
    )


def nearest_chart(part: NearestWords) -> str:
    """The nearest word of each vector, crossed out."""
    words = "".join(
        f"<li><s>{escape(printable(now[0].text))}</s> {now[0].cosine:.2f}"
        f"<small>was {escape(printable(then[0].text))}</small></li>"
        for now, then in zip(part.trained, part.untrained, strict=True)
    )
    return _card(
        part,
        "the usual answer, shown because it misleads",
        f'<ol class="spa-nearest">{words}</ol>',
    )


def words_chart(part: Words) -> str:
    """What the model says of both prompts, and what its words are worth."""
    rows = "".join(
        f"<li><small>{name}</small> {escape(one.text) or '(nothing)'} "
        f"<b>{percent(one.score.accuracy)}</b></li>"
        for name, group in (("trained", part.trained), ("untrained", part.untrained))
        for one in group
    )
    return _card(
        part,
        f"{part.whole.n} held-out problems · in bold: accuracy of the words as a plain prefix",
        f'<ul class="spa-flips">{rows}</ul>',
    )


def _card(part: Part, note: str, body: str, kind: str = "spa-part") -> str:
    """What was found in plain words, the picture, and the numbers that it rests on."""
    heading, short, evidence = found(part)
    return frame(
        heading,
        note,
        f'<p class="spa-short"><b>{escape(short)}</b></p>{body}'
        f'<p class="spa-evidence">{escape(evidence)}</p>',
        f"{short} {evidence}",
        kind,
    )


def _row(name: str, track: str, value: str, note: str = "", kind: str = "") -> str:
    tip = f' title="{escape(note, quote=True)}"' if note else ""
    return (
        f'<div class="spa-row{kind}"><span class="spa-row-name"{tip}>{escape(name)}</span>'
        f'<div class="spa-track">{track}</div><span class="spa-row-value">{value}</span></div>'
    )


def _mark(value: float, interval: Interval, low: float, high: float, kind: str) -> str:
    """A dot with its interval on a track from low to high."""
    left, at, right = (
        100 * (min(max(one, low), high) - low) / (high - low)
        for one in (interval.low, value, interval.high)
    )
    return (
        f'<i class="spa-whisker spa-{kind}" style="left:{left:.2f}%;width:{right - left:.2f}%"></i>'
        f'<i class="spa-mark spa-{kind}" style="left:{at:.2f}%"></i>'
    )


def _key(*entries: tuple[str, str]) -> str:
    shown = "".join(
        f'<span><i class="spa-mark spa-{kind}"></i>{escape(text)}</span>' for kind, text in entries
    )
    return f'<div class="spa-key">{shown}<span>bar: 95 % interval</span></div>'


def _points(change: float) -> str:
    """A change in whole points: ``+5``, and ``+0`` of what is nothing on either side."""
    return f"{round(100 * change):+d}"


def _verdict(correct: bool, silent: bool) -> tuple[str, str]:
    if silent:
        return "spa-silent", "– no answer"
    return ("spa-right", "✓ right") if correct else ("spa-wrong", "✗ wrong")


def _switch_words(inside: Inside, known: bool) -> str:
    if not inside.is_trained:
        text = "Nothing is learnt yet: train it on the Teach tab, then come back."
    elif known:
        text = "Click a vector to put it back as it was. Bars: points of accuracy it carries."
    else:
        text = "Click a vector to put it back as it was before training, and see the answer change."
    return f'<p class="spa-thumbs-note">{text}</p>'
