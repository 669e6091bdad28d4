"""The tries that a person marks, as HTML: a card each with its text and two thumbs.

The thumbs are real buttons that say what they are pressed for, so a keyboard and a screen reader
work as anywhere. Which card and which thumb is in their ``data-`` attributes; `MARKING` sends it.
"""

from html import escape

from learner.visitors.rated_samples import SHOWN, RatedSample, SampleSet
from learner.wording import small_percent

MARKING = """
element.addEventListener("click", (event) => {
    const thumb = event.target.closest("button[data-mark]");
    if (!thumb || thumb.disabled) return;
    const off = thumb.getAttribute("aria-pressed") === "true";
    trigger("click", {
        number: Number(thumb.dataset.number),
        index: Number(thumb.dataset.index),
        mark: off ? 0 : Number(thumb.dataset.mark),
    });
});
"""
"""Sends a click on a thumb as its event's data; on one that is pressed, that the mark comes off."""

_EMPTY = (
    '<article class="spa-try"><p class="spa-try-text"><span class="spa-caret"></span></p>'
    '<p class="spa-try-moved">&nbsp;</p><div class="spa-try-thumbs"></div></article>'
)

_THUMB = (
    '<svg class="spa-thumb" viewBox="0 0 24 24" aria-hidden="true"><path d="M3 10h4v10H3zM10 20V10'
    "l3.6-7c1.7 0 2.6 1.3 2.2 2.9L15 9h4.2a2 2 0 0 1 2 2.4l-1.5 7a2 2 0 0 1-2 1.6z"
    '"/></svg>'
)  # drawn, because not every machine has a font with 👍

THUMBS = ((1, "Good"), (-1, "Bad"))


def thumbs_panel(shown: SampleSet, enabled: bool) -> str:
    """The set that is to be marked; ``enabled`` says whether it can be now."""
    if shown.samples:
        made = [_card(shown, index, one, enabled) for index, one in enumerate(shown.samples)]
    else:
        made = [_EMPTY] * (SHOWN if shown.drawing else 0)
    busy = _truth(shown.drawing)
    return (
        f'<section class="spa-thumbs" aria-label="Tries to mark" aria-busy="{busy}">'
        f'<div class="spa-thumb-cards">{"".join(made)}</div>'
        f'<p class="spa-thumbs-note" role="status">{escape(_note(shown))}</p></section>'
    )


def _note(shown: SampleSet) -> str:
    if shown.drawing:
        return "It is trying …"
    if not shown.samples:
        return (
            "No right answer needed: it tries four different answers to the problem above, you "
            "say which you like, and it learns from exactly that."
        )
    if len(shown.samples) < SHOWN:
        found = (
            "one answer" if len(shown.samples) == 1 else f"{len(shown.samples)} different answers"
        )
        return f"It has only {found} to this: {shown.drawn} tries found no other."
    if any(one.moved for one in shown.samples):
        return "Draw new tries to see what it says now; Undo takes back what it learnt."
    return "Mark what you like and what you do not; what you leave unmarked takes no part."


def _card(shown: SampleSet, index: int, one: RatedSample, enabled: bool) -> str:
    text = escape(one.text) or '<span class="spa-empty">(it wrote nothing)</span>'
    thumbs = "".join(_thumb(shown, index, one, thumb, enabled) for thumb in THUMBS)
    kind = {1: " spa-liked", 0: "", -1: " spa-disliked"}[one.thumb]
    return (
        f'<article class="spa-try{kind}"><p class="spa-try-text">{text}</p>'
        f'<p class="spa-try-moved">{_moved(one)}</p><div class="spa-try-thumbs">{thumbs}</div>'
        "</article>"
    )


def _thumb(
    shown: SampleSet, index: int, one: RatedSample, thumb: tuple[int, str], enabled: bool
) -> str:
    mark, word = thumb
    said = escape(" ".join(one.text.split())[:60] or "nothing", quote=True)
    return (
        f'<button type="button" data-number="{shown.number}" data-index="{index}" '
        f'data-mark="{mark}" aria-pressed="{_truth(one.thumb == mark)}" '
        f'aria-label="{word}: “{said}”"{"" if enabled else " disabled"}>'
        f"{_THUMB}</button>"
    )


def _moved(one: RatedSample) -> str:
    """How likely it is to say just that, before the person's marks were learnt from and now."""
    if one.moved is None:
        return "&nbsp;"
    return (
        f"{small_percent(one.moved.before)} → <b>{small_percent(one.moved.after)}</b> of the time"
    )


def _truth(value: bool) -> str:
    return "true" if value else "false"
