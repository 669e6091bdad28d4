"""What a person waits for on the Hub ends in time, and that the Hub is away is logged in a line."""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLate
from contextvars import copy_context
from typing import TypeVar

from learner.hub.client import HubAwayError, HubError
from learner.service.protocol import GROUP
from learner.wording import duration

SECONDS = 10.0
MOST = 32  # looks at once: those that nobody waits for any more end by the client's own limits
MOST_OF_ONE = 24  # address: a lecture hall's, and others can look meanwhile

Value = TypeVar("Value")
_looking: Counter[Hashable] = Counter()  # by address
_count = threading.Lock()
_log = logging.getLogger(__name__)


def in_time(look: Callable[[], Value], seconds: float = SECONDS) -> Value:
    """What ``look`` returns or raises, or HubAwayError after so many ``seconds``."""
    group = GROUP.get()
    with _count:
        if _looking.total() >= MOST or _looking[group] >= MOST_OF_ONE:
            raise HubError("Too many people are looking at the Hub; try again in a moment.")
        _looking[group] += 1
    found: Future[Value] = Future()

    def work() -> None:
        try:
            try:
                value = look()
            finally:  # before anybody hears of it, who may look again at once
                with _count:
                    _looking[group] -= 1
                    if not _looking[group]:
                        del _looking[group]
        except BaseException as error:  # raised again at whoever waits
            found.set_exception(error)
        else:
            found.set_result(value)

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
