"""The learner from the command line: ``python -m learner COMMAND``."""

import argparse
import gc
import sys
from collections.abc import Sequence

if __name__ == "__main__":
    gc.disable()  # what is imported is there for good, and looking through it takes its time

from arena.command_line import MISTAKE, Parser, run_command, told
from learner.checkpoint.reading import OtherModelError
from learner.cli import compare, evaluate, host, inspect, pull, push, reproduce, train
from learner.measuring import Stopped

COMMANDS = (train, evaluate, inspect, compare, reproduce, push, pull, host)
"""A module each: its docstring is the help, ``add_flags(parser)`` adds its flags, and
``run(options)`` does it."""

STOPPED = 130  # as shells report a program that Ctrl-C ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. A person's mistake is one sentence and status 2."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parser().parse_args(arguments)
    options.arguments = arguments
    try:
        options.run(options)
    except OtherModelError as error:
        print(f"error: {str(error).rstrip('.')} (--any-model does).", file=sys.stderr)
        return MISTAKE
    except BrokenPipeError:
        raise
    except (ValueError, OSError) as error:  # what a person can mend is one of these
        return told(error)
    except Stopped as stopped:
        print(f"\n{stopped}", file=sys.stderr)
        return STOPPED
    except KeyboardInterrupt:
        print("\nStopped before there was anything to save.", file=sys.stderr)
        return STOPPED
    return 0


def parser() -> argparse.ArgumentParser:
    """The flags of all commands."""
    top = Parser(prog="python -m learner", text="Teach soft prompts, measure and share them.")
    commands = top.add_subparsers(required=True, metavar="command")
    for module in COMMANDS:
        text = str(module.__doc__)
        summary = text.split("\n")[0].split(": ", 1)[1]
        command = commands.add_parser(
            module.__name__.rsplit(".", 1)[1], text=text, help=summary[0].lower() + summary[1:]
        )
        module.add_flags(command)
        command.set_defaults(run=module.run)
    return top


if __name__ == "__main__":
    gc.freeze()
    gc.enable()
    sys.exit(run_command(main))
