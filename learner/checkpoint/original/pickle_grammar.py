"""What the pickle in an original checkpoint may say, checked before torch reads it.

``torch.load(weights_only=True)`` runs only what is on its list, but a hostile pickle does harm with
that as well. In torch 2.13 a megabyte of nested tuples, used as a key, overflows the stack of the
process; twenty bytes make a ``bytearray`` of two gigabytes; a BUILD on a tensor gives it memory
that nobody filled. So the pickle is first gone through without making anything: for each value only
its kind is kept, and of all that pickles can say, what ``torch.save`` says about a dictionary of
tensors, numbers, texts and metrics is allowed.
"""

import pickletools

from learner.checkpoint.reading import CheckpointError, shown

METRICS = ("qwen_learner.LearningMetrics", "__main__.LearningMetrics")

_PROTOCOL = 2  # the one that torch.save writes
_SCALAR, _SCALARS = "scalar", "tuple of scalars"
_GLOBALS = {
    "collections.OrderedDict": "ordered dict class",
    "torch.FloatStorage": "storage class",
    "torch._utils._rebuild_tensor_v2": "tensor function",
    "torch._utils._rebuild_parameter": "parameter function",
    **dict.fromkeys(METRICS, "metrics class"),
}

# A tuple is either of scalars alone, or the arguments of something: those are kept as they are.
_Kind = str | tuple[str, ...]
_STORAGE = (_SCALAR, "storage class", _SCALAR, _SCALAR, _SCALAR)
_CALLS: dict[tuple[_Kind, _Kind], str] = {
    ("ordered dict class", _SCALARS): "ordered dict",
    (
        "tensor function",
        ("storage", _SCALAR, _SCALARS, _SCALARS, _SCALAR, "ordered dict"),
    ): "tensor",
    ("parameter function", ("tensor", _SCALAR, "ordered dict")): "tensor",
}
_VALUES = {_SCALAR, _SCALARS, "dict", "ordered dict", "list", "tensor", "metrics"}
_MADE = {
    "BINUNICODE": _SCALAR,
    "BINFLOAT": _SCALAR,
    "BININT": _SCALAR,
    "BININT1": _SCALAR,
    "BININT2": _SCALAR,
    "NONE": _SCALAR,
    "NEWTRUE": _SCALAR,
    "NEWFALSE": _SCALAR,
    "EMPTY_DICT": "dict",
    "EMPTY_LIST": "list",
    "EMPTY_TUPLE": _SCALARS,
}


_MAPPINGS = {"dict", "ordered dict"}


class _Ungrammatical(Exception):
    """The pickle says something that no original checkpoint says."""


def check_pickle(data: bytes, file: str) -> None:
    """Raise CheckpointError unless ``data`` is a pickle that torch may read. Runs nothing."""
    checker = _Checker(file)
    try:
        for operation, argument, _ in pickletools.genops(data):
            checker.step(operation.name, argument)
        _require(checker.stack == ["dict"] and not checker.outer)
    except CheckpointError:
        raise
    except (_Ungrammatical, IndexError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"{file} does not hold what the original experiments saved, or is damaged; nothing in "
            "it was run. Take one of their checkpoints, or download it again."
        ) from error


class _Checker:
    """A pickle machine on kinds of values: the stack, those outside the open marks, the memo."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._memo: dict[object, _Kind] = {}
        self.stack: list[_Kind] = []
        self.outer: list[list[_Kind]] = []

    def step(self, operation: str, argument: object) -> None:
        """Do one operation. Raises _Ungrammatical, IndexError or KeyError if it cannot be done."""
        stack = self.stack
        match operation:
            case "PROTO":
                _require(argument == _PROTOCOL)
            case "STOP":
                pass
            case "GLOBAL":
                stack.append(self._global(str(argument).replace(" ", ".", 1)))
            case "BINPUT" | "LONG_BINPUT":
                self._memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(self._memo[argument])
            case "MARK":
                self.outer.append(stack)
                self.stack = []
            case "TUPLE":
                self.stack = self.outer.pop()
                self.stack.append(_tuple(stack))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                items = [stack.pop() for _ in range(int(operation[-1]))]
                stack.append(_tuple(items[::-1]))
            case "APPEND":
                _require(stack.pop() in _VALUES and stack[-1] == "list")
            case "APPENDS":
                self.stack = self.outer.pop()
                _require(_VALUES.issuperset(stack) and self.stack[-1] == "list")
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                _require(key == _SCALAR and value in _VALUES and stack[-1] in _MAPPINGS)
            case "SETITEMS":
                self.stack = self.outer.pop()
                keys, values = stack[::2], stack[1::2]
                _require(len(keys) == len(values) and self.stack[-1] in _MAPPINGS)
                _require(_VALUES.issuperset(values) and {_SCALAR}.issuperset(keys))
            case "REDUCE":
                arguments, called = stack.pop(), stack.pop()
                stack.append(_CALLS[called, arguments])
            case "NEWOBJ":
                arguments, made = stack.pop(), stack.pop()
                _require((made, arguments) == ("metrics class", _SCALARS))
                stack.append("metrics")
            case "BUILD":
                _require(stack.pop() == "dict" and stack[-1] in ("ordered dict", "metrics"))
            case "BINPERSID":
                _require(stack.pop() == _STORAGE)
                stack.append("storage")
            case _:
                stack.append(_MADE[operation])

    def _global(self, name: str) -> str:
        if name not in _GLOBALS:
            raise CheckpointError(
                f"{self._file} names {shown(name)}, which no checkpoint of the original "
                "experiments does; nothing in it was run. Take one of their checkpoints."
            )
        return _GLOBALS[name]


def _tuple(items: list[_Kind]) -> _Kind:
    """The kind of a tuple. One that holds the arguments of something is in no other tuple."""
    if all(kind == _SCALAR for kind in items):
        return _SCALARS
    kinds = tuple(kind for kind in items if isinstance(kind, str))
    _require(len(kinds) == len(items))
    return kinds


def _require(holds: bool) -> None:
    if not holds:
        raise _Ungrammatical
