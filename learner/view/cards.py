"""The words of the page as HTML strings: the problem, the four answers, the progress.

Pure functions. Whatever a model or a person wrote is escaped here, and nowhere else. State is
always said with a word and a mark, never by colour alone.
"""

from collections.abc import Sequence
from html import escape

from arena import Grade, Problem, split_of
from learner.measuring import NO_ANSWER, RIGHT, WRONG
from learner.view.help import about
from learner.visitors.comparison import CONDITIONS, GradedCompletion
from learner.wording import count, duration

VERDICTS = {
    RIGHT: ("right", "✓", "right"),
    WRONG: ("wrong", "✗", "wrong"),
    NO_ANSWER: ("none", "–", "no answer"),
}
"""(kind, mark, word) of a graded answer, by its outcome."""
LONG = 90
"""Characters from which on a completion is set smaller."""


def header() -> str:
    """The name of the app, the idea in one sentence, and ways to show it to others."""
    return (
        '<header class="spa-header"><h1>Soft Prompt Arena</h1>'
        "<p>Watch a frozen language model learn, from eight vectors and nothing else.</p>"
        '<nav class="spa-show" aria-label="To show it to others">'
        '<button type="button" data-show="story">▶ Show me</button>'
        '<button type="button" data-show="stage">Stage</button>'
        '<button type="button" data-show="room">Room</button>'
        '<button type="button" data-show="copy">Copy link to this demo</button></nav></header>'
    )


def problem_card(problem: Problem, learnt: bool) -> str:
    """The question, large; where it is from; its answer and explanation folded away.

    ``learnt`` says that this learner has been trained on this very problem.
    """
    own = problem.family == "own"
    chips = _chip("your own question")
    if not own:
        split = split_of(problem)
        chips = _chip(problem.family.replace("_", " "), problem.family)
        chips += _chip(f"difficulty {problem.difficulty}")
        chips += _chip(split, split if split == "held-out" else "")
    if learnt:
        chips += '<span class="spa-chip spa-chip-learnt">✎ learnt from: not a fair test now</span>'
    return (
        f'<article class="spa-problem"><div class="spa-chips">{chips}</div>'
        f'<p class="spa-question">{escape(problem.question)}</p>{_gold(problem)}</article>'
    )


def problem_placeholder() -> str:
    """The room of a problem card, before there is a problem."""
    return (
        '<article class="spa-problem"><div class="spa-chips"><span class="spa-chip">…</span></div>'
        '<p class="spa-question"></p><p class="spa-gold">&nbsp;</p></article>'
    )


def answer_grid(completions: Sequence[GradedCompletion], focus: bool | None = None) -> str:
    """Four cards, rows and columns named; ``completions`` in the order of ``CONDITIONS``.

    ``focus`` marks the column (with the chat template?) whose soft-prompt answer training is
    about to change.
    """
    cells = [
        '<span class="spa-corner"></span>',
        f'<span class="spa-column">With the chat template {about("chat-template")}</span>',
        '<span class="spa-column">Without it</span>',
    ]
    for (chat_template, soft_prompt), answer in zip(CONDITIONS, completions, strict=True):
        if chat_template:
            row = "With your soft prompt" if soft_prompt else "Model alone"
            kind = "spa-side spa-side-soft" if soft_prompt else "spa-side"
            cells.append(f'<span class="{kind}">{row}</span>')
        cells.append(_answer_card(answer, chat_template, soft_prompt, focus is chat_template))
    return f'<section class="spa-answers" aria-label="Four answers">{"".join(cells)}</section>'


def hint(text: str, kind: str = "next") -> str:
    """One line that says what to do now; ``kind`` is next, working or done.

    ``**bold**`` marks the name of a control; everything is escaped.
    """
    pieces = text.split("**")
    marked = "".join(
        f"<b>{escape(piece)}</b>" if i % 2 else escape(piece) for i, piece in enumerate(pieces)
    )
    mark = {"next": "→", "working": "◌", "done": "✓"}[kind]
    return (
        f'<p class="spa-hint spa-hint-{kind}"><span aria-hidden="true">{mark}</span>'
        f"<span>{marked}</span></p>"
    )


def progress(
    done: int,
    total: int,
    rate: float | None,
    left: float | None,
    note: str = "",
    thing: str = "episode",
    name: str = "Training",
    then: str = "",
) -> str:
    """How many, how fast, how long still: ``24 of 80 episodes · 31 a second · 2 s left``.

    ``name`` is what goes on, a ``thing`` at a time, and ``then`` what comes after it. ``rate`` is
    in things a second and ``left`` in seconds; None where not known yet. With ``total`` 0 nothing
    is running and ``note`` stands alone; the room it takes is the same.
    """
    if not total:
        return (
            '<div class="spa-progress spa-progress-idle"><div class="spa-bar"><i style="width:0%">'
            f"</i></div><p>{escape(note) or '&nbsp;'}</p></div>"
        )
    parts = [f"<b>{done:,}</b> of {count(total, thing)}"]
    if note:
        parts.append(escape(note))
    elif rate is not None and left is not None:
        fast = f"{rate:.0f} a second" if rate >= 1 else f"{rate:.1f} a second"
        parts += [fast, f"{duration(left)} left{then and ', '}{then}"]
    share = 100 * done / total
    spoken = " · ".join([f"{done:,} of {count(total, thing)}", *parts[1:]])
    if then and len(parts) == 3:  # where a phone has no room for all of it
        parts[1:] = [f'<span class="spa-rate">{parts[1]} · </span>{parts[2]}']
    return (
        f'<div class="spa-progress"><div class="spa-bar" role="progressbar" aria-valuemin="0" '
        f'aria-valuemax="{total}" aria-valuenow="{done}" aria-label="{name}" '
        f'aria-valuetext="{spoken}">'
        f'<i style="width:{share:.1f}%"></i></div><p>{" · ".join(parts)}</p></div>'
    )


def live(
    answer: GradedCompletion,
    curve: Sequence[tuple[int, float]],
    n: int,
    alone: float | None,
    until: int,
) -> str:
    """The watched answer, the curve as a small line, and the latest score of ``n`` problems.

    ``curve`` holds (episodes, accuracy); ``alone`` is that of the model alone in the same format.
    """
    kind, mark, word = verdict(answer.grade) if answer.finished else ("writing", "…", "writing")
    text = " ".join(answer.text.split())
    points = " ".join(f"{100 * at / until:.1f},{30 - 28 * y:.1f}" for at, y in curve)
    dashed = f'<path class="spa-live-alone" d="M0 {30 - 28 * alone:.1f}H100"/>' if alone else ""
    score = f"<b>{100 * curve[-1][1]:.0f}\u202f%</b> of {n}" if curve else "no score yet"
    return (
        f'<div class="spa-live spa-{kind}"><span class="spa-live-answer">'
        f'<span aria-hidden="true">☞</span> {escape(text[:60]) or "…"}</span>'
        f'<span class="spa-verdict"><i aria-hidden="true">{mark}</i> {word}</span>'
        '<svg viewBox="0 0 100 32" preserveAspectRatio="none" aria-hidden="true">'
        f'{dashed}<polyline points="{points}"/></svg>'
        f'<span class="spa-live-score">{score}</span></div>'
    )


def explanation(title: str, text: str) -> str:
    """A heading and a paragraph, for a panel whose controls need a few words."""
    return f'<div class="spa-explanation"><h2>{escape(title)}</h2><p>{escape(text)}</p></div>'


def title(text: str) -> str:
    """The heading of a panel whose buttons stand beside it."""
    return f'<h2 class="spa-title">{escape(text)}</h2>'


def status(text: str) -> str:
    """A line that says what just happened, read out by screen readers; empty, it keeps its room."""
    return f'<p class="spa-status" role="status">{escape(text) or "&nbsp;"}</p>'


def verdict(grade: Grade | None) -> tuple[str, str, str]:
    """(kind, mark, word) of a grade; without one: nothing to grade against."""
    if grade is None:
        return "ungraded", "·", "not graded"
    if grade.extracted is None:
        return "none", "–", "no answer"
    return ("right", "✓", "correct") if grade.correct else ("wrong", "✗", "wrong")


def highlighted(text: str, span: tuple[int, int] | None) -> str:
    """The text escaped, with ``text[span[0]:span[1]]`` marked."""
    if span is None:
        return escape(text)
    start, end = span
    return f"{escape(text[:start])}<mark>{escape(text[start:end])}</mark>{escape(text[end:])}"


# --- parts -------------------------------------------------------------------------------------


def _answer_card(
    answer: GradedCompletion, chat_template: bool, soft_prompt: bool, focus: bool
) -> str:
    kind, mark, word = ("writing", "…", "writing")
    if answer.absent:
        kind, mark, word = ("absent", "·", "not available")
    elif answer.failed:
        kind, mark, word = ("none", "–", "not answered")
    elif answer.finished:
        kind, mark, word = verdict(answer.grade)
    classes = ["spa-answer", f"spa-{kind}"]
    if soft_prompt:
        classes.append("spa-soft")
        classes += ["spa-focus"] if focus else []
    where = (
        f"{'Soft prompt' if soft_prompt else 'Model alone'} · "
        f"{'with' if chat_template else 'without'} template"
    )
    grade = answer.grade if answer.finished else None
    text = highlighted(answer.text, grade.span if grade else None)
    length = "spa-completion spa-long" if len(answer.text) > LONG else "spa-completion"
    if answer.finished and not answer.text.strip():
        nothing = "reload the page to ask again" if answer.failed else "it wrote nothing"
        text = f'<span class="spa-empty">({nothing})</span>'
    if answer.absent:
        text = '<span class="spa-empty">This model has no chat template.</span>'
    elif not answer.finished:
        text += '<span class="spa-caret"></span>'
    reason = escape(grade.reason) if grade else "&nbsp;"
    cost = f"{count(answer.tokens, 'token')} · {1000 * answer.seconds:.0f} ms"
    watch = '<span class="spa-watch">☞ watch this one</span>' if soft_prompt and focus else ""
    return (
        f'<article class="{" ".join(classes)}" data-corner="{_corner(chat_template, soft_prompt)}" '
        f'data-name="{where}">'
        f'<div class="spa-answer-head"><span class="spa-where">{where}</span>{watch}'
        f'<span class="spa-verdict"><i aria-hidden="true">{mark}</i> {word}</span></div>'
        f'<p class="{length}">{text}</p>{_before(answer) if soft_prompt else ""}'
        f'<p class="spa-reason"><span>{reason}</span><span>{cost if answer.tokens else "&nbsp;"}'
        "</span></p></article>"
    )


def _before(answer: GradedCompletion) -> str:
    """What this card said before learning; its room is kept when there is nothing to say."""
    if answer.before is None:
        return '<p class="spa-before-text">&nbsp;</p>'
    text, grade = answer.before
    _, mark, word = verdict(grade)
    if answer.finished and text.split() == answer.text.split():
        return '<p class="spa-before-text">before: the same</p>'
    short = " ".join(text.split())
    short = short if len(short) <= 30 else f"{short[:29]}…"
    said = f"<s>{escape(short)}</s>" if any(map(str.isalnum, short)) else "a blank"
    return (
        f'<p class="spa-before-text">before: <i aria-hidden="true">{mark}</i> {word} · {said}</p>'
    )


def _chip(label: str, word: str = "") -> str:
    """A label; one that needs to be explained is a button that does."""
    words = about(word, label) if word else escape(label)
    return f'<span class="spa-chip">{words}</span>'


def _gold(problem: Problem) -> str:
    if not problem.answer:
        return '<p class="spa-gold">no answer given, so nothing is graded</p>'
    explanation = f"<span>{escape(problem.explanation)}</span>" if problem.explanation else ""
    return (
        '<details class="spa-gold"><summary>Show the answer</summary>'
        f"<p><b>{escape(problem.answer)}</b>{explanation}</p></details>"
    )


def _corner(chat_template: bool, soft_prompt: bool) -> str:
    return f"{'soft' if soft_prompt else 'alone'}-{'chat' if chat_template else 'plain'}"
