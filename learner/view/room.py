"""A room's doors: a plain page for phones, what they send, and what the stage is told.

The page for phones knows nothing of Gradio and is a few kilobytes. A phone hears of a new question
by a stream of events and says something only when its owner votes.
"""

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import urlsplit

import gradio as gr
import segno
from anyio import from_thread
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from learner.view.page import Page, hidden_text
from learner.view.screen import SLOW, Frame
from learner.view.server.origin import visitor_address
from learner.view.theme import ASSETS
from learner.visitors.audience import (
    Poll,
    Room,
    RoomEnded,
    RoomError,
    Rooms,
    TooOften,
    mean_rewards,
    said_of,
)
from learner.visitors.checked_input import LessonError
from learner.visitors.lesson import Lesson
from learner.visitors.session import SessionError

PHONE = ASSETS / "phone.html"
MAX_BODY = 2000  # bytes of what a phone sends
MAX_URL = 300
COALESCE_SECONDS = 0.3  # what comes in within this goes out together
BEAT_SECONDS = 15.0  # it is told again, so that nobody takes a silent stream for a dead one
CORNERS = (
    "Model alone, with template",
    "Model alone, without",
    "Soft prompt, with template",
    "Soft prompt, without",
)
GUARDED = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action 'none'",
}
WISH = "(session) => [session, JSON.stringify(window.spaRoom.wish)]"
TELL = "(told) => window.spaRoom.told(told)"
REFUSED = "() => window.spaRoom.refused()"


# --- for phones, and for the stage that counts them ---------------------------------------------


def room_routes(rooms: Rooms) -> Mount:
    """Everything under /room, for the app to mount."""
    server = secrets.token_hex(8)
    page = PHONE.read_text(encoding="utf-8")

    async def pulse(request: Request) -> Response:
        return JSONResponse({"server": server}, headers=GUARDED)

    async def phone(request: Request) -> Response:
        try:
            rooms.find(request.path_params["code"])
        except RoomEnded as ended:
            said = f'<p class="ended">{ended}</p>'
            return HTMLResponse(page.replace("<main>", f"<main>{said}"), 404, GUARDED)
        return HTMLResponse(page, headers=GUARDED)

    async def join(request: Request) -> Response:
        known_as = (await request.body()).decode("latin-1")  # read whole at the door

        def enter() -> Response:
            room = rooms.find(request.path_params["code"])
            phone = room.join(visitor_address(request.scope), known_as)
            return JSONResponse({"phone": phone}, headers=GUARDED)

        return _answer(enter)

    async def vote(request: Request) -> Response:
        try:
            told = await _body(request)
        except (ValueError, RecursionError):
            return _refused("That is no vote.", 400)

        def count() -> Response:
            room = rooms.find(request.path_params["code"])
            room.vote(told["phone"], told["round"], told["name"], told.get("value"))
            return Response(status_code=204, headers=GUARDED)  # a body is one more thing to send

        return _answer(count)

    async def asks(request: Request) -> Response:
        name = request.query_params.get("phone", "")

        def enter() -> tuple[Room, Callable[[], dict[str, Any]]]:
            room = rooms.find(request.path_params["code"])
            room.asked(name)
            return room, lambda: room.asked(name)

        return _stream(enter, name)

    async def counted(request: Request) -> Response:
        def enter() -> tuple[Room, Callable[[], dict[str, Any]]]:
            code, key = request.path_params["code"], request.query_params.get("key", "")
            room = rooms.presented(code, key)
            return room, room.counted

        return _stream(enter)

    async def votes(request: Request) -> Response:
        code, key = request.path_params["code"], request.query_params.get("key", "")
        try:
            table = rooms.presented(code, key).csv()
        except RoomEnded as ended:
            return _refused(str(ended), 404)
        named = {"Content-Disposition": 'attachment; filename="votes.csv"'}
        return Response(table, headers=GUARDED | named, media_type="text/csv; charset=utf-8")

    return Mount(
        "/room",
        routes=[
            Route("/{code}/vote", vote, methods=["POST"]),  # first: it comes the most often
            Route("/pulse", pulse),
            Route("/{code}", phone),
            Route("/{code}/join", join, methods=["POST"]),
            Route("/{code}/asks", asks),
            Route("/{code}/counted", counted),
            Route("/{code}/votes.csv", votes),
        ],
    )


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object that was sent. Raises ValueError for anything else, or for more."""
    data = b""
    async for part in request.stream():
        data += part
        if len(data) > MAX_BODY:
            raise ValueError("too long")
    told = json.loads(data)
    named = isinstance(told, dict) and {"phone", "round", "name"} <= told.keys()
    if not named or not isinstance(told["phone"], str):
        raise ValueError("no vote")
    return dict(told)


def _answer(work: Callable[[], Response]) -> Response:
    try:
        return work()
    except RoomEnded as ended:
        return _refused(str(ended), 404)
    except TooOften as often:
        return _refused(str(often), 429)
    except RoomError as error:
        return _refused(str(error), 409)


def _refused(words: str, status: int) -> Response:
    return JSONResponse({"error": words}, status, GUARDED)


def _stream(
    enter: Callable[[], tuple[Room, Callable[[], dict[str, Any]]]], phone: str = ""
) -> Response:
    """What is seen in a room, now and at every change, until it ends; by a phone or a presenter."""
    try:
        room, look = enter()
    except RoomEnded as ended:
        return _refused(str(ended), 404)
    except RoomError as error:
        return _refused(str(error), 409)

    async def events() -> AsyncIterator[str]:
        loop, news = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            if not news.is_set():  # it is not looked at yet; waking the loop takes a system call
                loop.call_soon_threadsafe(news.set)

        heeding: AbstractContextManager[None] = room.heeded(tell, phone)
        with heeding:
            while not room.ended:
                if not phone:
                    room.heard()  # its presenter listens
                news.clear()
                yield f"data: {json.dumps(look())}\n\n"
                await asyncio.sleep(COALESCE_SECONDS)
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(news.wait(), BEAT_SECONDS)
        yield "event: ended\ndata: {}\n\n"

    quiet = GUARDED | {"X-Accel-Buffering": "no"}
    return StreamingResponse(events(), headers=quiet, media_type="text/event-stream")


# --- for the presenter --------------------------------------------------------------------------


def present_room(page: Page) -> None:
    """Let whoever has the page open a room, ask it things, and learn from it."""
    do = gr.Button(visible="hidden", elem_id="spa-room-do")
    page.lesson.enable(do, lambda lesson: True)
    wish = hidden_text("spa-room-wish")
    told = hidden_text("spa-room-told")

    def act(lesson: Lesson, wish: object) -> Frame:
        try:
            done = _done(page, lesson, wish)
        except RoomEnded:
            done = {"ended": True}
        except (RoomError, LessonError, SessionError) as error:
            done = {"said": str(error)}
        return {told: json.dumps({**done, "number": secrets.token_hex(4)})}  # never as before

    page.lesson.act(
        *(do.click, act, [wish], [told]),
        js=WISH,
        trigger_mode="multiple",
        limiter=SLOW,
        otherwise={"js": REFUSED},
    )
    page.events.on(told.change, None, [told], [], js=TELL)


def _done(page: Page, lesson: Lesson, wish: object) -> dict[str, Any]:
    """Do what the stage wishes, and say how the room is. Raises RoomError and LessonError."""
    asked = _wished(wish)
    what = str(asked.get("do"))
    rooms, owner = page.rooms, lesson.session.id
    if what == "open":
        room = rooms.open(owner)
        url = f"{_checked_address(asked.get('address'))}room/{room.code}"
        drawn = segno.make(url, error="m").svg_inline(border=2, omitsize=True)
        return {**_known(room), "url": url, "qr": drawn}
    found = rooms.of(owner)
    if found is None:
        raise RoomEnded
    said = ""
    if what == "end":
        found.end()
        return {"ended": True}
    if what == "learn":
        number, thumbs, people = found.thumbs()
        lesson.learn_from_many(number, mean_rewards(thumbs))
        said = said_of(thumbs, people)
    elif what == "thumbs":
        found.ask([_tries(lesson)])
    elif what in ASKS:
        found.ask(ASKS[what](page, lesson))
    else:
        raise RoomError("A room can be asked to predict, for thumbs, or about vectors.")
    return {**_known(found), "said": said}


def _wished(wish: object) -> dict[str, Any]:
    """The JSON object that the stage sent; an empty one in place of anything else."""
    try:
        told = json.loads(wish) if isinstance(wish, str) and len(wish) <= MAX_BODY else {}
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _known(room: Room) -> dict[str, Any]:
    return {"code": room.code, "key": room.key}


def _checked_address(address: object) -> str:
    """Where phones find this app, as its presenter's browser knows it. Raises RoomError."""
    told = address if isinstance(address, str) and len(address) <= MAX_URL else ""
    parts = urlsplit(told)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise RoomError("This page's own address is not one that phones could open.")
    return told.rstrip("/") + "/"


def _predict(page: Page, lesson: Lesson) -> list[Poll]:
    problem = lesson.comparison.problem
    question = problem.question if problem else ""
    most = len(lesson.exam.problems)
    return [
        Poll("guess", "number", f"How many of {most} will it get right, once trained?", (), most),
        Poll("right", "choice", "Which of the four will be right?", CORNERS, about=question),
    ]


def _vector(page: Page, lesson: Lesson) -> list[Poll]:
    numbers = tuple(str(i + 1) for i in range(len(lesson.learner.prompt)))
    return [Poll("vector", "choice", "Which vector does our answer hang on?", numbers)]


def _nothing(page: Page, lesson: Lesson) -> list[Poll]:
    return []


def _tries(lesson: Lesson) -> Poll:
    """The tries at the problem shown that it has not learnt from; new ones are waited for."""
    shown = lesson.samples.shown
    if not shown.samples or shown.learnt_from:
        lesson.draw_samples()
        from_thread.run(_drawn, lesson)
    shown = lesson.samples.shown
    if not shown.samples or shown.problem is None:
        raise RoomError("No tries could be drawn; try again.")
    texts = tuple(one.text.strip() or "(it wrote nothing)" for one in shown.samples)
    return Poll("thumbs", "thumbs", shown.problem.question, texts, number=shown.number)


async def _drawn(lesson: Lesson) -> None:
    async for _ in lesson.follow(lambda: lesson.samples.shown.drawing):
        pass


ASKS: dict[str, Callable[[Page, Lesson], list[Poll]]] = {
    "predict": _predict,
    "vector": _vector,
    "nothing": _nothing,
}
