"""``python -m learner push``: Put a soft prompt on the Hugging Face Hub, with what it can do.

python -m learner push runs/mine
python -m learner push runs/mine/best/causal --repo you/causal --public --problems 500
"""

import argparse

from tqdm import tqdm

from arena import held_out
from learner.checkpoint.results import HeldOutResults
from learner.cli.flags import add_any_model, add_base_model, add_problems
from learner.hub.card import Finding
from learner.hub.client import LOG_IN, HubError, machine_token, whoami
from learner.hub.opening import open_checkpoint
from learner.hub.push import push
from learner.hub.reference import default_repo_id
from learner.inspection.findings import found
from learner.inspection.pictures import pictures
from learner.inspection.strength import strength
from learner.inspection.subject import subject_of
from learner.inspection.vectors import vectors
from learner.inspection.whole import Parts
from learner.learning.learner import Learner, new_learner
from learner.measuring import Measurement, answers_of, behind, measured
from learner.model.base_model import BaseModel
from learner.model.loading import load_base_model

INSIDE_PROBLEMS = 100  # at most, of a look inside


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    add = parser.add_argument
    add("checkpoint", help="what to push: a run, a folder, a zip file or a .pt file")
    add("--repo", help="user/name on the Hub (default: <you>/soft-prompt-<model>-<families>)")
    add("--public", action="store_true", help="for everyone to see; a new one is private without")
    add("--message", default="", help="what changed, in one line")
    add("--onto", metavar="COMMIT", help="the commit there that you looked at: push on top of it")
    add("--inside", action="store_true", help="look inside, and show two pictures on the card")
    add_any_model(parser)
    measuring = parser.add_argument_group("measuring, for its card")
    add_problems(measuring, 200, "held-out problems; 0 to measure nothing", least=0)
    add_base_model(parser)


def run(options: argparse.Namespace) -> None:
    """Push a checkpoint, with its results on the held-out problems. Raises ValueError."""
    token = machine_token()
    if token is None:
        raise HubError(LOG_IN)
    base_model = load_base_model(options.model, options.device, options.dtype)
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
        findings=_inside(base_model, learner, options) if options.inside else (),
    )
    print(f"Pushed to {pushed.url} ({'private' if pushed.private else 'public'})")
    print(f"The app opens with it at {pushed.share.query}")


def _inside(base_model: BaseModel, learner: Learner, options: argparse.Namespace) -> list[Finding]:
    """How much of the prompt it takes, and which of its vectors matter, each as a picture."""
    if options.problems < 2:
        raise ValueError("A look inside takes at least 2 problems; measure some.")
    subject = subject_of(learner, new_learner(base_model, learner.config))
    problems = held_out(options.problems, options.held_out_seed)[:INSIDE_PROBLEMS]
    answers = answers_of(base_model)
    parts: Parts = {
        "strength": strength(answers, subject, problems),
        "vectors": vectors(answers, subject, problems),
    }
    return [
        Finding(name, found(parts[name]).heading, found(parts[name]).sentence, picture)
        for name, picture in pictures(parts).items()
    ]


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
