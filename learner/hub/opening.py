"""One way in for whatever names a checkpoint: a folder, a file, or a soft prompt on the Hub."""

from collections.abc import Mapping
from pathlib import Path

from arena import FAMILIES
from learner.checkpoint.files import BEST_FOLDER, load, load_file
from learner.checkpoint.format import ADAPTER_CONFIG
from learner.checkpoint.reading import CheckpointError, OtherModelError
from learner.hub.client import HubError, machine_token
from learner.hub.reference import parse_reference
from learner.hub.soft_prompts import fetch
from learner.learning.learner import Learner
from learner.measuring import SHARED
from learner.model.base_model import ModelFacts


def open_checkpoint(
    reference: str | Path, base_model: ModelFacts, accept_other_model: bool = False
) -> Learner:
    """The learner that ``reference`` names, for use in front of ``base_model``.

    A folder (a checkpoint, PEFT's adapter, or a run's, which stands for its best), a zip file, a
    ``.pt`` file of the original experiments, or else what `parse_reference` reads: user/name on the
    Hub, with this machine's own login. Raises CheckpointError, also where it names several; and
    OtherModelError unless ``accept_other_model``.
    """
    path = Path(reference)
    if path.is_dir():
        folders = prompt_folders(path)
        if SHARED not in folders:
            raise CheckpointError(
                f"{path} has a soft prompt for each family; choose one of them: "
                f"{', '.join(map(str, folders.values()))}."
            )
        return load(folders[SHARED], base_model, accept_other_model)
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


def open_checkpoints(
    reference: str | Path, base_model: ModelFacts, accept_other_model: bool = False
) -> Mapping[str, Learner]:
    """The learners that ``reference`` names, by family, or the only one under ``SHARED``.

    As `open_checkpoint`, which see, but a run with a prompt for each family is several.
    """
    path = Path(reference)
    places = prompt_folders(path) if path.is_dir() else {SHARED: reference}
    return {
        name: open_checkpoint(place, base_model, accept_other_model)
        for name, place in places.items()
    }


def prompt_folders(folder: Path) -> Mapping[str, Path]:
    """Where the soft prompts lie that ``folder`` stands for, by family or under ``SHARED``.

    ``folder`` is a run's, which stands for the best it found; one of its checkpoints; or any other
    checkpoint. Raises CheckpointError where it holds the runs of several seeds.
    """
    if (folder / BEST_FOLDER).is_dir():
        folder = folder / BEST_FOLDER
    elif seeds := sorted(map(str, folder.glob(f"seed-*/{BEST_FOLDER}"))):
        raise CheckpointError(
            f"{folder} holds a run for each seed; choose the best of one: {', '.join(seeds)}."
        )
    parts = {name: folder / name for name in FAMILIES if (folder / name / ADAPTER_CONFIG).is_file()}
    return parts or {SHARED: folder}
