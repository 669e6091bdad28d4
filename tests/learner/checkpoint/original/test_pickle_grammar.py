"""Only what an original checkpoint says gets through to torch; what would hurt it does not."""

import io
import zipfile

import pytest

from learner.checkpoint.original.pickle_grammar import check_pickle
from learner.checkpoint.reading import CheckpointError
from tests.learner.checkpoints import OriginalExperiment

ORDERED_CLASS = b"ccollections\nOrderedDict\n"
ORDERED = ORDERED_CLASS + b")R"
METRICS_CLASS = b"cqwen_learner\nLearningMetrics\n"
METRICS = METRICS_CLASS + b")\x81"
STORAGE_NAME = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\1\0\0\x000X\3\0\0\0cpuK\4t"
TENSOR_FUNCTION = b"ctorch._utils\n_rebuild_tensor_v2\n"
TENSOR = TENSOR_FUNCTION + b"(" + STORAGE_NAME + b"QK\0K\4\x85K\1\x85\x89" + ORDERED + b"tR"
PARAMETER = b"ctorch._utils\n_rebuild_parameter\n" + TENSOR + b"\x88" + ORDERED + b"\x87R"


def with_value(value):
    """A pickle of a dictionary that holds ``value``."""
    return b"\x80\x02}X\1\0\0\0a" + value + b"s."


def pickled(experiment):
    with zipfile.ZipFile(io.BytesIO(experiment.saved())) as archive:
        return archive.read("archive/data.pkl")


@pytest.mark.parametrize("episodes", [0, 1, 300])
@pytest.mark.parametrize("module", ["qwen_learner", "__main__"])
def test_an_original_gets_through(episodes, module):
    check_pickle(pickled(OriginalExperiment(module=module).learn(episodes)), "file")


@pytest.mark.parametrize(
    "value",
    [
        b"N",
        b"]",
        b"K\5",
        b"G" + bytes(8),
        ORDERED,
        METRICS,
        TENSOR,
        PARAMETER,
        b"]" + TENSOR + b"a",
    ],
)
def test_what_originals_are_made_of_gets_through(value):
    check_pickle(with_value(value), "file")


@pytest.mark.parametrize("module", ["qwen_learner"])
def test_a_part_of_one_does_not(module):
    whole = pickled(OriginalExperiment(module=module).learn(2))
    for length in range(len(whole)):
        with pytest.raises(CheckpointError):
            check_pickle(whole[:length], "file")


HOSTILE = {
    "a key so deep that hashing it overflows the stack": b"})" + b"\x85" * 100_000 + b"Ns",
    "a key so wide that hashing it never ends": b"})" + b"q\1h\1\x86" * 50 + b"Ns",
    "a tuple as a key": b"}K\1K\2\x86Ns",
    "a list as a key": b"}]Ns",
    "a tensor as a key": b"}" + TENSOR + b"Ns",
    "a tensor given other memory": TENSOR + b")b",
    "a tensor given a state": TENSOR + b"}b",
    "a parameter given a state": PARAMETER + b"}b",
    "a list given a state": b"]}b",
    "an ordered dictionary given a tuple": ORDERED + b"NN\x86b",
    "metrics given a tuple": METRICS + b"NN\x86b",
    "a class": METRICS_CLASS,
    "a function": TENSOR_FUNCTION,
    "a class called": METRICS_CLASS + b")R",
    "an ordered dictionary of a list": ORDERED_CLASS + b"]\x85R",
    "an ordered dictionary made from nothing": ORDERED_CLASS + b")\x81",
    "metrics made from a tensor": METRICS_CLASS + TENSOR + b"\x85\x81",
    "a tensor of a number": TENSOR_FUNCTION + b"(K\1K\0K\4\x85K\1\x85\x89" + ORDERED + b"tR",
    "a storage": STORAGE_NAME + b"Q",
    "a storage by number": b"K\1Q",
    "a module for a storage": b"(X\6\0\0\0moduleNNtQ",
    "a called number": b"K\1)R",
    "arguments of nothing": TENSOR + b"\x85",
    "a tuple of tuples of tensors": TENSOR + b"\x85\x85",
    "bytes": b"U\1a",
    "a long number": b"\x8a\1\1",
    "a set": b"\x8f",
    "twice the same": b"N2",
    "one thing dropped": b"NN0",
    "an instance": b"(ios\nsystem\n",
    "an extension": b"\x82\1",
    "nothing to refer to": b"h\7",
    "nothing to append to": b"Na",
    "half an item": b"}(Nu",
    "no mark": b"Nt",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_whatever_else_a_pickle_can_say_does_not(case):
    with pytest.raises(CheckpointError, match="file does not hold what the original") as caught:
        check_pickle(with_value(HOSTILE[case]), "file")
    assert "nothing in it was run" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b"cos\nsystem\nX\2\0\0\0ls\x85R", "'os.system'"),
        (b"cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R", "'builtins.bytearray'"),
        (b"c__builtin__\neval\nX\1\0\0\x001\x85R", "'__builtin__.eval'"),
        (b"ctorch\nTensor\n)\x81", "'torch.Tensor'"),
    ],
)
def test_a_name_that_is_not_allowed_is_said(value, name):
    with pytest.raises(CheckpointError) as caught:
        check_pickle(with_value(value), "file")
    assert f"{name}, which no checkpoint of the original" in str(caught.value)


@pytest.mark.parametrize("data", [b"", b".", b"\x80\3}.", b"\x80\2}}.", b"\x80\2(}.", b"\xff"])
def test_what_is_no_pickle_of_one_dictionary_does_not(data):
    check_pickle(b"\x80\2}.", "file")
    with pytest.raises(CheckpointError):
        check_pickle(data, "file")
