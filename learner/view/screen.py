"""One mechanism for everything on the page that changes: what shows what, and what a click does.

A click does something to a subject (a visitor's lesson, their experiments) and then follows it: a
few times a second the page is sent those of its parts that look different now.

Clicks are connected last, when the whole page is laid out: each can then change every part,
wherever it stands.
"""

from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from html import escape
from typing import Any, Generic, NamedTuple, Protocol, TypeVar
from weakref import WeakValueDictionary

import gradio as gr
from anyio import CapacityLimiter, to_thread
from gradio.blocks import Block

from learner.service.protocol import GROUP
from learner.view.server.listeners import all_read


class Watched(Protocol):
    """What can be followed, and says whether something is going on in it."""

    @property
    def busy(self) -> bool: ...

    def acting(self) -> AbstractContextManager[None]: ...

    def follow(self, busy: Callable[[], bool]) -> AsyncIterator[None]: ...


Subject = TypeVar("Subject", bound=Watched)
View = TypeVar("View")
Result = TypeVar("Result")
Frame = dict[Block, Any]
"""What changes on the page: new values, or updates, by component."""

# Threads for what a request does: lent while something is computed, never while somebody waits.
QUICK = CapacityLimiter(64)  # clicks and pictures: milliseconds
SLOW = CapacityLimiter(32)  # what takes as long as the Hub, or the end of a step, takes
MEASURING = CapacityLimiter(16)  # programs' measurements: minutes, and nobody's clicks behind them
MEASURING_OF_ONE = 4  # address
_measuring: WeakValueDictionary[Hashable, CapacityLimiter] = WeakValueDictionary()  # by address

# What comes in is checked by whoever takes it: Gradio's own checks take nonsense for its faults.
PRIVATE: dict[str, Any] = {
    "api_visibility": "private",
    "show_progress": "hidden",
    # Nor is any part told how far the event is: the page would tell all of them at every frame.
    "show_progress_on": [],
    "preprocess": False,
}


async def in_thread(
    function: Callable[..., Result], *arguments: object, limiter: CapacityLimiter = QUICK
) -> Result:
    """Call ``function`` on one of the ``limiter``'s threads, in a copy of this task's context."""
    return await to_thread.run_sync(function, *arguments, limiter=limiter)


async def measuring_thread(function: Callable[[], Result]) -> Result:
    """As `in_thread`, for what takes as long as a measurement: some for each address at a time."""
    own = _measuring.get(GROUP.get()) or CapacityLimiter(MEASURING_OF_ONE)
    _measuring[GROUP.get()] = own
    async with own:
        return await in_thread(function, limiter=MEASURING)


class _Part(NamedTuple):
    component: Block
    paint: Callable[[Any], Any]
    depends_on: Callable[[Any], object] | None


class Events:
    """What is to be connected once the page is laid out."""

    def __init__(self) -> None:
        self._waiting: list[Callable[[], None]] = []

    def on(
        self,
        triggers: Any,
        handler: Callable[..., Any] | None,
        inputs: Sequence[Block] = (),
        outputs: Sequence["Block | Screen[Any, Any]"] = (),
        then: dict[str, Any] | None = None,
        otherwise: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """Connect a trigger, or a list of them; a screen among the outputs is all of its parts.

        ``then`` are the arguments of what follows in the browser if the handler succeeded,
        ``otherwise`` of what follows if it failed.
        """

        def connect() -> None:
            found: list[Block] = []
            for output in outputs:
                found += output.components if isinstance(output, Screen) else [output]
            triggered = triggers if isinstance(triggers, list) else [triggers]
            event = gr.on(triggered, handler, list(inputs), found, **{**PRIVATE, **options})
            if then is not None:
                event.success(None, **{**PRIVATE, **then})
            if otherwise is not None:
                event.failure(None, **{**PRIVATE, **otherwise})

        self._waiting.append(connect)

    def connect(self) -> None:
        """Connect everything; call once, inside ``with gr.Blocks()``, at its end."""
        for connect in self._waiting:
            connect()


class Screen(Generic[Subject, View]):
    """The parts of the page that show a subject. ``find`` has the subject of a session's id.

    ``look`` makes of it what the parts are painted from. ``browser`` is where a visitor's browser
    keeps the id.
    """

    def __init__(
        self,
        events: Events,
        browser: gr.BrowserState,
        find: Callable[[object], Subject],
        look: Callable[[Subject], View],
    ) -> None:
        self.find = find
        self.look = look
        self._events = events
        self._browser = browser
        self._parts: list[_Part] = []

    @property
    def components(self) -> list[Block]:
        """Where everything stands that this screen shows."""
        return [part.component for part in self._parts]

    def show(
        self,
        component: Block,
        paint: Callable[[View], Any],
        depends_on: Callable[[View], object] | None = None,
    ) -> None:
        """Let ``component`` show what ``paint`` makes, and be sent it whenever that is another.

        What is costly to paint says what it ``depends_on``: while that is equal it is not painted.
        """
        self._parts.append(_Part(component, paint, depends_on))

    def enable(
        self, component: gr.Button | gr.DownloadButton, when: Callable[[View], bool]
    ) -> None:
        """Let ``component`` be usable only ``when`` this is true; never before there is a subject.

        A page that still waits for its session would have nothing to do it to.
        """
        component.interactive = False
        self.show(component, lambda view: gr.update(interactive=when(view)))

    async def frames(
        self,
        subject: Subject,
        busy: Callable[[Subject], bool],
        is_shown: Callable[[], bool] = lambda: True,
    ) -> AsyncIterator[Frame]:
        """All parts at first, then what changes, while ``busy``; the last change included.

        It ends when the visitor has gone over to another subject: when it ``is_shown`` no longer.
        The last frame changes nothing: Gradio sends it once more when the event is over, and what
        was new in it may have been overtaken by then, by another event or a visitor's own hand.
        """
        causes: dict[Block, object] = {}
        shown: dict[Block, object] = {}

        def changes() -> Frame:
            view = self.look(subject)
            frame: Frame = {}
            for component, paint, depends_on in self._parts:
                cause = depends_on and depends_on(view)
                if component in shown and depends_on and causes[component] == cause:
                    continue
                painted = paint(view)
                if component not in shown or shown[component] != painted:
                    frame[component] = painted
                causes[component], shown[component] = cause, painted
            return frame

        async for _ in subject.follow(lambda: is_shown() and busy(subject)):
            if not is_shown():
                break
            await all_read()
            frame = await in_thread(changes)
            if frame and is_shown():  # still, though it took a while to paint
                yield frame
        yield {self._parts[0].component: gr.skip()}

    def act(
        self,
        triggers: Any,
        action: Callable[..., Frame | None],
        inputs: Sequence[Block] = (),
        outputs: Sequence[Block] = (),
        busy: Callable[[Any], bool] = lambda subject: subject.busy,
        at_first: Frame | None = None,
        always: bool = False,
        limiter: CapacityLimiter = QUICK,
        **options: Any,
    ) -> None:
        """Let a trigger do ``action(subject, *inputs)`` and then follow the subject while busy.

        An action may return values for ``outputs`` that are not parts of the screen; ``at_first``
        is what stands there until it has succeeded. It is done ``always`` if nothing of the same
        visitor's may keep it from being done; what takes long is done on the ``limiter`` SLOW.
        """

        async def act(session_id: object, *values: object) -> AsyncIterator[Frame]:
            if at_first:
                yield at_first
            async for frame in self.doing(
                session_id, lambda subject: action(subject, *values), busy, always, limiter
            ):
                yield frame

        self._events.on(triggers, act, [self._browser, *inputs], [self, *outputs], **options)

    async def doing(
        self,
        session_id: object,
        action: Callable[[Subject], Frame | None],
        busy: Callable[[Subject], bool] = lambda subject: subject.busy,
        always: bool = False,
        limiter: CapacityLimiter = QUICK,
    ) -> AsyncIterator[Frame]:
        """Do something to the subject of this session, and follow it while ``busy``.

        What goes wrong is shown to the visitor as a sentence.
        """

        def do() -> tuple[Subject, Frame]:
            subject = self.find(session_id)
            with nullcontext() if always else subject.acting():
                extra = action(subject) or {}
            return self.find(session_id), extra  # another one if it has gone over to that

        with said():
            subject, extra = await in_thread(do, limiter=limiter)
            async for frame in self.frames(subject, busy, lambda: self.find(session_id) is subject):
                yield {**frame, **extra}
                extra = {}


def tell(words: str, title: str = "", warning: bool = False) -> None:
    """Tell a visitor something beside the page, in a toast; whatever is in it is plain text.

    Toasts are told here and in `said` alone, because the page takes their words for markup.
    """
    speak = gr.Warning if warning else gr.Info
    speak(_plain(words), title=_plain(title or ("Warning" if warning else "Info")))


@contextmanager
def said(markup: bool = True) -> Iterator[None]:
    """What goes wrong with what a visitor asked for is told to them in its own words.

    The page takes them for ``markup``, so that what a person typed is escaped in them.
    """
    try:
        yield
    except ValueError as error:
        words = _plain(str(error)) if markup else str(error)
        raise gr.Error(words, print_exception=False) from error


def _plain(words: str) -> str:
    return escape(words, quote=False)
