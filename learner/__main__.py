"""The learner from the command line: ``python -m learner train | evaluate | compare | …``.

    python -m learner train --no-chat-template --episodes 80 --output-dir runs/mine
    python -m learner train --resume runs/mine
    python -m learner evaluate --no-chat-template --checkpoint runs/mine --problems 500
    python -m learner compare runs/mine runs/theirs
    python -m learner reproduce
    python -m learner push runs/mine
    python -m learner pull user/name runs/their-prompt

``train`` teaches a soft prompt and measures it as it learns; ``evaluate`` measures the model alone
and behind a soft prompt; ``compare`` puts runs, models and formats side by side; ``reproduce`` does
all experiments and writes the report; ``push`` and ``pull`` share soft prompts on the Hugging Face
Hub. ``--help`` after any of them tells the rest.
"""

import argparse
import sys
from collections.abc import Sequence

from arena.command_line import run_command
from learner.checkpoint.reading import OtherModelError
from learner.cli.compare import add_compare_command
from learner.cli.evaluate import add_evaluate_command
from learner.cli.hub import add_hub_commands
from learner.cli.reproduce import add_reproduce_command
from learner.cli.train import add_train_command
from learner.experiments.driving import Stopped
from learner.model.loading import DTYPES, load_base_model
from learner.model.source import POCKET

STOPPED = 130  # as shells report a program that Ctrl-C ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. A person's mistake is one sentence and status 2."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parser().parse_args(arguments)
    try:
        if "experiment" in options:  # these load the models that they need themselves
            options.arguments = arguments
            options.experiment(options)
        else:
            base_model = load_base_model(options.model, options.device, options.dtype)
            options.command(base_model, options)
    except OtherModelError as error:
        print(f"error: {str(error).rstrip('.')} (--any-model does).", file=sys.stderr)
        return 2
    except ValueError as error:  # what a person can mend is one of these, with a sentence
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Stopped as stopped:
        print(f"\n{stopped}", file=sys.stderr)
        return STOPPED
    except KeyboardInterrupt:
        print("\nStopped before there was anything to save.", file=sys.stderr)
        return STOPPED
    return 0


def parser() -> argparse.ArgumentParser:
    """The flags of all commands. Those of the original experiments mean what they meant there."""
    hardware = argparse.ArgumentParser(add_help=False)
    hardware.add_argument("--device", default="auto", help="auto, cpu or cuda")
    hardware.add_argument("--dtype", default="auto", choices=["auto", *DTYPES])
    model = argparse.ArgumentParser(add_help=False, parents=[hardware])
    model.add_argument(
        "--model", default=POCKET, help="embedded model (pocket), a folder or a Hub id"
    )
    top = argparse.ArgumentParser(prog="python -m learner", description=__doc__.split("\n")[0])
    commands = top.add_subparsers(required=True, metavar="command")
    add_train_command(commands, model)
    add_evaluate_command(commands, model)
    add_compare_command(commands, hardware)
    add_reproduce_command(commands, hardware)
    add_hub_commands(commands, model)
    return top


if __name__ == "__main__":
    sys.exit(run_command(main))
