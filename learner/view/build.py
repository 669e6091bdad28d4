"""The whole page: the idea in one strip, then tabs to teach, to try things, and to take it home.

A tab is a file with a function that lays it out on a `Page`; it becomes one in `build`.
"""

from collections.abc import AsyncIterator, Callable
from functools import partial

import gradio as gr

from learner.experiments.background import BackgroundExperiments
from learner.learning.learner import LearnerConfig
from learner.view import cards
from learner.view.address import keep_address, open_demo
from learner.view.api.experiments import add_experiments_api
from learner.view.api.files import add_files_api
from learner.view.api.inside import add_inside_api
from learner.view.api.lessons import add_api
from learner.view.experiments.tab import experiments_tab
from learner.view.help import glossary, popovers
from learner.view.inside.tab import inside_tab
from learner.view.model_chooser import model_chooser
from learner.view.page import Page, hidden_text, html
from learner.view.room import present_room
from learner.view.screen import SLOW, Frame, in_thread, said, tell
from learner.view.server.login import Login
from learner.view.server.origin import address_behind
from learner.view.server.whole_updates import WholeUpdates
from learner.view.service_line import build_service_line
from learner.view.share.tab import open_link, share_tab
from learner.view.strip import strip_of
from learner.view.teach.tab import teach_tab
from learner.visitors.audience import Rooms
from learner.visitors.lesson import Lesson
from learner.visitors.open_lessons import OpenLessons

# Takes the soft prompt that a shared link names out of the address, so that a reload, which comes
# back to what was learnt since, does not open it again.
TAKE_LINKED = """(session) => {
    const address = new URL(location.href);
    const linked = address.searchParams.get("prompt") || "";
    const loaded = performance.getEntriesByType("navigation")[0]?.type;
    const demo = address.search + (loaded === "navigate" ? "" : "&again=1");
    address.searchParams.delete("prompt");
    if (linked) history.replaceState(history.state, "", address);
    return [session, linked, demo];
}"""


# Tells this browser's other tabs that the lesson has changed; they look at it if they did not know.
TELL_TABS = """(version) => {
    if (!window.spaTabs) {
        window.spaTabs = new BroadcastChannel("soft-prompt-arena");
        window.spaTabs.onmessage = (message) => {
            const known = document.querySelector("#spa-version :is(input, textarea)").value;
            if (message.data !== known) document.querySelector("#spa-look-again").click();
        };
    }
    window.spaTabs.postMessage(version);
}"""


def build(
    lessons: OpenLessons, background: BackgroundExperiments, rooms: Rooms, login: Login
) -> gr.Blocks:
    """The page and the API beside it."""
    with WholeUpdates(
        title="Soft Prompt Arena", analytics_enabled=False, delete_cache=(3600, 3600)
    ) as demo:
        page = Page(demo, lessons, rooms, login)
        # Every tab: its name in the address, its name on the page, and what lays it out.
        tabs = (
            ("teach", "Teach", teach_tab),
            ("inside", "Look inside", inside_tab),
            ("experiments", "Experiments", partial(experiments_tab, background)),
            ("share", "Save & share", share_tab),
        )
        page.tabs = tuple(name for name, *_ in tabs)
        first = lessons.models.first
        untrained = first.service.new_learner(LearnerConfig())
        html("spa-header", cards.header())
        show_strip(page, strip_of(untrained, first.base_model))
        if len(lessons.models.offers) > 1:
            model_chooser(page)
        with gr.Tabs(overflow_behavior="wrap"):
            for name, title, tab in tabs:
                with gr.Tab(title, id=name, elem_id=f"spa-tab-{name}") as place:
                    tab(page, place)
        keep_address(page)
        present_room(page)
        _arrival(page)
        _in_step(page)
        html("spa-glossary", glossary() + popovers())
        build_service_line(lessons.models)
        add_api(page.lessons)  # first, so that its names are free
        add_inside_api(page.lessons)
        add_experiments_api(background)
        add_files_api(page.lessons)
        page.events.connect()
    return demo


def show_strip(page: Page, first: str = "") -> None:
    """The idea in one picture, above the tabs; ``first`` stands there before there is a lesson."""
    page.strip = html("spa-strip", first)
    page.lesson.show(
        page.strip,
        lambda lesson: strip_of(lesson.learner, lesson.base_model, lesson.moments.all[0]),
        lambda lesson: (lesson.learner, lesson.base_model.source),
    )


def _in_step(page: Page) -> None:
    """Let what is done in one tab of a browser be seen in its other ones."""
    version = hidden_text("spa-version")
    look_again = gr.Button(visible="hidden", elem_id="spa-look-again")
    page.lesson.show(version, lambda lesson: f"{lesson.base_model.name} {lesson.version}")
    page.lesson.act(look_again.click, lambda lesson: None)
    page.events.on(version.change, None, [version], [], js=TELL_TABS)


def _is_shown(page: Page, lesson: Lesson) -> Callable[[], bool]:
    """Whether this is the lesson that its visitor is at."""
    return lambda: page.lessons.get(lesson.session.id) is lesson


def _arrival(page: Page) -> None:
    """When the page opens: the visitor's own lesson, and what a shared link names."""
    linked = hidden_text("spa-linked")
    query = hidden_text("spa-query")

    async def load(
        session_id: object,
        linked: object,
        query: object,
        request: gr.Request,
        oauth: gr.OAuthToken | None,
    ) -> AsyncIterator[Frame]:
        with said():
            lesson = await in_thread(page.lessons.open, session_id, address_behind(request))
            if notice := lesson.session.take_notice():
                tell(notice, warning=True)
            opened = await in_thread(open_demo, page, lesson, query)
            lesson = page.lessons.get(lesson.session.id)  # the address may name another model
            session: Frame = {page.browser: lesson.session.id, **opened}
            to_open = [linked] if linked else []

            def going_on(lesson: Lesson) -> bool:
                return bool(to_open) or lesson.busy or not lesson.exam.ready

            async for frame in page.lesson.frames(lesson, going_on, _is_shown(page, lesson)):
                yield {**session, **frame}
                session = {}
                if to_open:
                    link = to_open.pop()
                    await in_thread(open_link, page, lesson, link, request, oauth, limiter=SLOW)
            if linked and not _is_shown(page, lesson)():  # the link has led to another model
                lesson = page.lessons.get(lesson.session.id)
                async for frame in page.lesson.frames(lesson, going_on, _is_shown(page, lesson)):
                    yield frame

    page.events.on(
        page.demo.load,
        load,
        [page.browser, linked, query],
        [page.browser, page.lesson, *page.controls.values()],
        js=TAKE_LINKED,
    )
    knock = gr.Button(visible="hidden", elem_id="spa-knock")  # as page.js says
    page.events.on(knock.click, lambda: None, trigger_mode="multiple")
