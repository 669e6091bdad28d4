"""``python -m learner host``: Make a Space of the app on the Hub, or bring it up to date.
It says what it will do, does it in one commit, and follows the build until it runs or fails.

python -m learner host you/soft-prompt-arena --dry-run
python -m learner host you/soft-prompt-arena --hardware zerogpu
python -m learner host you/soft-prompt-arena --bucket you/arena-sessions
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from learner.hub.client import LOG_IN, HubError, machine_token
from learner.hub.space import Plan, SpaceFailed, carry_out, find_model, page, plan, watch
from learner.hub.space_files import (
    BUCKET_MOUNT,
    BUCKET_SESSIONS,
    CPU,
    MCP_VARIABLE,
    SESSIONS_VARIABLE,
    ZEROGPU,
    SpaceModel,
    model_variables,
    space_files,
)

MODEL = "Qwen/Qwen2.5-0.5B-Instruct"
ROOT = Path(__file__).resolve().parents[2]


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The command's flags."""
    add = parser.add_argument
    add("space", help="user/name of the Space on the Hub")
    add(
        "--hardware",
        default=CPU,
        help=f"{CPU}, {ZEROGPU}, or what else the Hub has (default: {CPU})",
    )
    add("--private", action="store_true", help="for you alone; a new one is public without")
    add(
        "--models",
        "--model",
        default=MODEL,
        help="Hub ids (user/name), user/name/file.gguf, or pocket; several with commas between "
        f"them, the first for newcomers (default: {MODEL})",
    )
    add("--mcp", action="store_true", help="offer the API to agents as MCP tools too")
    add(
        "--bucket",
        help="user/name of a storage bucket where visitors' learners outlast restarts; made, "
        "private, if there is none",
    )
    add("--dry-run", action="store_true", help="only say what would be done")


def run(options: argparse.Namespace) -> None:
    """Make or update the Space, and follow it until it runs. Raises HubError."""
    token = machine_token()
    if token is None and not options.dry_run:
        raise HubError(LOG_IN)
    names = dict.fromkeys(name.strip() for name in options.models.split(","))
    models = [find_model(name, token) for name in names]
    files = space_files(ROOT, options.space, options.hardware, models, options.mcp)
    planned = plan(
        options.space,
        token,
        files,
        hardware=options.hardware,
        private=options.private,
        variables={
            **model_variables(models),
            MCP_VARIABLE: str(options.mcp).lower(),
            **({SESSIONS_VARIABLE: BUCKET_SESSIONS} if options.bucket else {}),
        },
        bucket=options.bucket,
    )
    print(described(planned, models))
    if options.dry_run:
        if token is None:
            print("Without a login nobody knows whether the Space exists; this is for a new one.")
        print("Nothing was done.")
        return
    assert token is not None
    commit = carry_out(planned, token)
    print(f"Commit {commit[:7]} is on {page(planned.repo_id)}", flush=True)
    try:
        for state in watch(planned.repo_id, commit, token):
            print(state, flush=True)
    except SpaceFailed as failure:
        print("\n".join(failure.log), file=sys.stderr)
        raise


def described(planned: Plan, models: Sequence[SpaceModel]) -> str:
    """What will be done, line by line."""
    size = sum(map(len, planned.files.values()))
    if planned.there is None:
        doing = f"make it, with {len(planned.files)} files, {size / 1e6:.1f} MB, in one commit"
    elif not planned.changed and not planned.gone:
        doing = "its files are as they should be"
    else:
        doing = f"change {len(planned.changed)} files and remove {len(planned.gone)}, in one commit"
    sessions = "live as long as the Space's container: a restart begins anew (see --bucket)"
    if planned.bucket:
        made = "" if planned.bucket_exists else ", which is made, private,"
        sessions = f"are kept in the bucket {planned.bucket}{made} at {BUCKET_MOUNT}"
    rows = {
        "Space": f"{planned.repo_id}, {'private' if planned.private else 'public'}",
        "hardware": planned.hardware,
        "model": "\n           ".join(f"{model.name}: {_loaded(model)}" for model in models),
        "variables": ", ".join(f"{key}={value}" for key, value in planned.variables.items()),
        "secrets": "left as they are",
        "sessions": sessions,
        "to do": doing,
    }
    return "\n".join(f"{name:<10} {text}" for name, text in rows.items())


def _loaded(model: SpaceModel) -> str:
    """Where the Space has this model from."""
    if not model.commit:
        return "comes with the app"
    return (
        f"{len(model.files)} files, {model.size / 1e9:.2f} GB, at commit {model.commit[:7]}, "
        "downloaded when the Space is built"
    )
