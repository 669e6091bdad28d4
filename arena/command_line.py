"""What commands share: help with examples, mistakes told in one line, readers that go away."""

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

MISTAKE = 2  # the exit status for what a person can mend, as argparse has it
NOBODY_READS = 128 + 13  # as shells report a program that SIGPIPE, signal 13, ended

_CHOICE = re.compile(r"argument (?:\S+/)?(\S+): invalid choice: (.+) \(choose from (.+)\)")


class Parser(argparse.ArgumentParser):
    """A parser whose help is ``text``: paragraphs, the second of which are examples.

    A mistake is told in one line.

    Parsers of commands are of this class too, and refuse flags that they do not know themselves,
    with the one that was probably meant.
    """

    def __init__(self, *, text: str = "", **rest: Any) -> None:
        first, examples, *more = [*text.strip().split("\n\n"), ""]
        summary = first.split(": ", 1)[-1]
        super().__init__(
            description="\n\n".join([summary[:1].upper() + summary[1:], *more]).strip(),
            epilog=f"examples:\n{_indented(examples)}" if examples else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **rest,
        )

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """As argparse's, but nothing is left over."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown and unknown[0].startswith("-"):
            flag = unknown[0].split("=")[0]
            flags = re.findall(r"--[\w-]+", self.format_help())
            self.error(f"There is no {flag}{_meant(flag, flags) or '.'}")
        if unknown:
            self.error(f"“{unknown[0]}” is one word too many.")
        return found, []

    def error(self, message: str) -> NoReturn:
        """Tell a mistake in one line and end with status 2."""
        if choice := _CHOICE.fullmatch(message):
            name, given = choice[1], choice[2].strip("'")
            known = [word.strip("'") for word in choice[3].split(", ")]
            meant = _meant(given, known) or f"; choose {', '.join(known)}."
            message = f"{name} cannot be {given}{meant}"
        message = message.removeprefix("argument ")
        stop = "" if message[-1] in ".?" else "."
        self.exit(MISTAKE, f"error: {message}{stop} See {self.prog} --help.\n")


def whole_number(least: int = 0, most: int = 10**9) -> Callable[[str], int]:
    """A flag's type: a whole number within these bounds, or a sentence."""

    def read(text: str) -> int:
        digits = text.removeprefix("-")
        if not (digits.isdecimal() and len(digits) < 25 and least <= int(text) <= most):
            given = text if len(text) <= 30 else f"{text[:30]}…"
            raise argparse.ArgumentTypeError(
                f"{given} is not a whole number from {least} to {most}"
            )
        return int(text)

    return read


def told(error: Exception) -> int:
    """Say on standard error, in one line, what went wrong; returns the status for a mistake."""
    message = str(error)
    if isinstance(error, OSError) and error.strerror:
        message = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return MISTAKE


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


def leave(ended: Sequence[int]) -> None:
    """End the process with this status, at once: what was served is saved, but threads may compute.

    Python would end them one by one as they come back, which the code that they are in takes for a
    fault ("FATAL: exception not rethrown") and aborts. Without a status nothing was served.
    """
    if ended:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(ended[0])


def _meant(given: str, known: Sequence[str]) -> str:
    close = get_close_matches(given, known, 1)
    return f"; did you mean {close[0]}?" if close else ""


def _indented(examples: str) -> str:
    return "\n".join(f"  {line.strip()}" for line in examples.strip().splitlines())
