"""Sessions as they were kept first, a folder each: they are taken over into a store.

What else lay in such a folder stays where it is.
"""

import json
import re
import shutil
from pathlib import Path

from learner.checkpoint.files import read_folder
from learner.checkpoint.format import CARD, CURVE, FILES, TRAINING_STATE
from learner.checkpoint.reading import CheckpointError
from learner.visitors.session_data import MAX_FILE_BYTES, SESSION_FILE, join
from learner.visitors.store import Conflict, Store

_FOLDER = re.compile(r"[0-9a-f]{64}")
_NAMES = [name for name in (*FILES, SESSION_FILE) if name not in (CARD, CURVE)]


def take_over(folder: Path, store: Store) -> None:
    """Move every session in ``folder`` to the store. Raises StoreError and OSError.

    Whatever is raised, each is in its folder or in the store; going on later is fine. What is in
    the store already is newer, and stays.
    """
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if not _FOLDER.fullmatch(path.name) or not (path / "checkpoint").is_dir():
            continue
        used_at = path.stat().st_mtime
        try:
            files = read_folder(path / "checkpoint", dict.fromkeys(_NAMES, MAX_FILE_BYTES))
            store.write(path.name, join(files), _episodes(files), used_at, 0)
        except CheckpointError:
            continue  # it cannot be read now; it may be another time
        except Conflict:
            pass
        shutil.rmtree(path / "checkpoint")
        if not any(path.iterdir()):
            path.rmdir()


def _episodes(files: dict[str, bytes]) -> int:
    """How many episodes a checkpoint says it has learnt from; 0 if that cannot be read."""
    try:
        episodes = json.loads(files[TRAINING_STATE])["episodes"]
    except (KeyError, TypeError, ValueError):
        return 0
    return episodes if isinstance(episodes, int) and 0 <= episodes < 1 << 60 else 0
