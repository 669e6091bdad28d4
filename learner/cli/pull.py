"""``python -m learner pull``: Get a soft prompt from the Hugging Face Hub, and save it as a folder.

python -m learner pull user/name runs/their-prompt
python -m learner pull user/name@main runs/their-prompt --any-model
"""

import argparse
from pathlib import Path

from learner.checkpoint.files import save
from learner.checkpoint.reading import OtherModelError
from learner.cli.flags import add_any_model, add_base_model
from learner.hub.client import machine_token
from learner.hub.reference import parse_reference
from learner.hub.soft_prompts import Fetched, fetch
from learner.model.loading import load_base_model


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    parser.add_argument("prompt", help="user/name, user/name@revision, or the address of its page")
    parser.add_argument("folder", type=Path, help="folder to save it to")
    add_any_model(parser)
    add_base_model(parser)


def run(options: argparse.Namespace) -> None:
    """Load a soft prompt from the Hub, say what it is, and save it. Raises ValueError."""
    base_model = load_base_model(options.model, options.device, options.dtype)
    fetched = fetch(parse_reference(options.prompt), machine_token(), base_model)
    print(described(fetched))
    if fetched.warning and not options.any_model:
        raise OtherModelError(fetched.warning)
    print(f"Saved to {save(fetched.learner, options.folder, base_model)}")


def described(fetched: Fetched) -> str:
    """What a person wants to know before using it, line by line."""
    learner, about = fetched.learner, fetched.about
    lines = [
        f"{fetched.url} at {fetched.commit}",
        f"made for {fetched.made_for or 'a base model it does not name'}; "
        f"learnt from {learner.episodes} episodes",
    ]
    if about is not None and about.accuracy is not None:
        on = f" on {about.accuracy.n} held-out problems" if about.accuracy.n else ""
        lines.append(f"its card claims an accuracy of {about.accuracy.value:.1%}{on}")
    return "\n".join(lines)
