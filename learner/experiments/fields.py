"""Fields of a JSON object that somebody else wrote, read one by one; each fault is a sentence."""

import json
from collections.abc import Iterator
from typing import Any

from learner.checkpoint.reading import CheckpointError, shown

_LARGEST, _MOST = 1e300, 1 << 53


class Fields:
    """A JSON object in ``file``, at the place ``where`` in it (empty for the whole).

    Every method reads one key and raises CheckpointError if it is not what its name says.
    """

    def __init__(self, value: object, file: str, where: str = "") -> None:
        if not isinstance(value, dict):
            raise CheckpointError(
                f"{file} has {shown(value)}{f' as {where}' if where else ''}; "
                "an object would be right."
            )
        self._value: dict[str, Any] = value
        self._file = file
        self._where = f"{where}." if where else ""

    def __contains__(self, key: str) -> bool:
        return self._value.get(key) is not None

    def text(self, key: str) -> str:
        """A text."""
        return str(self._checked(key, isinstance(self._value.get(key), str), "a text"))

    def flag(self, key: str) -> bool:
        """True or false."""
        return bool(self._checked(key, isinstance(self._value.get(key), bool), "true or false"))

    def number(self, key: str) -> float:
        """A finite number."""
        value: Any = self._value.get(key)
        right = type(value) in (int, float) and -_LARGEST <= value <= _LARGEST
        return float(self._checked(key, right, "a finite number"))

    def count(self, key: str) -> int:
        """A whole number from 0 to 2^53, up to which every one is also a float."""
        value = self._value.get(key)
        right = type(value) is int and 0 <= value <= _MOST
        return int(self._checked(key, right, "a whole number from 0"))

    def fields(self, key: str) -> "Fields":
        """An object."""
        return Fields(self._value.get(key), self._file, f"{self._where}{key}")

    def items(self, key: str) -> "list[Fields]":
        """A list of objects."""
        value = self._value.get(key)
        self._checked(key, isinstance(value, list), "a list")
        return [
            Fields(item, self._file, f"{self._where}{key}[{i}]")
            for i, item in enumerate(value or ())
        ]

    def numbers(self) -> dict[str, float]:
        """All of the object, where it holds numbers by name."""
        return {key: self.number(key) for key in self._value}

    def keys(self) -> Iterator[str]:
        """The names of the fields."""
        return iter(self._value)

    def _checked(self, key: str, right: object, kind: str) -> Any:
        value = self._value.get(key)
        if not right:
            raise CheckpointError(
                f"{self._file} has {self._where}{key} {shown(value)}; {kind} would be right."
            )
        return value


def parse_fields(data: bytes, file: str) -> Fields:
    """The JSON object in a file. NaN, which Python writes but JSON does not know, reads as absent.

    Raises CheckpointError.
    """
    try:
        value = json.loads(data.decode(), parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{file} is not readable as JSON ({error}); save or download it again."
        ) from error
    return Fields(value, file)
