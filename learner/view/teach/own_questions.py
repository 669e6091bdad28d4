"""Questions of a visitor's own on the Teach tab: one, or a list, learnt from as often as wanted."""

import json
import re
from functools import cache, partial
from html import escape
from pathlib import Path

import gradio as gr

from learner.measuring import Score
from learner.model.base_model import ModelFacts
from learner.model.source import POCKET_FOLDER
from learner.view.cards import VERDICTS
from learner.view.page import Page, hidden_text, html
from learner.view.picked_file import pick, picked
from learner.view.screen import Frame
from learner.visitors.checked_input import LessonError, checked_times, own_problem
from learner.visitors.lesson import Lesson
from learner.visitors.own_list import MAX_CHARACTERS, OwnList, as_lines, read_list
from learner.visitors.session import SessionError
from learner.wording import accuracy, count

MAX_FILE = 1 << 16  # bytes of a CSV file
TIMES = 20
EXAMPLES = (
    ("Emma is taller than Noah. Who is shorter?", "Noah"),
    ("What comes next: 5, 10, 15, 20, ?", "25"),
    ("Sam has 3 books. Sam buys 4 more books. How many books does Sam have now?", "7"),
    ("What is the capital of France?", "Paris"),
)
EXAMPLE_LIST = "\n".join(
    [
        *(f"{question} | {answer}" for question, answer in EXAMPLES[:3]),
        "Rosa is older than Bob. Bob is older than Tina. Who is the oldest? | Rosa",
        "Victor has 9 pens. Victor loses 4 pens. How many pens does Victor have now? | 5",
        "What comes next: 2, 4, 6, 8, ? | 10",
    ]
)
COUNTED = """(text) =>
    `<p class="spa-power spa-counted">${[...text].length} of 600 characters</p>`"""
LABEL = """(n) => {
    const whole = Number.isInteger(n) && n > 0;
    return whole ? `Train ${n} time${n === 1 ? "" : "s"} on %s` : "Train on %s";
}"""


def own_question(page: Page, question: gr.Textbox, answer: gr.Textbox) -> None:
    """What goes with a question of one's own: its length, some to try, and learning from it."""
    lesson = page.lesson
    counter = html("spa-own-counter", counted(""))
    with gr.Row(elem_classes="spa-own-examples"):
        examples = [
            gr.Button(asked, size="sm", min_width=120, elem_id=f"spa-own-example-{place}")
            for place, (asked, _) in enumerate(EXAMPLES, 1)
        ]
    note = html("spa-own-note")
    with gr.Row(elem_classes="spa-numbers"):
        times, train = _times(page, "it", "spa-own")

    def ask(example: tuple[str, str], lesson: Lesson) -> Frame:
        lesson.show(own_problem(*example))
        return dict(zip((question, answer), example, strict=True))

    for button, example in zip(examples, EXAMPLES, strict=True):
        lesson.enable(button, lambda _: True)
        lesson.act(
            button.click,
            partial(ask, example),
            [],
            [question, answer],
            busy=lambda lesson: lesson.comparison.answering,
            trigger_mode="multiple",
        )
    lesson.show(
        note,
        lambda lesson: unknown_note(_asked(lesson), lesson.base_model),
        lambda lesson: lesson.comparison.problem,
    )
    lesson.enable(train, lambda lesson: lesson.can_train_one)
    lesson.act(train.click, lambda lesson, n: lesson.train_one(checked_times(n)), [times])
    page.events.on(question.change, None, [question], [counter], js=COUNTED)


def own_list(page: Page) -> None:
    """A list of questions: written or uploaded, kept, learnt from, and tested."""
    lesson = page.lesson
    text = gr.Textbox(
        label="One a line: a question, then | and what is right",
        lines=4,
        max_lines=10,
        max_length=MAX_CHARACTERS,
        elem_id="spa-own-list",
    )
    with gr.Row(elem_classes="spa-choosers"):
        upload = gr.Button("Take a CSV file", size="md", min_width=120, elem_id="spa-own-file")
        example = gr.Button(
            "An example list", size="md", min_width=120, elem_id="spa-own-list-example"
        )
        keep = gr.Button("Keep the list", size="md", min_width=120, elem_id="spa-own-keep")
    with gr.Row(elem_classes="spa-numbers"):
        times, train = _times(page, "your list", "spa-own-list")
    file_name, file = (hidden_text() for _ in range(2))
    note, card = html("spa-own-list-note"), html("spa-own-card")

    def take(lesson: Lesson, name: object, content: object) -> Frame | None:
        if name == "":
            return None
        with picked(name, content) as path:
            lines = _text_of(path)
        lesson.keep_list(read_list(lines))
        return {text: lines}

    def teach(lesson: Lesson, lines: object, n: object) -> None:
        number, problems = checked_times(n), read_list(lines)
        if problems != lesson.own_list.problems:
            lesson.keep_list(problems)
        lesson.train_list(number)

    def fill(session_id: object) -> str:
        try:
            return as_lines(page.lessons.get(session_id).own_list.problems)
        except SessionError:  # somebody new
            return ""

    lesson.show(
        note,
        lambda lesson: unknown_note(_listed(lesson), lesson.base_model),
        lambda lesson: lesson.own_list.problems,
    )
    lesson.show(
        card,
        lambda lesson: own_list_card(lesson.own_list, lesson.own_held_out),
        lambda lesson: (lesson.own_list, lesson.own_held_out),
    )
    for button in (train, keep, upload):
        lesson.enable(button, lambda lesson: not lesson.run)
    lesson.act(keep.click, lambda lesson, lines: lesson.keep_list(read_list(lines)), [text])
    page.events.on(example.click, lambda: EXAMPLE_LIST, [], [text])
    lesson.act(
        upload.click,
        take,
        [file_name, file],
        [text, file],
        js=pick([".csv", ".tsv", ".txt"]),
        at_first={file: ""},  # Gradio need not remember it
    )
    lesson.act(train.click, teach, [text, times])
    arrivals = [page.demo.load, page.at.change]
    page.events.on(arrivals, fill, [page.browser], [text], trigger_mode="multiple")


def _listed(lesson: Lesson) -> str:
    return " ".join(problem.question for problem in lesson.own_list.problems)


def _asked(lesson: Lesson) -> str:
    """The question of their own that the visitor asked; "" where they ask another."""
    problem = lesson.comparison.problem
    return problem.question if problem and problem.family == "own" else ""


def _times(page: Page, what: str, element_id: str) -> tuple[gr.Number, gr.Button]:
    """How often, and the button that does it."""
    times = gr.Number(
        TIMES, label="Times", step=1, min_width=90, scale=1, elem_id=f"{element_id}-times"
    )
    train = gr.Button(
        f"Train {TIMES} times on {what}",
        size="md",
        scale=3,
        min_width=180,
        elem_id=f"{element_id}-train",
    )
    page.events.on(times.change, None, [times], [train], js=LABEL.replace("%s", what))
    return times, train


def _text_of(path: Path) -> str:
    if path.stat().st_size > MAX_FILE:
        raise LessonError(f"A list has at most {MAX_CHARACTERS:,} characters; this file has more.")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise LessonError("The file is not text in UTF-8; save it again as CSV UTF-8.") from error


def own_list_card(own: OwnList, held_out: tuple[Score | None, Score | None]) -> str:
    """The list, with its accuracy and that on the held-out set side by side: before, and now."""
    if not own.problems:
        return ""
    before, now = own.scores
    rows = [
        (f"Your {count(len(own.problems), 'question')}, learnt from", (before, now)),
        ("Held-out problems, never learnt from", held_out),
    ]
    asked = f"after {count(own.episodes[1], 'episode')}" if now else "now"
    head = f'<tr><td></td><th scope="col">before</th><th scope="col">{asked}</th></tr>'
    table = (
        f"<table><thead>{head}</thead><tbody>"
        + "".join(
            f'<tr><th scope="row">{name}</th>{"".join(map(_share, scores))}</tr>'
            for name, scores in rows
        )
        + "</tbody></table>"
        '<p class="spa-power">Where only the first row rises, it learns the answers by heart.</p>'
    )
    questions = "".join(_question(own, place) for place in range(len(own.problems)))
    return (
        f'<div class="spa-own">{table if before else ""}'
        f'<ol class="spa-own-questions">{questions}</ol></div>'
    )


def counted(question: str) -> str:
    """How long a question is; the page's own script writes the same (`COUNTED`)."""
    return f'<p class="spa-power spa-counted">{len(question)} of 600 characters</p>'


def unknown_note(text: str, base_model: ModelFacts) -> str:
    """A warning where the embedded model cannot know what questions of one's own are about."""
    unknown = unknown_words(text) if base_model.source.is_embedded else []
    if not unknown:
        return ""
    words = ", ".join(f"“{escape(word)}”" for word in unknown[:3])
    more = " and others" if len(unknown) > 3 else ""
    return (
        f'<p class="spa-power" role="status">The embedded model has read nothing but puzzles of '
        f"five kinds, and never {words}{more}: it cannot know, and will hardly learn it even by "
        "heart.</p>"
    )


def unknown_words(text: str) -> list[str]:
    """The words of a text that the embedded model never read often enough to have in one piece."""
    words = dict.fromkeys(re.findall(r"[^\W\d_]{3,}", text))
    return [word for word in words if word.casefold() not in _known_words()]


@cache
def _known_words() -> frozenset[str]:
    vocabulary = json.loads((POCKET_FOLDER / "tokenizer.json").read_text(encoding="utf-8"))
    return frozenset(
        token.removeprefix("\u0120").casefold() for token in vocabulary["model"]["vocab"]
    )


def _share(score: Score | None) -> str:
    if score is None:
        return "<td>–</td>"
    return (
        f"<td><b>{score.correct}</b> of {score.n}: {accuracy(score.accuracy, score.interval)}</td>"
    )


def _question(own: OwnList, place: int) -> str:
    problem = own.problems[place]
    verdicts = [VERDICTS[letters[place]] for letters in (own.before, own.now) if letters]
    kind = verdicts[-1][0] if verdicts else "ungraded"
    went = " → ".join(f'<i aria-hidden="true">{mark}</i> {word}' for _, mark, word in verdicts)
    said = f"<span>it says: {escape(own.said[place]) or '(nothing)'}</span>" if own.said else ""
    return (
        f'<li class="spa-{kind}"><span>{escape(problem.question)} <b>{escape(problem.answer)}</b>'
        f'</span>{said}<span class="spa-verdict">{went or "not asked yet"}</span></li>'
    )
