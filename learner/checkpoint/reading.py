"""Read JSON, dataclasses and tensors out of bytes that a stranger wrote, trusting nothing.

Every function takes the name of the file for its message, and raises CheckpointError alone.
Nothing in the bytes can name code to run, and nothing is kept that was not checked.
"""

import dataclasses
import json
import math
import re
import typing
from collections.abc import Collection, Sequence
from typing import Any, NoReturn, TypeVar

import safetensors
import torch

FLOAT_DTYPES = {
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
}

_MAX_HEADER_BYTES = 1 << 16  # of a safetensors file; the header of three tensors has some 300
_INTEGERS = range(-(2**63), 2**64)  # what a seed may be, and more than any count
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # JSON can escape one, UTF-8 cannot hold it
_MAX_NAMES = 32
_NAME = re.compile(r"[\w .-]{1,40}")
_KINDS = {int: "a whole number", float: "a finite number", bool: "true or false", str: "a text"}

Record = TypeVar("Record")


class CheckpointError(ValueError):
    """A checkpoint cannot be written or read: the file, the fault and the remedy in a sentence."""


class OtherModelError(CheckpointError):
    """The checkpoint fits the base model in size, but may mean another: ask, then accept it."""


def shown(value: object) -> str:
    """What a file says, printable and short enough to be quoted in a message."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def quoted(text: object) -> str:
    """What an error says about a file, in one line, printable and short."""
    line = ascii(" ".join(str(text).split()))[1:-1]
    return line if len(line) <= 120 else f"{line[:119]}…"


def parse_json(data: bytes, file: str) -> dict[str, Any]:
    """The JSON object in a file, in which NaN and the infinities are not numbers (RFC 8259)."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not a number")

    try:
        value = json.loads(data.decode(), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{file} is not readable as JSON ({quoted(error)}); save or download it again."
        ) from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{file} holds {shown(value)}; a JSON object would be right.")
    return value


def parse_record(record: type[Record], value: object, file: str, where: str) -> Record:
    """``value`` as the dataclass ``record``, whose fields are int, float, bool or str.

    Fields with a default may be absent: that is how files from before a setting existed load.
    ``where`` is the place in the file. What the class itself refuses is refused here too.
    """
    if not isinstance(value, dict):
        raise CheckpointError(f"{file} has {shown(value)} as {where}; an object would be right.")
    kinds = typing.get_type_hints(record)
    required = {
        field.name
        for field in dataclasses.fields(typing.cast(Any, record))
        if field.default is dataclasses.MISSING
    }
    check_keys(value, required, kinds, file, where)
    values = {
        name: _scalar(item, kinds[name], file, f"{where}.{name}") for name, item in value.items()
    }
    try:
        return record(**values)
    except ValueError as error:
        raise CheckpointError(f"{file} has a {where} that cannot be: {error}") from error


def check_keys(
    found: Collection[object],
    needed: Collection[str],
    known: Collection[str],
    file: str,
    where: str,
) -> None:
    """Raise CheckpointError unless all that is ``needed`` was found, and nothing but ``known``."""
    missing = [name for name in known if name in needed and name not in found]
    unknown = sorted(str(name) for name in found if name not in known)
    if missing:
        raise CheckpointError(
            f"{file} has no {', '.join(missing)} in its {where}; save or download it again."
        )
    if unknown:
        raise CheckpointError(
            f"{file} has an unknown {shown(unknown[0])} in its {where}; update the app, or save it "
            "again."
        )


def parse_count(value: object, file: str, where: str, least: int = 0) -> int:
    """``value`` as a whole number from ``least``."""
    count: int = _scalar(value, int, file, where)
    if count < least:
        raise CheckpointError(f"{file} has {where} {count}; {least} or more would be right.")
    return count


def parse_names(value: object, file: str, where: str) -> tuple[str, ...]:
    """``value`` as a sorted tuple of different names, few and short."""
    if not (
        isinstance(value, list)
        and len(value) <= _MAX_NAMES
        and all(isinstance(name, str) and _NAME.fullmatch(name) for name in value)
    ):
        raise CheckpointError(
            f"{file} has {shown(value)} as {where}; a list of at most {_MAX_NAMES} short names "
            "would be right."
        )
    return tuple(sorted(set(value)))


def parse_tensors(
    data: bytes, file: str, names: Sequence[str], shape: tuple[int, ...], dtypes: Collection[str]
) -> dict[str, torch.Tensor]:
    """Exactly the tensors ``names`` of a safetensors file: of ``shape``, finite, as float32.

    ``dtypes`` are the acceptable ones of ``FLOAT_DTYPES``.
    """
    if int.from_bytes(data[:8], "little") > _MAX_HEADER_BYTES:
        raise CheckpointError(
            f"{file} is not a safetensors file of {len(names)} tensors; save or download it again."
        )
    try:
        found = dict(safetensors.deserialize(data))
    except safetensors.SafetensorError as error:
        raise CheckpointError(
            f"{file} is not a whole safetensors file ({quoted(error)}); save or download it again."
        ) from error
    if set(found) != set(names):
        raise CheckpointError(
            f"{file} holds the tensors {shown(sorted(found))}; {', '.join(names)} would be right."
        )
    return {name: _tensor(found[name], file, name, shape, dtypes) for name in names}


def _scalar(value: object, kind: type, file: str, where: str) -> Any:
    """``value`` if JSON means exactly ``kind`` by it; a whole number may stand for a float."""
    right = type(value) is kind or (kind is float and type(value) is int)
    if isinstance(value, int):
        right = right and value in _INTEGERS
    elif isinstance(value, float):
        right = right and math.isfinite(value)
    elif isinstance(value, str):
        right = right and not _LONE_SURROGATE.search(value)
    if not right:
        raise CheckpointError(f"{file} has {where} {shown(value)}; {_KINDS[kind]} would be right.")
    return kind(value)


def _tensor(
    found: dict[str, Any], file: str, name: str, shape: tuple[int, ...], dtypes: Collection[str]
) -> torch.Tensor:
    if tuple(found["shape"]) != shape:
        raise CheckpointError(
            f"{name} in {file} has the shape {shown(found['shape'])}; {list(shape)} would be right."
        )
    if found["dtype"] not in dtypes:
        raise CheckpointError(
            f"{name} in {file} has dtype {found['dtype']}; {' or '.join(dtypes)} would be right."
        )
    values = torch.frombuffer(found["data"], dtype=FLOAT_DTYPES[found["dtype"]])
    tensor = values.reshape(shape).to(torch.float32, copy=True)
    if not tensor.isfinite().all():
        raise CheckpointError(
            f"{name} in {file} has numbers that are NaN or infinite; it was saved from a run that "
            "failed, so take an earlier checkpoint."
        )
    return tensor
