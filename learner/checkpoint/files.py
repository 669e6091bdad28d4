"""Checkpoints: a learner on disk, as a folder that PEFT loads as it stands, or as its zip file.

What the files hold is in `format.py`; here is how they get to the disk and back: written
so that a crash leaves the old checkpoint or the new one, and read no further than they should be.
"""

import contextlib
import io
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from learner.checkpoint.atomic_folder import OccupiedFolderError, settle, write_file, write_folder
from learner.checkpoint.cautious_zip import open_zip, reason
from learner.checkpoint.format import (
    ADAPTER_CONFIG,
    CARD,
    CURVE,
    FILES,
    pack,
    read_checked,
    size_limits,
    unpack,
)
from learner.checkpoint.learning_curve import draw_learning_curve
from learner.checkpoint.model_card import model_card
from learner.checkpoint.original.learner import load_original
from learner.checkpoint.reading import CheckpointError, shown
from learner.learning.learner import Learner
from learner.model.base_model import ModelFacts

ORIGINAL_SUFFIXES = (".pt", ".pth")  # what torch.save's files are called
BEST_FOLDER = "best"  # the folder, within that of a run, of the soft prompt that did best
MAX_ZIP_BYTES = 1 << 26  # as a file; a run's holds all that was written as well
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same learner gives the same bytes whenever it is saved


def save(
    learner: Learner, folder: Path, base_model: ModelFacts | None = None, curve: bool = True
) -> Path:
    """Write ``learner``'s checkpoint to ``folder`` in one step; return its resolved path.

    A checkpoint that is already there is replaced, any other content is not. ``base_model``
    completes PEFT's config (see `pack`). Without ``curve`` there is no picture, which takes most of
    the time. Raises CheckpointError if it cannot be written.
    """
    files = pack_for_people(learner, base_model, curve)
    with _write_errors(folder):
        return write_folder(files, folder, replaceable=FILES)


def pack_for_people(
    learner: Learner,
    base_model: ModelFacts | None = None,
    curve: bool = True,
    card: Callable[[Learner, str | None], str] = model_card,
) -> dict[str, bytes]:
    """As `pack`, with what people look at: the card, and a picture of how it learnt if ``curve``.

    There is no picture of hardly any learning. ``card`` takes the name of its file, or None.
    """
    files = pack(learner, base_model)
    picture = draw_learning_curve(learner.history) if curve else None
    if picture is not None:
        files[CURVE] = picture
    return {**files, CARD: card(learner, CURVE if picture is not None else None).encode()}


def load(folder: Path, base_model: ModelFacts, accept_other_model: bool = False) -> Learner:
    """The learner in a checkpoint folder: ours, or a prompt-tuning adapter that PEFT saved.

    Files of other names are not looked at. Raises as `unpack` does.
    """
    files = read_folder(folder, size_limits(base_model))
    return unpack(files, base_model, accept_other_model)


def read_folder(folder: Path, limits: Mapping[str, int]) -> dict[str, bytes]:
    """The files in ``folder`` that ``limits`` (bytes) names, each read one byte past it at most."""
    name = folder.resolve().name  # a visitor need not know where on the server it lies
    files = {}
    try:
        settle(folder)
        if not folder.is_dir():
            raise CheckpointError(f"{name} is not a folder; a checkpoint is a folder of files.")
        for file_name, limit in limits.items():
            path = folder / file_name
            if path.is_file():
                with open(path, "rb") as file:
                    files[file_name] = file.read(limit + 1)
    except OSError as error:
        raise CheckpointError(
            f"{name} cannot be read ({reason(error)}); check that you may open it."
        ) from error
    return files


def save_zip(learner: Learner, path: Path, base_model: ModelFacts | None = None) -> Path:
    """Write the checkpoint folder's files as the zip file ``path``, in one step. As `save`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in pack_for_people(learner, base_model).items():
            archive.writestr(zipfile.ZipInfo(name, _ZIP_EPOCH), data, zipfile.ZIP_DEFLATED)
    with _write_errors(path):
        return write_file(buffer.getvalue(), path)


def load_zip(path: Path, base_model: ModelFacts, accept_other_model: bool = False) -> Learner:
    """The learner in a zipped checkpoint folder, or the best of a zipped run, from anybody.

    Nothing is unpacked to disk. Raises as `unpack` does; also for links, encryption, names that do
    not belong, and where several soft prompts are in it and none is the best.
    """
    remedy = "zip the checkpoint's files, or download it again"
    with open_zip(path, MAX_ZIP_BYTES, remedy) as archive:
        place = _checkpoint_in(archive.sizes, path.name)
        sizes = {
            name.removeprefix(place): size
            for name, size in archive.sizes.items()
            if not place or (name != place and name.startswith(place))
        }
        files = read_checked(sizes, lambda name: archive.read(place + name), base_model)
    return unpack(files, base_model, accept_other_model)


def _checkpoint_in(names: Collection[str], zip_name: str) -> str:
    """The folder of a zip whose checkpoint is meant, "/" at its end: "" where it lies at the top.

    That is the only one in it, or a run's best; of several bests the one that is all seeds'.
    """
    folders = [name.removesuffix(ADAPTER_CONFIG) for name in names if name.endswith(ADAPTER_CONFIG)]
    if not folders or "" in folders:
        return ""
    best = [name for name in folders if name.endswith(f"{BEST_FOLDER}/")] or folders
    depth = min(name.count("/") for name in best)
    found = [name for name in best if name.count("/") == depth]
    if len(found) > 1:
        raise CheckpointError(
            f"{zip_name} holds several soft prompts ({shown(', '.join(sorted(found)))}); unzip it "
            "and choose one of them."
        )
    return found[0]


def load_file(path: Path, base_model: ModelFacts, accept_other_model: bool = False) -> Learner:
    """The learner in a file: the original experiments' by its name (.pt), else a zipped checkpoint.

    Raises as `load_original` or `load_zip` does.
    """
    reader = load_original if path.suffix.lower() in ORIGINAL_SUFFIXES else load_zip
    return reader(path, base_model, accept_other_model)


@contextlib.contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    """Say in a sentence why ``path`` could not be written."""
    try:
        yield
    except OccupiedFolderError as error:
        raise CheckpointError(
            f"{path} holds files that are not a checkpoint's ({error}); choose a new folder."
        ) from error
    except OSError as error:
        raise CheckpointError(
            f"The checkpoint could not be written to {path} ({reason(error)}); choose another "
            "place, or make room."
        ) from error
