"""Zip files from strangers: nothing is unpacked to disk, nothing is inflated unseen."""

import io
import os
import stat
import struct
import zipfile

import pytest
import torch

from learner.checkpoint.files import load_zip
from learner.checkpoint.format import pack, size_limits
from learner.checkpoint.reading import CheckpointError
from tests.learner.checkpoints import random_learner, zipped


def zip_refusal(data, qwen2, tmp_path) -> str:
    path = tmp_path / "upload.zip"
    path.write_bytes(data)
    with pytest.raises(CheckpointError) as caught:
        load_zip(path, qwen2)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "name", ["../adapter_config.json", "/etc/passwd", "prompt/README.md", "prompt/", "run.py", ""]
)
def test_entries_of_other_names_are_refused(qwen2, tmp_path, name):
    files = pack(random_learner(qwen2))
    data = zipped([*files.items(), (zipfile.ZipInfo(name), b"x")])
    assert "does not belong" in zip_refusal(data, qwen2, tmp_path)
    assert os.listdir(tmp_path) == ["upload.zip"]


def test_a_folder_within_is_loaded_where_it_is_the_only_one_or_the_best(qwen2, tmp_path):
    best, other = random_learner(qwen2), random_learner(qwen2, seed=1)
    path = tmp_path / "run.zip"

    def holding(*places):
        named = [
            (f"{folder}{name}", data) for folder, one in places for name, data in pack(one).items()
        ]
        path.write_bytes(zipped([(folder, b"") for folder, _ in places] + named))

    holding(("prompt/", best))
    assert torch.equal(load_zip(path, qwen2).prompt, best.prompt)
    holding(("run/seed-0/best/", other), ("run/best/", best), ("run/checkpoint_ep0/", other))
    assert torch.equal(load_zip(path, qwen2).prompt, best.prompt)
    holding(("run/best/causal/", other), ("run/best/sequence/", best))
    assert "several soft prompts" in zip_refusal(path.read_bytes(), qwen2, tmp_path)


def test_links_are_refused(qwen2, tmp_path):
    link = zipfile.ZipInfo("README.md")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    files = pack(random_learner(qwen2))
    data = zipped([*files.items(), (link, b"/etc/passwd")])
    assert "link" in zip_refusal(data, qwen2, tmp_path)


def test_a_bomb_is_refused_by_what_it_says_it_holds(qwen2, tmp_path):
    files = pack(random_learner(qwen2))
    for name, limit in size_limits(qwen2).items():
        bomb = zipped((files | {name: bytes(limit + 1)}).items())
        assert f"{name} is larger" in zip_refusal(bomb, qwen2, tmp_path)


def test_a_bomb_that_lies_about_its_size_is_not_inflated(qwen2, tmp_path, monkeypatch):
    files = pack(random_learner(qwen2)) | {"README.md": bytes(64 << 20)}
    data = bytearray(zipped(files.items()))
    true_size, small = (64 << 20).to_bytes(4, "little"), (100).to_bytes(4, "little")
    assert data.count(true_size) == 2  # the entry's own header and the directory
    data = bytes(data).replace(true_size, small)
    inflated = []
    read = zipfile.ZipExtFile.read

    def measured(file, size=-1):
        inflated.append(read(file, size))
        return inflated[-1]

    monkeypatch.setattr(zipfile.ZipExtFile, "read", measured)
    assert "Bad CRC-32" in zip_refusal(data, qwen2, tmp_path)
    assert sum(map(len, inflated)) < 1 << 20


def test_thousands_of_entries_are_refused_before_they_are_listed(qwen2, tmp_path):
    data = zipped([(zipfile.ZipInfo(f"{i}"), b"") for i in range(5000)])
    assert "directory is too large" in zip_refusal(data, qwen2, tmp_path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_of_one_name_are_refused(qwen2, tmp_path):
    data = zipped([*pack(random_learner(qwen2)).items(), ("adapter_config.json", b"another")])
    assert "two files of one name" in zip_refusal(data, qwen2, tmp_path)


def test_encryption_and_other_compressions_are_refused(qwen2, tmp_path):
    files = pack(random_learner(qwen2))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_BZIP2) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    assert "deflate" in zip_refusal(buffer.getvalue(), qwen2, tmp_path)
    data = zipped(files.items())
    in_directory = data.index(b"PK\x01\x02")
    for place, value, expected in ((8, 1, "encrypted"), (6, 99, "version"), (8, 32, "patch")):
        strange = bytearray(data)
        strange[in_directory + place] = value
        assert expected in zip_refusal(bytes(strange), qwen2, tmp_path)


def test_a_place_beyond_all_files_is_refused(qwen2, tmp_path):
    beyond = zipfile.ZipInfo("adapter_config.json")
    beyond.extra = struct.pack("<HHQ", 1, 8, 2**64 - 9)  # zip64: where the entry begins
    files = pack(random_learner(qwen2))
    data = bytearray(zipped([(beyond, files.pop("adapter_config.json")), *files.items()]))
    in_directory = data.index(b"PK\x01\x02")
    data[in_directory + 42 : in_directory + 46] = b"\xff" * 4  # says that zip64 has it
    assert "too large" in zip_refusal(bytes(data), qwen2, tmp_path)


def test_what_is_no_zip_is_refused(qwen2, tmp_path):
    assert "cannot be read as a zip" in zip_refusal(b"", qwen2, tmp_path)
    assert "cannot be read as a zip" in zip_refusal(b"\x80\x04 a pickle", qwen2, tmp_path)
    with pytest.raises(CheckpointError, match="No such file"):
        load_zip(tmp_path / "nothing.zip", qwen2)
