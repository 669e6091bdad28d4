"""Read JSON, values and tensors that a stranger wrote, trusting nothing.

What a file should hold is a schema: a type as Pydantic understands it, read strictly, so that
nothing is taken for what it is not ("1" for 1, 1.0 or true for 1, NaN for a number). Every function
takes the name of the file for its message, and raises CheckpointError alone. Nothing in the bytes
can name code to run, and nothing is kept that was not checked.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, TypeVar

import safetensors
import torch
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
"""Of a schema (``@with_config``) that knows every key of an object, and of the objects in it."""

LENIENT = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)
"""Of a schema that knows those that are of interest."""

Count = Annotated[int, Field(ge=0, le=2**64 - 1)]
"""A whole number that may be a count, or a seed."""

Past = Annotated[int, Field(ge=0, le=2**52)]
"""How often something was done so far, with room to go on before a float cannot count it."""

Names = Annotated[
    tuple[Annotated[str, Field(pattern=r"^[\w .-]{1,40}$")], ...], Field(max_length=32)
]
"""Names, few and short."""

FLOAT_DTYPES = {
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
}

_MAX_HEADER_BYTES = 1 << 16  # of a safetensors file; the header of three tensors has some 300
_RIGHT = {
    "int_type": "a whole number",
    "less_than_equal": "a whole number, and a smaller one,",
    "float_type": "a finite number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "a text",
    "string_pattern_mismatch": "a short name",
    "too_short": "at least {min_length} of them",
    "dataclass_type": "an object",
    "dict_type": "an object",
    "tuple_type": "a list",
    "greater_than_equal": "{ge} or more",
    "too_long": "at most {max_length} of them",
}
"""What would be right where Pydantic found a fault of a kind, with the fault's own numbers."""

Value = TypeVar("Value")


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


def parse(schema: Callable[..., Value], data: bytes, file: str) -> Value:
    """The JSON in a file (RFC 8259), as what it should be."""
    try:
        found: Value = _adapter(schema).validate_json(data, strict=True)
        return found
    except ValidationError as error:
        raise CheckpointError(_sentence(error, file, ())) from None


def parse_json(data: bytes, file: str) -> dict[str, Any]:
    """The JSON object in a file, whatever it holds."""
    return parse(dict[str, Any], data, file)


def check(schema: Any, value: object, file: str, where: str) -> Any:
    """``value``, found at the place ``where`` in the file, as what it should be."""
    try:
        return _adapter(schema).validate_python(value, strict=True)
    except ValidationError as error:
        raise CheckpointError(_sentence(error, file, (where,))) from None


@cache
def _adapter(schema: Any) -> TypeAdapter[Any]:
    return TypeAdapter(schema)


def _sentence(error: ValidationError, file: str, at: tuple[str, ...]) -> str:
    """What is wrong first, and what to do."""
    faults = error.errors(include_url=False)
    fault = faults[0]
    kind, found, details = fault["type"], fault["input"], fault.get("ctx", {})
    place, within = _place((*at, *fault["loc"])), _place((*at, *fault["loc"][:-1])) or "top level"
    if kind == "json_invalid":
        reason = quoted(details["error"])
        return f"{file} is not readable as JSON ({reason}); save or download it again."
    if kind == "missing":
        missing = [one["loc"][-1] for one in faults if _is_missing_beside(one, fault)]
        names = ", ".join(map(str, missing))
        return f"{file} has no {names} in its {within}; save or download it again."
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        name = shown(fault["loc"][-1])
        return f"{file} has an unknown {name} in its {within}; update the app, or save it again."
    if kind == "value_error":
        return f"{file} has a {place or 'content'} that cannot be: {details['error']}"
    if not place:
        return f"{file} holds {shown(found)}; a JSON object would be right."
    right = _RIGHT.get(kind, "something else").format(**details)
    return f"{file} has {place} {shown(found)}; {right} would be right."


def _is_missing_beside(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return bool(one["type"] == "missing" and one["loc"][:-1] == other["loc"][:-1])


def _place(steps: Sequence[str | int]) -> str:
    """``history[0].loss``: where in a file something is."""
    place = ""
    for step in steps:
        place += f"[{step}]" if isinstance(step, int) else f".{step}" if place else step
    return place


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
