"""What commands that print have in common: a reader may go away, as ``head`` does."""

import os
import sys
from collections.abc import Callable

NOBODY_READS = 128 + 13  # as shells report a program that SIGPIPE, signal 13, ended


def run_command(command: Callable[[], int | None]) -> int:
    """The exit status of ``command()``; ``NOBODY_READS`` if its output is not wanted any more."""
    try:
        try:
            return command() or 0
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # What is left unwritten goes nowhere, or the interpreter would complain as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOBODY_READS
