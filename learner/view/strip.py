"""The strip: the idea of the app in one picture, as HTML, drawn from the soft prompt's numbers."""

from collections.abc import Sequence
from html import escape

from learner.learning.learner import Learner
from learner.model.base_model import ModelFacts
from learner.view.help import about
from learner.visitors.moments import Moment
from learner.wording import count, percent

CELLS = 12
"""Cells drawn per virtual token."""
SCALE = 2.0  # standard deviations of the word embeddings at which a cell is fully coloured

_SNOWFLAKE = (
    '<svg class="spa-snowflake" viewBox="0 0 24 24" aria-hidden="true"><path d="M12 2v20M3.3 7l17.4'
    " 10M20.7 7 3.3 17M9 3.5l3 3 3-3M9 20.5l3-3 3 3M3 11l4-1-1-4M21 13l-4 1 1 4M3 13l4 1-1 4M21 11"
    'l-4-1 1-4"/></svg>'
)


def strip_of(learner: Learner, base_model: ModelFacts, first: Moment | None = None) -> str:
    """The soft prompt's numbers in front of the frozen model; ``first`` is how it was once."""
    moved = 0.0
    if first is not None and first.prompt.shape == learner.prompt.shape:
        moved = float((learner.prompt - first.prompt).norm() / first.prompt.norm())
    return strip(
        learner.prompt.tolist(),
        scale(base_model),
        base_model.name,
        base_model.parameter_count,
        learner.episodes,
        moved,
    )


def scale(base_model: ModelFacts) -> float:
    """The number at which a cell of a soft prompt is fully coloured."""
    return SCALE * base_model.embedding_spread


def strip(
    prompt: Sequence[Sequence[float]],
    scale: float,
    model: str,
    parameters: int,
    episodes: int,
    moved: float = 0.0,
) -> str:
    """The idea in one picture: the soft prompt's real numbers + the text → the frozen model.

    ``moved`` is how far it is from where it began, as a share of its size. ``prompt`` is
    [tokens][hidden size]; of each vector every ``hidden size / CELLS``-th number is drawn, coloured
    by its sign and its size relative to ``scale``.
    """
    hidden = len(prompt[0])
    columns = "".join(
        f'<span class="spa-token">{cells_of(vector, scale)}</span>' for vector in prompt
    )
    change = f" · moved {percent(moved)}" if moved else ""
    learnt = "not trained yet" if not episodes else f"learnt from {count(episodes, 'episode')}"
    return (
        '<section class="spa-strip" aria-label="How it works">'
        f'<figure><div class="spa-tokens" role="img" aria-label="{len(prompt)} virtual tokens, '
        f'{min(CELLS, hidden)} of {hidden} numbers drawn of each">{columns}</div>'
        f"<figcaption><b>your soft prompt {about('soft-prompt')}</b>"
        f"<span>{len(prompt)} × {hidden:,} numbers, {min(CELLS, hidden)} of each drawn</span>"
        f'<span class="spa-legend"><i class="spa-plus"></i>above 0'
        f'<i class="spa-minus"></i>below 0{change}</span>'
        f"<span>{learnt}</span></figcaption></figure>"
        '<span class="spa-operator" aria-hidden="true">+</span>'
        '<figure class="spa-text"><div class="spa-pieces"><span class="spa-optional">system</span>'
        '<span>question</span><span class="spa-optional">assistant ▸</span></div>'
        "<figcaption><b>the problem</b><span>dashed pieces: only</span>"
        "<span>with the chat template</span></figcaption></figure>"
        '<span class="spa-operator" aria-hidden="true">→</span>'
        f'<figure class="spa-frozen"><div>{_SNOWFLAKE}<b>frozen model</b></div><figcaption>'
        f'<b title="{escape(model)}">{escape(model.rstrip("/").rsplit("/", 1)[-1])}</b>'
        f"<span>{_magnitude(parameters)} weights</span>"
        "<span>none ever changes</span></figcaption></figure></section>"
    )


def cells_of(vector: Sequence[float], scale: float) -> str:
    """Every ``hidden size / CELLS``-th number of a vector as a coloured cell."""
    picked = [round(i * len(vector) / CELLS) for i in range(min(CELLS, len(vector)))]
    return "".join(_cell(vector[i], scale) for i in picked)


def _cell(value: float, scale: float) -> str:
    strength = min(abs(value) / scale, 1.0)
    return f'<i class="spa-{"plus" if value >= 0 else "minus"}" style="--v:{strength:.2f}"></i>'


def _magnitude(number: int) -> str:
    """``3_100_000`` -> ``3.1 M``."""
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.1f} {letter}"
    return str(number)
