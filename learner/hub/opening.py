"""One way in for whatever names a checkpoint: a folder, a file, or a soft prompt on the Hub."""

from pathlib import Path

from learner.checkpoint.files import load, load_file
from learner.checkpoint.reading import CheckpointError, OtherModelError
from learner.hub.client import HubError, machine_token
from learner.hub.reference import parse_reference
from learner.hub.soft_prompts import fetch
from learner.learning.learner import Learner
from learner.model.base_model import BaseModel

BEST = "best"  # the folder, within that of a run, of the soft prompt that did best


def open_checkpoint(
    reference: str | Path, base_model: BaseModel, accept_other_model: bool = False
) -> Learner:
    """The learner that ``reference`` names, for use in front of ``base_model``.

    A folder (a checkpoint, PEFT's adapter, or a run's, which stands for its best), a zip file, a
    ``.pt`` file of the original experiments, or else what `parse_reference` reads: user/name on the
    Hub, with this machine's own login. Raises CheckpointError, or OtherModelError unless
    ``accept_other_model``.
    """
    path = Path(reference)
    if path.is_dir():
        best = path / BEST
        return load(best if best.is_dir() else path, base_model, accept_other_model)
    if path.exists():
        return load_file(path, base_model, accept_other_model)
    try:
        fetched = fetch(parse_reference(str(reference)), machine_token(), base_model)
    except HubError as error:
        raise CheckpointError(
            f"There is no folder or file {reference} here; and as a name on the Hub: {error}"
        ) from error
    if fetched.warning and not accept_other_model:
        raise OtherModelError(fetched.warning)
    return fetched.learner
