"""The header of a GGUF file, read with care: whatever it claims is checked against the file's size.

A GGUF file is a table of values, a table of tensors, and the tensors' bytes. Anybody may have
written it, so nothing is handed on to transformers before all of its counts, lengths and places
have been found possible; what they cost to read is bounded by the size of the file.
"""

import mmap
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

from learner.model.source import ModelError

Scalar = int | float | bool | str

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MAX_HEADER = 1 << 28  # bytes; a vocabulary of 256,000 tokens takes some 15 MB
_MAX_COUNTS = 1 << 16  # values, and tensors
_MAX_ELEMENTS = 1 << 21  # of an array: tokens, merges
_MAX_TEXT = 1 << 20  # bytes; the longest text is a chat template
_MAX_NAME = 1 << 10
_MAX_DIMENSIONS = 4
_TEXT, _ARRAY = 8, 9
_FORMATS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in the file: ``shape`` as in torch, rows first; its bytes start at ``start``."""

    shape: tuple[int, ...]
    quantisation: GGMLQuantizationType
    start: int
    size: int


@dataclass(frozen=True)
class Header:
    """What a file says of itself.

    ``values`` are its single values by name; ``lengths`` those of its arrays. ``spans`` are the
    bytes in which a value stands with its name, single or array.
    """

    values: Mapping[str, Scalar]
    lengths: Mapping[str, int]
    spans: Mapping[str, tuple[int, int]]
    tensors: Mapping[str, StoredTensor]


class _Refused(Exception):
    """The file is not what it should be; the message ends a sentence that begins with its name."""


def read_header(path: Path) -> Header:
    """The header of a GGUF file. Raises ModelError, in a sentence, and OSError."""
    with open(path, "rb") as file:
        if path.stat().st_size < 24 or file.read(4) != _MAGIC:
            raise ModelError(f"{path.name} is not a GGUF file, nor a folder with a model.")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                return _Reader(data).header()
            except _Refused as refused:
                raise ModelError(f"The GGUF file {path.name} {refused}.") from refused


def copy_without_tensors(
    path: Path, header: Header, names: Sequence[str], counts: Mapping[str, int], target: Path
) -> None:
    """Write a GGUF file that holds these values of ``path``, these counts, and nothing else."""
    with open(path, "rb") as file, open(target, "wb") as copy:
        copy.write(_MAGIC + struct.pack("<IQQ", _VERSIONS[-1], 0, len(names) + len(counts)))
        for name, count in counts.items():
            copy.write(struct.pack("<Q", len(name)) + name.encode() + struct.pack("<II", 4, count))
        for name in names:
            start, end = header.spans[name]
            file.seek(start)
            copy.write(file.read(end - start))


class _Reader:
    """Walks through a file's header from its beginning; raises _Refused."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = len(_MAGIC)
        self._end = min(len(data), _MAX_HEADER)

    def header(self) -> Header:
        (version,) = self._unpack("<I")
        if version not in _VERSIONS:
            raise _Refused(f"is of version {version}, and {_VERSIONS[0]} or {_VERSIONS[1]} is read")
        tensors, values = self._unpack("<QQ")
        if max(tensors, values) > _MAX_COUNTS:
            raise _Refused(f"claims to hold {values} values and {tensors} tensors; it is damaged")
        singles: dict[str, Scalar] = {}
        lengths: dict[str, int] = {}
        spans: dict[str, tuple[int, int]] = {}
        for _ in range(values):
            start = self._at
            name = self._text(_MAX_NAME)
            if name in spans:
                raise _Refused(f"says {name[:40]!a} twice; it is damaged")
            (kind,) = self._unpack("<I")
            if kind == _ARRAY:
                lengths[name] = self._array()
            else:
                singles[name] = self._single(kind)
            spans[name] = start, self._at
        entries = [self._tensor_entry() for _ in range(tensors)]
        alignment = singles.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 1 <= alignment <= 1 << 16:
            raise _Refused("aligns its tensors in an impossible way; it is damaged")
        data_start = -(-self._at // alignment) * alignment
        return Header(singles, lengths, spans, self._placed(entries, data_start))

    def _unpack(self, layout: str) -> tuple[int, ...]:
        size = struct.calcsize(layout)
        self._reserve(size)
        found = struct.unpack_from(layout, self._data, self._at)
        self._at += size
        return found

    def _reserve(self, size: int) -> None:
        """Refuse a header that goes on for ``size`` more bytes, if it cannot."""
        if size > self._end - self._at:
            what = "ends within its header" if self._end == len(self._data) else "has a huge header"
            raise _Refused(f"{what}; download it again")

    def _text(self, most: int) -> str:
        (length,) = self._unpack("<Q")
        if length > most:
            raise _Refused(f"has a text of {length} bytes in its header; it is damaged")
        self._reserve(length)
        raw = self._data[self._at : self._at + length]
        self._at += length
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise _Refused("has a text that is not UTF-8; it is damaged") from error

    def _single(self, kind: int) -> Scalar:
        if kind == _TEXT:
            return self._text(_MAX_TEXT)
        if kind not in _FORMATS:
            raise _Refused(f"has a value of the unknown type {kind}; it is damaged")
        return self._unpack(f"<{_FORMATS[kind]}")[0]

    def _array(self) -> int:
        """Walk over an array; the number of its elements."""
        kind, count = self._unpack("<IQ")
        if count > _MAX_ELEMENTS:
            raise _Refused(f"has an array of {count} elements in its header; it is damaged")
        if kind == _TEXT:
            for _ in range(count):
                self._text(_MAX_TEXT)
        elif kind in _FORMATS:
            size = count * struct.calcsize(f"<{_FORMATS[kind]}")
            self._reserve(size)
            self._at += size
        else:
            raise _Refused(f"has an array of the unknown type {kind}; it is damaged")
        return count

    def _tensor_entry(self) -> tuple[str, tuple[int, ...], int, int]:
        """Name, shape, type and place within the data of a tensor."""
        name = self._text(_MAX_NAME)
        (dimensions,) = self._unpack("<I")
        if not 1 <= dimensions <= _MAX_DIMENSIONS:
            raise _Refused(f"has a tensor of {dimensions} dimensions; it is damaged")
        shape = self._unpack(f"<{dimensions}Q")
        kind, offset = self._unpack("<IQ")
        return name, tuple(reversed(shape)), kind, offset

    def _placed(
        self, entries: Sequence[tuple[str, tuple[int, ...], int, int]], data_start: int
    ) -> dict[str, StoredTensor]:
        """The tensors by name, each within the file and on no other's bytes."""
        tensors: dict[str, StoredTensor] = {}
        for name, shape, kind, offset in entries:
            if kind not in list(GGMLQuantizationType):
                raise _Refused(f"is quantised in a way that is unknown here (type {kind})")
            quantisation = GGMLQuantizationType(kind)
            block, block_bytes = GGML_QUANT_SIZES[quantisation]
            count = 1
            for length in shape:
                count *= length
            if name in tensors or not 0 < count < 1 << 48 or shape[-1] % block:
                raise _Refused(f"has a tensor {name[:40]!a} that cannot be; it is damaged")
            size = count // block * block_bytes
            tensors[name] = StoredTensor(shape, quantisation, data_start + offset, size)
        reached = data_start
        for tensor in sorted(tensors.values(), key=lambda tensor: tensor.start):
            if tensor.start < reached:
                raise _Refused("has tensors that lie on one another; it is damaged")
            reached = tensor.start + tensor.size
        if reached > len(self._data):
            missing = (reached - len(self._data)) / 1e6
            raise _Refused(f"is not whole: {missing:,.1f} MB of it are missing; download it again")
        return tensors
