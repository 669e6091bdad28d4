"""``python -m learner push`` and ``pull``: a checkpoint to the Hub, and one from there."""

import argparse
from pathlib import Path

from tqdm import tqdm

from arena import held_out
from learner.checkpoint.files import save
from learner.checkpoint.reading import OtherModelError
from learner.checkpoint.results import HeldOutResults
from learner.hub.client import LOG_IN, HubError, machine_token, whoami
from learner.hub.opening import open_checkpoint
from learner.hub.push import push
from learner.hub.reference import default_repo_id, parse_reference
from learner.hub.soft_prompts import Fetched, fetch
from learner.learning.learner import Learner
from learner.measuring import Measurement, answers_of, behind, measured
from learner.model.base_model import BaseModel


def add_hub_commands(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    model: argparse.ArgumentParser,
) -> None:
    """Add both commands and their flags; ``model`` has the flags that choose the base model."""
    pushing = commands.add_parser("push", parents=[model], help="put a soft prompt on the Hub")
    pushing.set_defaults(command=run_push)
    add = pushing.add_argument
    add("checkpoint", help="what to push: a folder, a zip file or a .pt file")
    add("--repo", help="user/name on the Hub (default: <you>/soft-prompt-<model>-<families>)")
    add("--any-model", action="store_true", help="even if it was made for another base model")
    add("--public", action="store_true", help="for everyone to see; a new one is private without")
    add("--message", default="", help="what changed, in one line")
    add("--onto", metavar="COMMIT", help="the commit there that you looked at: push on top of it")
    add("--problems", type=int, default=200, help="held-out problems for its card; 0 for none")
    add("--held-out-seed", type=int, default=0, help="another fixed set of held-out problems")

    pulling = commands.add_parser("pull", parents=[model], help="get a soft prompt from the Hub")
    pulling.set_defaults(command=run_pull)
    add = pulling.add_argument
    add("prompt", help="user/name, user/name@revision, or the address of its page")
    add("folder", type=Path, help="folder to save it to")
    add("--any-model", action="store_true", help="even if it was made for another base model")


def run_push(base_model: BaseModel, options: argparse.Namespace) -> None:
    """Push a checkpoint, with its results on the held-out problems."""
    token = machine_token()
    if token is None:
        raise HubError(LOG_IN)
    learner = open_checkpoint(options.checkpoint, base_model, options.any_model)
    repo_id = options.repo or default_repo_id(
        whoami(token).name, base_model.source, learner.families
    )
    results = _measured(base_model, learner, options) if options.problems else None
    pushed = push(
        learner,
        repo_id,
        token,
        private=not options.public,
        message=options.message,
        results=results,
        parent_commit=options.onto,
        base_model=base_model,
    )
    print(f"Pushed to {pushed.url} ({'private' if pushed.private else 'public'})")
    print(f"The app opens with it at {pushed.share.query}")


def run_pull(base_model: BaseModel, options: argparse.Namespace) -> None:
    """Load a soft prompt from the Hub, say what it is, and save it as a folder."""
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


def _measured(
    base_model: BaseModel, learner: Learner, options: argparse.Namespace
) -> HeldOutResults:
    """The model alone, then with the soft prompt, as it learnt."""
    problems = held_out(options.problems, options.held_out_seed)
    asked = behind(learner, problems)
    alone = Measurement(problems, asked.chat_template)
    with tqdm(total=2 * len(problems), unit="problem") as bar:
        before, after = measured(
            answers_of(base_model), [alone, asked], lambda done, _: bar.update(done - bar.n)
        )
    return HeldOutResults.of(problems, before, after, options.held_out_seed)
