"""The Save & share tab: the trained soft prompt as a file, and on the Hugging Face Hub."""

import math
import re
import tempfile
import time
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from learner import wording
from learner.checkpoint.atomic_folder import write_file
from learner.checkpoint.files import ORIGINAL_SUFFIXES, load_file, save_zip
from learner.checkpoint.reading import OtherModelError
from learner.checkpoint.results import HeldOutResults
from learner.experiments.score_table import as_csv
from learner.hub.client import HubError, RemoteChangedError, whoami
from learner.hub.in_time import in_time
from learner.hub.push import push
from learner.hub.reference import checked_repo_id, default_repo_id, parse_reference
from learner.hub.soft_prompts import Fetched, browse, fetch
from learner.learning.learner import Learner
from learner.measuring import Score
from learner.view import cards
from learner.view.page import Page, answering, explained, follow, hidden_text, html
from learner.view.picked_file import pick, picked
from learner.view.screen import SLOW, Frame, said, tell
from learner.view.server.login import can_sign_in
from learner.view.share import hub_cards
from learner.visitors.checked_input import LessonError
from learner.visitors.exam import Exam
from learner.visitors.followed import LOOK_SECONDS, MOST_MEASURING
from learner.visitors.lesson import Lesson
from learner.visitors.models import Taught

MAX_SEEN = 20  # repositories whose head a session remembers
SORTS = [("newest", "recent"), ("most liked", "liked")]

# Offers a repository's name, but never in place of one that somebody typed, even meanwhile.
TAKE_OFFERED = """(repo, offered, taken) =>
    !repo || repo === taken ? [offered, offered] : [repo, taken]"""
# Fills the box with the whole address that opens the app with what was pushed.
WHOLE_LINK = "(query) => query && new URL(query, location.origin + location.pathname).href"
COPY_LINK = """async (link) => {
    try { await navigator.clipboard.writeText(link); return "Copied"; }
    catch { document.querySelector("#spa-link textarea, #spa-link input").select(); }
    return "Press Ctrl+C";
}"""


def share_tab(page: Page, tab: gr.Tab) -> None:
    """Lay out the tab and say what its controls do."""
    _files(page)
    with gr.Row(elem_classes="spa-hub", equal_height=False):
        _push(page, tab)
        _pull(page)


def _files(page: Page) -> None:
    """Take the soft prompt along as a file, and go on with one."""
    with gr.Row(elem_classes="spa-share", equal_height=True):
        with explained(
            "spa-save-words", "Take it with you", f"{_SAVE_WORDS} {page.sessions.promise}"
        ):
            save = gr.Button("Download your soft prompt", variant="primary", elem_id="spa-save")
            save_table = gr.Button(
                "Download its results as a table (CSV)", size="md", elem_id="spa-save-table"
            )
            file = gr.DownloadButton("Soft prompt file", visible="hidden", elem_id="spa-file")
        with explained("spa-load-words", "Go on with one you have", _LOAD_WORDS):
            load = gr.Button("Load a soft prompt", elem_id="spa-load")
            file_name_picked, file_picked = (hidden_text() for _ in range(2))
            accept_other_model = gr.Checkbox(label=_ACCEPT, elem_id="spa-accept-other-model")
    status = html("spa-share-status", cards.status(""))

    nothing_yet: Frame = {status: cards.status("")}

    def save_file(session_id: object) -> Iterator[Frame]:
        yield nothing_yet
        with said(), tempfile.TemporaryDirectory() as folder:
            lesson = page.lessons.get(session_id)
            learner = lesson.learner
            path = save_zip(learner, Path(folder) / file_name(learner), lesson.base_model)
            size = path.stat().st_size / 1024
            told = cards.status(
                f"Saved {path.name}: learnt from {wording.count(learner.episodes, 'episode')}, "
                f"{size:.0f} KB."
            )
            yield {file: str(path), status: told}

    def save_results(session_id: object) -> Iterator[Frame]:
        yield nothing_yet
        with said(), tempfile.TemporaryDirectory() as folder:
            lesson = page.lessons.get(session_id)
            name = Path(file_name(lesson.learner)).with_suffix(".csv").name
            path = write_file(results_table(lesson).encode(), Path(folder) / name)
            yield {file: str(path), status: cards.status(f"Saved {name}: a line an exam.")}

    def load_picked(lesson: Lesson, accept: object, name: object, text: object) -> Frame | None:
        if name == "":
            return None
        try:
            with picked(name, text) as path:
                model, learner = page.lessons.read(
                    lesson, lambda base_model: load_file(path, base_model, accept is True)
                )
        except OtherModelError as error:
            raise OtherModelError(f"{error} To do so, tick “{_ACCEPT}” first.") from error
        page.lessons.adopt(lesson, model, learner)
        told = (
            f"Loaded{_gone_over(lesson, model)}. It has learnt from "
            f"{wording.count(learner.episodes, 'episode')}; Undo, on the Teach tab, brings back "
            "the one before."
        )
        return {status: cards.status(told)}

    page.events.on(
        save.click, save_file, [page.browser], [file, status], then={"js": follow("spa-file")}
    )
    page.events.on(
        save_table.click,
        save_results,
        [page.browser],
        [file, status],
        then={"js": follow("spa-file")},
    )
    page.lesson.act(
        load.click,
        load_picked,
        [accept_other_model, file_name_picked, file_picked],
        [status, file_picked],
        busy=answering,
        js=pick([".zip", *ORIGINAL_SUFFIXES]),
        at_first={**nothing_yet, file_picked: ""},  # Gradio need not remember the file
        limiter=SLOW,
    )


def _push(page: Page, tab: gr.Tab) -> None:
    """Push the soft prompt to the Hub with one click."""
    with explained("spa-push-words", "Share it on the Hub", _PUSH_WORDS):
        if can_sign_in():
            gr.LoginButton(size="md", elem_id="spa-sign-in")
        who = html("spa-who", hub_cards.note(""))
        repo = gr.Textbox(
            label="Repository",
            placeholder="you/soft-prompt-name",
            max_length=96,
            elem_id="spa-repo",
        )
        message = gr.Textbox(label="What changed (optional)", max_length=200, elem_id="spa-message")
        private = gr.Checkbox(True, label="Private: only you can see it", elem_id="spa-private")
        push_button = gr.Button("Push to the Hub", elem_id="spa-push")
        pushed = html("spa-pushed", hub_cards.note(""))
        link = gr.Textbox(
            label="Opens the app with this soft prompt",
            interactive=False,
            max_lines=1,
            visible="hidden",
            elem_id="spa-link",
        )
        copy = gr.Button("Copy link", size="md", visible="hidden", elem_id="spa-copy")
    account = gr.State("")
    offered = hidden_text("spa-offered")
    taken = hidden_text("spa-taken")

    def greet(
        session_id: object, account: str, request: gr.Request, oauth: gr.OAuthToken | None
    ) -> tuple[Any, Any, Any]:
        who = gr.skip()
        try:
            lesson = page.lessons.get(session_id)
            if not account:  # the Hub is strict about how often it is asked who somebody is
                token = page.login.token(request, oauth)
                if token is None:
                    return hub_cards.note(page.login.how_to_sign_in(request)), gr.skip(), gr.skip()
                answer = whoami(token)
                who, account = hub_cards.who(answer), answer.name
        except ValueError as error:
            return hub_cards.note(str(error)), gr.skip(), gr.skip()
        return (
            who,
            account,
            default_repo_id(account, lesson.base_model.source, lesson.learner.families),
        )

    def push_prompt(
        session_id: object,
        repo: object,
        private: object,
        message: object,
        request: gr.Request,
        oauth: gr.OAuthToken | None,
    ) -> Iterator[Frame]:
        with said():
            token = page.login.token(request, oauth)
            if token is None:
                raise HubError(page.login.how_to_sign_in(request))
            name = checked_repo_id(repo)
            lesson = page.lessons.get(session_id)
            learner = lesson.learner
            hidden = gr.update(visible="hidden")
            yield {pushed: hub_cards.note("One moment …"), link: hidden, copy: hidden}
            try:
                with lesson.acting(MOST_MEASURING):
                    results = yield from _told(
                        held_out_results(lesson, learner), lesson.exam, pushed
                    )
                yield {pushed: hub_cards.note("Pushing …")}
                done = push(
                    learner,
                    name,
                    token,
                    private=private is not False,
                    message=str(message or ""),
                    results=results,
                    parent_commit=_seen(lesson).get(name),
                    base_model=lesson.base_model,
                )
            except RemoteChangedError as changed:
                _see(lesson, name, changed.commit)
                yield {pushed: hub_cards.note("")}
                raise
            except ValueError:
                yield {pushed: hub_cards.note("")}
                raise
            _see(lesson, name, done.commit)
            yield {
                pushed: hub_cards.pushed(done),
                link: gr.update(value=done.share.query, visible=True),
                copy: gr.update(value="Copy link", visible=True),
            }

    page.events.on(
        tab.select,
        greet,
        [page.browser, account],
        [who, account, offered],
        then={
            "inputs": [repo, offered, taken],
            "outputs": [repo, taken],
            "js": TAKE_OFFERED,
        },
    )
    page.events.on(
        push_button.click,
        push_prompt,
        [page.browser, repo, private, message],
        [pushed, link, copy],
        then={"inputs": [link], "outputs": [link], "js": WHOLE_LINK},
    )
    page.events.on(copy.click, None, [link], [copy], js=COPY_LINK)


def _pull(page: Page) -> None:
    """Look at a soft prompt on the Hub, then go on with it; browse those for this model."""
    with explained("spa-pull-words", "Go on with somebody else's", _PULL_WORDS):
        with gr.Row(elem_classes="spa-choosers"):
            reference = gr.Textbox(
                label="Soft prompt on the Hub",
                placeholder="user/name, or the address of its page",
                max_length=500,
                max_lines=1,
                scale=4,
                min_width=200,
                elem_id="spa-reference",
            )
            look = gr.Button("Look", size="md", scale=1, min_width=90, elem_id="spa-look")
        preview = html("spa-preview", hub_cards.note(""))
        looked = gr.State("")
        adopt = gr.Button("Use it", variant="primary", visible="hidden", elem_id="spa-adopt")
        with gr.Row(elem_classes="spa-choosers"):
            sort = gr.Radio(
                SORTS,
                value="recent",
                label="Soft prompts for this model",
                scale=4,
                min_width=200,
                elem_id="spa-sort",
            )
            browse_button = gr.Button(
                "Browse", size="md", scale=1, min_width=90, elem_id="spa-browse"
            )
        listing = html("spa-listing", hub_cards.note(""))
        found = gr.Radio([], label="Found", visible="hidden", elem_id="spa-found-list")

    def look_at(
        session_id: object, reference: object, request: gr.Request, oauth: gr.OAuthToken | None
    ) -> Iterator[Frame]:
        with said():
            hidden = gr.update(visible="hidden")
            yield {preview: hub_cards.note("Looking …"), looked: "", adopt: hidden}
            try:
                lesson = page.lessons.get(session_id)
                _, fetched = in_time(lambda: _fetch(page, reference, lesson, request, oauth))
            except ValueError:
                yield {preview: hub_cards.note(""), looked: "", adopt: hidden}
                raise
            label = "Use it anyway" if fetched.warning else "Use it"
            yield {
                preview: hub_cards.preview(fetched),
                looked: str(fetched.share),
                adopt: gr.update(value=label, visible=True),
            }

    async def go_on_with(
        session_id: object, reference: object, request: gr.Request, oauth: gr.OAuthToken | None
    ) -> AsyncIterator[Frame]:
        def change(lesson: Lesson) -> Frame:
            model, fetched = in_time(lambda: _fetch(page, reference, lesson, request, oauth))
            page.lessons.adopt(lesson, model, fetched.learner)
            gone_over = _gone_over(lesson, model)
            told = f"You go on with {reference}{gone_over}; Undo, on the Teach tab, goes back."
            return {preview: hub_cards.note(told), adopt: gr.update(visible="hidden")}

        yield {preview: hub_cards.note("")}
        async for frame in page.lesson.doing(session_id, change, answering, limiter=SLOW):
            yield frame

    def list_found(
        session_id: object, sort: object, request: gr.Request, oauth: gr.OAuthToken | None
    ) -> Iterator[Frame]:
        with said():
            lesson, token = page.lessons.get(session_id), page.login.token(request, oauth)
            yield {listing: hub_cards.note("Asking the Hub …")}
            try:
                prompts = in_time(lambda: browse(lesson.base_model.source, token, sort=str(sort)))
            except ValueError:
                yield {listing: hub_cards.note("")}
                raise
            choices = [(hub_cards.choice(prompt), prompt.repo_id) for prompt in prompts]
            label = "Choose one to look at" if choices else "Nobody has shared one yet"
            yield {
                listing: hub_cards.note(""),
                found: gr.update(choices=choices, value=None, label=label, visible=True),
            }

    shown = [preview, looked, adopt]
    page.events.on([look.click, reference.submit], look_at, [page.browser, reference], shown)
    page.events.on(found.input, look_at, [page.browser, found], shown)
    page.events.on(adopt.click, go_on_with, [page.browser, looked], [preview, adopt, page.lesson])
    page.events.on(browse_button.click, list_found, [page.browser, sort], [found, listing])


def open_link(
    page: Page,
    lesson: Lesson,
    linked: object,
    request: gr.Request,
    oauth: gr.OAuthToken | None,
) -> None:
    """Open the soft prompt of a shared link in a visitor's lesson, and tell them."""
    try:
        model, fetched = in_time(lambda: _fetch(page, linked, lesson, request, oauth))
        if fetched.warning:
            raise HubError(f"{fetched.warning} Look at it under Save & share.")
        page.lessons.adopt(lesson, model, fetched.learner)
    except ValueError as error:
        tell(str(error), "The link was not opened", warning=True)
    else:
        tell(
            f"You go on with {fetched.repo_id}{_gone_over(lesson, model)}; "
            "Undo brings back your own.",
            "Opened from a link",
        )


def _told(
    measuring: Generator[Score, None, HeldOutResults | None], exam: Exam, note: gr.HTML
) -> Generator[Frame, None, HeldOutResults | None]:
    """What the measuring returns; how far it is, now and then, goes into the note."""
    told = -math.inf
    while True:
        try:
            score = next(measuring)
        except StopIteration as done:
            results: HeldOutResults | None = done.value
            return results
        if time.monotonic() - told > LOOK_SECONDS:
            told = time.monotonic()
            words = f"Measuring it first: {score.n} of {len(exam.problems)} problems …"
            yield {note: hub_cards.note(words)}


def held_out_results(
    lesson: Lesson, learner: Learner
) -> Generator[Score, None, HeldOutResults | None]:
    """This learner's held-out results, measured now unless they are known already.

    Yields the score as it grows; returns None while the model alone, which they are paired with, is
    still being measured.
    """
    exam, chat_template = lesson.exam, learner.config.chat_template
    alone = exam.alone(chat_template)
    if alone is None or not exam.is_whole(alone):
        return None
    known = [
        result
        for result in lesson.results()
        if result.episodes == learner.episodes
        and result.chat_template is chat_template
        and exam.is_whole(result)
    ]
    if known:
        return HeldOutResults.of(exam.problems, alone, known[-1])
    for result in exam.grow(learner, chat_template):
        yield result
    return HeldOutResults.of(exam.problems, alone, result)


def results_table(lesson: Lesson) -> str:
    """The held-out results in the format learnt in, as CSV: the model alone, and by episodes.

    Raises LessonError before there are any.
    """
    alone = lesson.exam.alone(lesson.chat_template)
    scores = [("model alone", alone)] if alone else []
    scores += [("soft prompt", score) for score in lesson.results()]
    if not scores:
        raise LessonError("Nothing has been measured yet; wait a moment.")
    return as_csv(
        ({"asked_of": who, "chat_template": score.chat_template}, score) for who, score in scores
    )


def _fetch(
    page: Page,
    reference: object,
    lesson: Lesson,
    request: gr.Request,
    oauth: gr.OAuthToken | None,
) -> tuple[Taught, Fetched]:
    """As the visitor may: with their token alone, and kept only where the machine is theirs.

    With it comes the model that it is for: the lesson's, or another one that is offered.
    """
    where, token, keep = (
        parse_reference(reference),
        page.login.token(request, oauth),
        page.login.is_owners(request),
    )
    return page.lessons.read(
        lesson,
        lambda base_model: fetch(where, token, base_model, keep=keep),
        lambda fetched: not fetched.warning,
    )


def _gone_over(lesson: Lesson, model: Taught) -> str:
    """Words for it where this is not the lesson's model."""
    source = model.base_model.source
    return f" in front of {source.short_name}" if source != lesson.base_model.source else ""


def _seen(lesson: Lesson) -> dict[str, str]:
    """The head that this visitor last saw of each repository they pushed to."""
    seen: dict[str, str] = lesson.session.notes.get("hub_seen", {})
    return seen


def _see(lesson: Lesson, repo_id: str, commit: str) -> None:
    others = [(repo, head) for repo, head in _seen(lesson).items() if repo != repo_id]
    lesson.session.note(hub_seen=dict([*others, (repo_id, commit)][-MAX_SEEN:]))


def file_name(learner: Learner) -> str:
    """``soft-prompt-pocket-80-episodes.zip``: letters, digits, dots and dashes only."""
    model = re.sub(r"[^A-Za-z0-9.]+", "-", learner.source.short_name).strip("-.")
    return f"soft-prompt-{model or 'model'}-{learner.episodes}-episodes.zip"


_ACCEPT = "Load it even if it was made for another model of the same size, or does not say"
_SAVE_WORDS = (
    "Everything learnt is a few thousand numbers. The file holds them in PEFT's own format, "
    "with the optimiser's state, so it opens in PEFT and training can go on here."
)
_LOAD_WORDS = (
    "A file saved here, an experiment's zip (its best soft prompt), a zipped prompt-tuning adapter "
    "of PEFT, or a .pt checkpoint of the original experiments. It replaces your soft prompt; Undo "
    "brings the old one back."
)
_PUSH_WORDS = (
    "One commit with the file, a model card with your results, and the curve. Whoever you give the "
    "link can go on from there, unless it is private: then only you can."
)
_PULL_WORDS = (
    "Any soft prompt or PEFT prompt-tuning adapter on the Hub that fits this model. You see what "
    "it is before it replaces yours; Undo brings yours back."
)
