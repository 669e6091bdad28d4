"""The Hub's part of the Save & share tab: push with one click, look before loading, browse."""

from collections.abc import Iterator
from html import escape
from typing import Any

import gradio as gr

from learner.checkpoint.results import HeldOutResults
from learner.hub.client import HubError, RemoteChangedError, whoami
from learner.hub.push import push
from learner.hub.reference import checked_repo_id, default_repo_id, parse_reference
from learner.hub.soft_prompts import Fetched, browse, fetch
from learner.learning.learner import Learner
from learner.model.base_model import ModelFacts
from learner.view import hub_cards
from learner.view.hub_layout import HubPanel
from learner.view.login import at_this_machine, how_to_sign_in, visitor_token
from learner.view.teach import PRIVATE, Frame, OpenLink, Page, said
from learner.visitors.exam import Exam
from learner.visitors.lesson import Lesson

MAX_SEEN = 20  # repositories whose head a session remembers

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


def wire_hub(page: Page, panel: HubPanel, tab: gr.Tab, exam: Exam, base_model: ModelFacts) -> None:
    """Connect the controls; everything they send is checked here, and every token is theirs."""

    def greet(
        session_id: object, account: str, request: gr.Request, oauth: gr.OAuthToken | None
    ) -> tuple[Any, Any, Any]:
        who = gr.skip()
        try:
            families = page.lessons.get(session_id).learner.families
            if not account:  # the Hub is strict about how often it is asked who somebody is
                token = visitor_token(request, oauth)
                if token is None:
                    return hub_cards.note(how_to_sign_in(request)), gr.skip(), gr.skip()
                answer = whoami(token)
                who, account = hub_cards.who(answer), answer.name
        except ValueError as error:
            return hub_cards.note(str(error)), gr.skip(), gr.skip()
        return who, account, default_repo_id(account, base_model.source, families)

    def push_prompt(
        session_id: object,
        repo: object,
        private: object,
        message: object,
        request: gr.Request,
        oauth: gr.OAuthToken | None,
    ) -> Iterator[tuple[Any, ...]]:
        with said():
            token = visitor_token(request, oauth)
            if token is None:
                raise HubError(how_to_sign_in(request))
            name = checked_repo_id(repo)
            lesson = page.lessons.get(session_id)
            learner = lesson.learner
            hidden = gr.update(visible="hidden")
            yield hub_cards.note("Pushing …"), hidden, hidden
            results = held_out_results(lesson, learner, exam)
            try:
                done = push(
                    learner,
                    name,
                    token,
                    private=private is not False,
                    message=str(message or ""),
                    results=results,
                    parent_commit=_seen(lesson).get(name),
                    base_model=base_model,
                )
            except RemoteChangedError as changed:
                _see(lesson, name, changed.commit)
                raise
            _see(lesson, name, done.commit)
            link = gr.update(value=done.share.query, visible=True)
            yield hub_cards.pushed(done), link, gr.update(value="Copy link", visible=True)

    def look(
        reference: object, request: gr.Request, oauth: gr.OAuthToken | None
    ) -> Iterator[tuple[Any, ...]]:
        with said():
            hidden = gr.update(visible="hidden")
            yield hub_cards.note("Looking …"), "", hidden
            try:
                fetched = _fetch(reference, base_model, request, oauth)
            except ValueError:
                yield hub_cards.note(""), "", hidden
                raise
            label = "Use it anyway" if fetched.warning else "Use it"
            button = gr.update(value=label, visible=True)
            yield hub_cards.preview(fetched), str(fetched.share), button

    def adopt(
        session_id: object, looked: object, request: gr.Request, oauth: gr.OAuthToken | None
    ) -> Iterator[Frame]:
        with said():
            lesson = page.lessons.get(session_id)
            lesson.adopt(_fetch(looked, base_model, request, oauth).learner)
            told = hub_cards.note(f"You go on with {looked}; Undo, on the Teach tab, goes back.")
            extra = [told, gr.update(visible="hidden")]
            for frame in page.frames(lesson, lambda: lesson.comparison.answering):
                yield [*extra, *frame]
                extra = [gr.skip()] * 2

    def list_found(sort: object, request: gr.Request, oauth: gr.OAuthToken | None) -> Any:
        with said():
            token = visitor_token(request, oauth)
            prompts = browse(base_model.source, token, sort=str(sort))
            choices = [(hub_cards.choice(prompt), prompt.repo_id) for prompt in prompts]
            label = "Choose one to look at" if choices else "Nobody has shared one yet"
            return gr.update(choices=choices, value=None, label=label, visible=True)

    tab.select(
        greet,
        [page.browser, panel.account],
        [panel.who, panel.account, panel.offered],
        **PRIVATE,
    ).success(
        None,
        [panel.repo, panel.offered, panel.taken],
        [panel.repo, panel.taken],
        js=TAKE_OFFERED,
        **PRIVATE,
    )
    panel.push.click(
        push_prompt,
        [page.browser, panel.repo, panel.private, panel.message],
        [panel.pushed, panel.link, panel.copy],
        **PRIVATE,
    ).success(None, [panel.link], [panel.link], js=WHOLE_LINK, **PRIVATE)
    panel.copy.click(None, [panel.link], [panel.copy], js=COPY_LINK, **PRIVATE)
    shown = [panel.preview, panel.looked, panel.adopt]
    gr.on([panel.look.click, panel.reference.submit], look, [panel.reference], shown, **PRIVATE)
    panel.found.input(look, [panel.found], shown, **PRIVATE)
    panel.adopt.click(
        adopt,
        [page.browser, panel.looked],
        [panel.preview, panel.adopt, *page.outputs],
        **PRIVATE,
    )
    panel.browse.click(list_found, [panel.sort], [panel.found], **PRIVATE)


def link_opener(base_model: ModelFacts) -> OpenLink:
    """What opens the soft prompt of a shared link in a visitor's lesson, and tells them."""

    def open_link(
        lesson: Lesson, linked: object, request: gr.Request, oauth: gr.OAuthToken | None
    ) -> None:
        try:
            fetched = _fetch(linked, base_model, request, oauth)
            if fetched.warning:
                raise HubError(f"{fetched.warning} Look at it under Save & share.")
            lesson.adopt(fetched.learner)
        except ValueError as error:
            gr.Warning(escape(str(error)), title="The link was not opened")
        else:
            gr.Info(
                f"You go on with {fetched.repo_id}; Undo brings back your own.",
                title="Opened from a link",
            )

    return open_link


def held_out_results(lesson: Lesson, learner: Learner, exam: Exam) -> HeldOutResults | None:
    """This learner's held-out results, measured now unless they are known already.

    None while the model alone, which they are paired with, is still being measured.
    """
    chat_template = learner.config.chat_template
    alone = exam.alone(chat_template)
    if alone is None:
        return None
    known = [
        result
        for result in lesson.results()
        if result.episodes == learner.episodes and result.chat_template is chat_template
    ]
    result = known[-1] if known else exam.take(learner, chat_template)
    return HeldOutResults.of(exam.problems, alone, result)


def _fetch(
    reference: object,
    base_model: ModelFacts,
    request: gr.Request,
    oauth: gr.OAuthToken | None,
) -> Fetched:
    """As the visitor may: with their token alone, and kept only where they sit at this machine."""
    return fetch(
        parse_reference(reference),
        visitor_token(request, oauth),
        base_model,
        keep=at_this_machine(request),
    )


def _seen(lesson: Lesson) -> dict[str, str]:
    """The head that this visitor last saw of each repository they pushed to."""
    seen: dict[str, str] = lesson.session.notes.get("hub_seen", {})
    return seen


def _see(lesson: Lesson, repo_id: str, commit: str) -> None:
    others = [(repo, head) for repo, head in _seen(lesson).items() if repo != repo_id]
    lesson.session.note(hub_seen=dict([*others, (repo_id, commit)][-MAX_SEEN:]))
