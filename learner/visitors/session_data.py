"""A session as bytes, and back: its learner's checkpoint with one file more, compressed.

Sessions were kept first in folders of the same files, which are taken over into a store; what else
lay in such a folder stays where it is.
"""

import json
import re
import shutil
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from learner.checkpoint.files import read_folder
from learner.checkpoint.format import CARD, CURVE, FILES, TRAINING_STATE, pack, size_limits, unpack
from learner.checkpoint.reading import CheckpointError, Count, check, parse_json
from learner.learning.learner import Learner
from learner.measuring import score_of
from learner.model.base_model import ModelFacts
from learner.visitors.session import MAX_NOTES_BYTES, SessionState
from learner.visitors.snapshots import MOST, Snapshot
from learner.visitors.stores.store import Conflict, Store

SESSION_FILE = "session.json"
MAX_FILE_BYTES = 1 << 24  # of a file, whatever the base model
_FOLDER = re.compile(r"[0-9a-f]{64}")
_IN_FOLDER = [name for name in (*FILES, SESSION_FILE) if name not in (CARD, CURVE)]
_LEVEL = 1  # a history shrinks to an eighth; more effort gains little
_COUNT = struct.Struct("<I")
_SNAPSHOT = "snapshot-{}"
_PACKED: WeakKeyDictionary[Learner, bytes] = WeakKeyDictionary()


def pack_session(state: SessionState, base_model: ModelFacts) -> bytes:
    """Everything of a session that is saved."""
    extra = {
        "seed": state.seed,
        "position": state.position,
        "learnt": state.learnt,
        "notes": json.loads(state.notes),
        "snapshots": [
            {"name": one.name, "scores": [score.kept for score in one.scores]}
            for one in state.snapshots
        ],
    }
    files = pack(state.learner, base_model)
    files |= {_SNAPSHOT.format(i): _packed(one.learner) for i, one in enumerate(state.snapshots)}
    return join({**files, SESSION_FILE: json.dumps(extra).encode()})


def unpack_session(data: bytes, base_model: ModelFacts) -> SessionState:
    """The session in ``data``. Raises CheckpointError if it is none, or not for this model."""
    most = sum(size_limits(base_model).values())
    files = split(data, (1 + MOST) * most + 2 * MAX_NOTES_BYTES)
    extra = parse_json(files.pop(SESSION_FILE, b""), SESSION_FILE)
    if not isinstance(extra.get("notes"), dict):
        raise CheckpointError(f"{SESSION_FILE} has no notes.")
    snapshots = tuple(
        _snapshot(told, files.pop(_SNAPSHOT.format(i), b""), most, base_model)
        for i, told in enumerate(extra.get("snapshots", ()))
    )
    learner = unpack(files, base_model)
    return SessionState(
        learner=learner,
        seed=check(Count, extra.get("seed"), SESSION_FILE, "seed"),
        position=check(Count, extra.get("position"), SESSION_FILE, "position"),
        learnt=check(Count, extra.get("learnt", learner.episodes), SESSION_FILE, "learnt"),
        notes=json.dumps(extra["notes"]),
        snapshots=snapshots,
    )


def _packed(learner: Learner) -> bytes:
    """A learner as bytes, made once: what is kept never changes, and is saved with every step."""
    if learner not in _PACKED:
        _PACKED[learner] = join(pack(learner))
    return _PACKED[learner]


def _snapshot(told: Mapping[str, Any], data: bytes, most: int, base_model: ModelFacts) -> Snapshot:
    learner = unpack(split(data, most), base_model)
    _PACKED[learner] = data
    return Snapshot(told["name"], learner, tuple(score_of(**one) for one in told["scores"]))


def join(files: Mapping[str, bytes]) -> bytes:
    """Files as one: their names and lengths, then what they hold, compressed with a checksum."""
    header = json.dumps({name: len(data) for name, data in files.items()}).encode()
    parts = (_COUNT.pack(len(header)), header, *files.values())
    return zlib.compress(b"".join(parts), _LEVEL)


def split(data: bytes, max_bytes: int) -> dict[str, bytes]:
    """The files that `join` made one. Raises CheckpointError for anything else, or for more."""
    try:
        inflater = zlib.decompressobj()
        whole = inflater.decompress(data, max_bytes + (1 << 16))
        if not inflater.eof:
            raise zlib.error("it ends early, or is too long")
        (length,) = _COUNT.unpack_from(whole)
    except (zlib.error, struct.error) as error:
        raise CheckpointError(f"what was saved is damaged ({error}).") from error
    header = parse_json(whole[_COUNT.size : _COUNT.size + length], "what was saved")
    files, start = {}, _COUNT.size + length
    for name, size in header.items():
        end = start + check(Count, size, "what was saved", name)
        files[name] = whole[start:end]
        start = end
    if start != len(whole):
        raise CheckpointError("what was saved is damaged (it has another length).")
    return files


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
            files = read_folder(path / "checkpoint", dict.fromkeys(_IN_FOLDER, MAX_FILE_BYTES))
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
