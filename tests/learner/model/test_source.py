"""What a person types, and what a file records, is one of four kinds of base model."""

from pathlib import Path

import pytest

from learner.model.source import (
    EMBEDDED,
    FOLDER,
    GGUF,
    HUB,
    POCKET_FOLDER,
    ModelError,
    ModelSource,
    locate,
    recorded_source,
)

HASH = "ab" * 32
COMMIT = "12" * 20


def test_what_is_on_this_machine_is_called_by_its_own_name(tmp_path: Path) -> None:
    folder, file = tmp_path / "a model", tmp_path / "blob-without-suffix"
    folder.mkdir()
    file.touch()
    assert locate(str(folder)) == (ModelSource(FOLDER, "a model"), folder)
    assert locate(str(folder / "..")).source.name == tmp_path.name
    assert locate(str(file)) == (ModelSource(GGUF, "blob-without-suffix"), file)


def test_a_folder_comes_before_a_name_on_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ada" / "tiny").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert locate("ada/tiny").source == ModelSource(FOLDER, "tiny")
    assert locate("ada/other").source == ModelSource(HUB, "ada/other")


@pytest.mark.parametrize(
    ("text", "kind", "hub_id", "file", "short", "local"),
    [
        ("pocket", EMBEDDED, None, None, "pocket", False),
        ("Qwen/Qwen2.5-0.5B", HUB, "Qwen/Qwen2.5-0.5B", None, "Qwen2.5-0.5B", False),
        ("gpt2", HUB, None, None, "gpt2", False),
        ("ada/tiny/a.Q4_0.gguf", GGUF, "ada/tiny", "a.Q4_0.gguf", "a.Q4_0", False),
        ("ada/tiny/sub/a (1).GGUF", GGUF, "ada/tiny", "sub/a (1).GGUF", "a (1)", False),
    ],
)
def test_what_a_name_means(text, kind, hub_id, file, short, local) -> None:
    source, path = locate(text)
    assert (source.kind, source.name, source.revision) == (kind, text, "")
    assert (source.hub_id, source.gguf_file, source.short_name) == (hub_id, file, short)
    assert source.is_local is local
    assert path == (POCKET_FOLDER if kind == EMBEDDED else None)


@pytest.mark.parametrize(
    "text",
    ["no.gguf", "/no/such/file.gguf", "ada/no.gguf", "a/b/../c.gguf", "../a/b.gguf", "a/b/.c.gguf"],
)
def test_a_file_that_is_nowhere_is_said_to_be(text: str) -> None:
    with pytest.raises(ModelError, match=r"There is no file .*user/name/file.gguf"):
        locate(text)


@pytest.mark.parametrize(
    ("name", "revision", "expected"),
    [
        ("pocket", HASH, ModelSource(EMBEDDED, "pocket", HASH)),
        ("ada/tiny", COMMIT, ModelSource(HUB, "ada/tiny", COMMIT)),
        ("ada/tiny", "", ModelSource(HUB, "ada/tiny")),
        ("/home/ada/models/tiny", HASH, ModelSource(FOLDER, "tiny", HASH)),
        ("/home/ada/models/tiny", "", ModelSource(FOLDER, "tiny")),
        ("models/tiny", HASH, ModelSource(FOLDER, "tiny", HASH)),
        ("C:\\models\\tiny", HASH, ModelSource(FOLDER, "tiny", HASH)),
        ("/home/ada/tiny.gguf", HASH, ModelSource(GGUF, "tiny.gguf", HASH)),
        ("ada/tiny/a.gguf", HASH, ModelSource(GGUF, "ada/tiny/a.gguf", HASH)),
        ("", "", ModelSource(HUB, "")),
    ],
)
def test_files_from_before_there_were_kinds_are_understood(name, revision, expected) -> None:
    assert recorded_source(name, revision) == expected


def test_a_kind_that_is_none_is_refused() -> None:
    assert recorded_source("pocket", HASH, FOLDER) == ModelSource(FOLDER, "pocket", HASH)
    with pytest.raises(ValueError, match="'floppy'"):
        recorded_source("pocket", HASH, "floppy")


@pytest.mark.parametrize(
    ("made_for", "fits"),
    [
        (ModelSource(FOLDER, "another name", HASH), True),
        (ModelSource(HUB, "ada/tiny", HASH), True),
        (ModelSource(FOLDER, "tiny", "cd" * 32), False),
        (ModelSource(FOLDER, "another name"), False),
        (ModelSource(FOLDER, "tiny"), True),
        (ModelSource(FOLDER, "tiny", "main"), True),
        (ModelSource(HUB, ""), True),
        (ModelSource(HUB, "", COMMIT), False),
    ],
)
def test_equal_weights_fit_whatever_they_are_called(made_for: ModelSource, fits: bool) -> None:
    assert made_for.fits(ModelSource(FOLDER, "tiny", HASH)) is fits


def test_equal_revisions_that_are_no_hashes_do_not_make_two_models_one() -> None:
    assert not ModelSource(HUB, "ada/one", "v1").fits(ModelSource(HUB, "ada/two", "v1"))
