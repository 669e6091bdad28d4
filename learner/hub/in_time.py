"""What a person waits for on the Hub ends in time, and that the Hub is away is logged in a line."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLate
from contextvars import copy_context
from typing import TypeVar

from learner.hub.client import HubAwayError, HubError
from learner.wording import duration

SECONDS = 10.0
MOST = 32  # looks at once: those that nobody waits for any more end by the client's own limits

Value = TypeVar("Value")
_room = threading.BoundedSemaphore(MOST)
_log = logging.getLogger(__name__)


def in_time(look: Callable[[], Value], seconds: float = SECONDS) -> Value:
    """What ``look`` returns or raises, or HubAwayError after so many ``seconds``."""
    if not _room.acquire(blocking=False):
        raise HubError("Too many people are looking at the Hub from here; try again in a moment.")
    found: Future[Value] = Future()

    def work() -> None:
        try:
            found.set_result(look())
        except BaseException as error:  # raised again at whoever waits
            found.set_exception(error)
        finally:
            _room.release()

    threading.Thread(target=copy_context().run, args=(work,), name="hub", daemon=True).start()
    try:
        try:
            return found.result(seconds)
        except TooLate:
            raise HubAwayError(
                f"The Hub did not answer within {duration(seconds)}; try again in a moment."
            ) from None
    except HubAwayError as error:
        _log.warning("%s", error)
        raise
