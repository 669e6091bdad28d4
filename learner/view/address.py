"""The address is the demo: what it says is shown, and what is shown stands in it.

A hidden part of the page, the facts, tells the page's scripts where the lesson is; `address.js`
writes them into the address.
"""

import json
from dataclasses import replace
from html import escape
from urllib.parse import parse_qsl

import gradio as gr

from learner.measuring import Score
from learner.view.page import Page, hidden_text, html
from learner.view.screen import SLOW, Frame, tell
from learner.visitors import demo
from learner.visitors.checked_input import ANY_DIFFICULTY, ANY_FAMILY, LessonError
from learner.visitors.lesson import Lesson
from learner.visitors.models import NotThere

OFFERED = {"family": ANY_FAMILY, "difficulty": ANY_DIFFICULTY, "episodes": 80}
"""The controls that only the page knows of, by their parameter, and what they say by default."""

MAX_ADDRESS = 4000  # characters; more is nobody's link

WRITE = "(...values) => window.spaAddress && window.spaAddress.choose(values)"
BEGIN = "(session) => [session, window.spaAddress.demo || '']"


def keep_address(page: Page) -> None:
    """Let the page's scripts know where the lesson is, and let them begin a demo anew."""
    facts = html("spa-facts")
    page.lesson.show(facts, _facts)
    chosen = [page.controls[name] for name in OFFERED]
    changed = [control.change for control in chosen]  # type: ignore[attr-defined]
    page.events.on(changed, None, chosen, [], js=WRITE)
    begin = gr.Button(visible="hidden", elem_id="spa-begin")
    query = hidden_text("spa-begin-query")

    def begin_anew(lesson: Lesson, query: object) -> Frame:
        return open_demo(page, lesson, query, anew=True)

    page.lesson.act(begin.click, begin_anew, [query], chosen, js=BEGIN, limiter=SLOW)


def open_demo(page: Page, lesson: Lesson, query: object, anew: bool = False) -> Frame:
    """Show what an address asks for, and what its controls then say.

    What makes no sense is left out, with one sentence about it.
    """
    told = query if isinstance(query, str) else ""
    parameters = dict(parse_qsl(told[:MAX_ADDRESS].lstrip("?")))
    if "again" in parameters and page.lessons.sessions.has_chosen(lesson.session.id):
        # A reload stays at the model that was chosen, perhaps since.
        parameters.pop("model", None)
    try:
        lesson = _gone_over(page, lesson, parameters.get("model"))
    except NotThere as reason:
        tell(str(reason), warning=True)
        del parameters["model"]
    if parameters.get("model") == lesson.base_model.name:  # a link says the short one
        parameters["model"] = _model(lesson)
    wanted, nonsense = demo.read(parameters, _model(lesson), lesson.exam.formats)
    if "again" in parameters and lesson.learner.episodes:  # a reload keeps what was learnt
        wanted = replace(wanted, seed=None, place=None, own=None, chat_template=None, signal=None)
    if "tab" in parameters and parameters["tab"] not in page.tabs:
        nonsense.append("tab")
    if nonsense:
        tell(_left_out(nonsense, _model(lesson)), warning=True)
    if demo.show(lesson, wanted, anew) and not wanted.story:
        what = "The story" if anew else "This link"
        tell(f"{what} starts with a fresh soft prompt; Undo brings yours back.")
    offered = {
        "family": wanted.family,
        "difficulty": wanted.difficulty,
        "episodes": wanted.episodes,
    }
    return {
        page.controls[name]: gr.update(value=value)
        for name, value in offered.items()
        if value is not None
    }


def _gone_over(page: Page, lesson: Lesson, name: str | None) -> Lesson:
    """The visitor's lesson in front of the model of this name, if there is one.

    Raises NotThere if it still loads, or if it cannot be had.
    """
    try:
        model = page.lessons.models.find(name or lesson.base_model.name)
    except NotThere:
        raise
    except LessonError:
        return lesson
    if model.base_model.source == lesson.base_model.source:
        return lesson
    return page.lessons.change(lesson.session.id, model)


def _left_out(names: list[str], model: str) -> str:
    *first, last = names
    what = f"{', '.join(first)} and {last}" if first else last
    verbs = "mean nothing here and were" if first else "means nothing here and was"
    wrong = f"This link's {what} {verbs} left out"
    if "model" in names:
        wrong += f" (the model here is {model})"
    return f"{wrong}."


def _facts(lesson: Lesson) -> str:
    """Where the lesson is, as JSON for the page's scripts."""
    run, alone = lesson.run, lesson.exam.alone(lesson.chat_template)
    told = {
        "address": demo.address(lesson),
        "model": _model(lesson),
        "episodes": lesson.learner.episodes,
        "run": {"done": run.done, "total": run.total} if run else None,
        "answering": lesson.comparison.answering,
        "chat": lesson.chat_template,
        "heldOut": len(lesson.exam.problems),
        "asked": lesson.score.n if lesson.score else 0,
        "alone": _score(alone),
        "score": _score(lesson.latest_score),
        "gold": lesson.comparison.problem.answer if lesson.comparison.problem else "",
    }
    return f'<i hidden data-facts="{escape(json.dumps(told), quote=True)}"></i>'


def _score(score: Score | None) -> dict[str, int] | None:
    """How many of how many were right, and after how many episodes."""
    if score is None:
        return None
    return {"right": score.correct, "n": score.n, "episodes": score.episodes}


def _model(lesson: Lesson) -> str:
    return lesson.base_model.source.short_name
