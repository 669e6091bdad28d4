"""Work in a thread of its own, which takes its OpenMP team along when it ends.

On a CPU, PyTorch gives every thread that runs a large operation a team of helpers, and libgomp
keeps that team for as long as the thread lives. Once there are more threads in teams than cores, no
team waits awake for its next operation any more: each has to be woken for it. A model that was
loaded on the main thread so made the thread that serves it take 1.2 times (0.5B) to 2.2 times (the
embedded model) as long for a step (measured on two cores with 2.13). Hence, in an app that leaves
the device to one thread, whatever computes elsewhere does so here.
"""

from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Result = TypeVar("Result")


def in_own_thread(
    function: Callable[Given, Result], *arguments: Given.args, **options: Given.kwargs
) -> Result:
    """What ``function`` returns or raises, from a thread that has ended by then.

    Ctrl-C is heard at once, and does not wait for it.
    """
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(function(*arguments, **options))
        except BaseException as error:  # whatever it is, it is raised again at the caller
            future.set_exception(error)

    thread = Thread(target=run, name="own-thread", daemon=True)
    thread.start()
    try:
        return future.result()
    finally:
        if future.done():
            thread.join()
