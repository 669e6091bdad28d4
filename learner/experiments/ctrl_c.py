"""Ctrl-C, heard where it can be acted on.

Python raises KeyboardInterrupt wherever the program is at that moment, which may be a place that
swallows it: a destructor, or a callback out of a library. So the first one is only noted, and
raised at the next step; a second one is raised at once, as ever.
"""

import signal
import threading
from types import FrameType, TracebackType


class CtrlC:
    """While this context lasts, Ctrl-C takes effect in `check`. Off the main thread it does
    nothing, since signals come to the main thread alone."""

    def __init__(self) -> None:
        self._pressed = False
        self._before: signal._HANDLER = None

    def __enter__(self) -> "CtrlC":
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def check(self) -> None:
        """Raises KeyboardInterrupt if Ctrl-C was pressed."""
        if self._pressed:
            self._pressed = False
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._pressed = True
        signal.signal(signal.SIGINT, self._before)
