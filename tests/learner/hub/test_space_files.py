"""What goes into a Space: the tree without its tests, made ready for the hardware."""

from pathlib import Path

import pytest
from packaging.requirements import Requirement

from learner.hub.space_files import CPU, MARKER, ZEROGPU, SpaceModel, model_variables, space_files
from tests.hub.store import front_matter

ROOT = Path(__file__).parents[3]
POCKET = SpaceModel("pocket")
QWEN = SpaceModel("Qwen/Qwen2.5-0.5B-Instruct", "c" * 40, ("config.json", "model.safetensors"), 9)
# The versions that ZeroGPU has, of those that this project can use.
ZERO_PYTHON = ("3.12.12", "3.10.13")
ZERO_TORCH = ("2.8.0", "2.9.1", "2.10.0", "2.11.0")


def made(hardware=CPU, *models):
    return space_files(ROOT, "ada/arena", hardware, models or [POCKET])


def card(files):
    return front_matter(files["README.md"].decode())


def requirements(files):
    lines = files["requirements.txt"].decode().splitlines()
    return {(one := Requirement(line)).name: one for line in lines if not line.startswith("#")}


def test_everything_that_runs_is_there_and_nothing_else():
    files = made()
    assert {"app.py", "LICENSE", "assets/pocket/model.safetensors", MARKER} <= files.keys()
    assert {path.split("/")[0] for path in files} == {
        *("LICENSE", "README.md", "app.py", "requirements.txt"),
        *("arena", "assets", "learner"),
    }
    assert not [path for path in files if "__pycache__" in path or "/." in path]
    for path, data in files.items():
        if path not in ("README.md", "requirements.txt"):
            assert data == (ROOT / path).read_bytes()


def test_zerogpu_gets_a_python_and_a_torch_that_it_has():
    files = made(ZEROGPU)
    assert card(files)["python_version"] in ZERO_PYTHON
    assert card(files)["suggested_hardware"] == "zero-a10g"
    needed = requirements(files)
    ours = Requirement((ROOT / "requirements.txt").read_text().splitlines()[0])
    (pin,) = needed["torch"].specifier
    assert pin.operator == "==" and pin.version in ZERO_TORCH and pin.version in ours.specifier
    assert "spaces" in needed


def test_tools_for_agents_need_a_package_more():
    files = space_files(ROOT, "ada/arena", ZEROGPU, [POCKET], mcp=True)
    assert requirements(files)["gradio"].extras == {"oauth", "mcp"}


def test_other_hardware_gets_what_this_project_asks_for():
    files = made("t4-small")
    assert files["requirements.txt"] == (ROOT / "requirements.txt").read_bytes()
    assert card(files)["suggested_hardware"] == "t4-small"


@pytest.mark.parametrize("hardware", [CPU, ZEROGPU])
def test_the_rest_of_the_readme_is_as_it_was(hardware):
    ours = (ROOT / "README.md").read_text()
    theirs = made(hardware)["README.md"].decode()
    assert theirs.split("\n---\n", 1)[1] == ours.split("\n---\n", 1)[1]
    before, after = front_matter(ours), card(made(hardware))
    assert after["hf_oauth_scopes"] == ["contribute-repos"]
    for key in before.keys() - {"python_version"}:
        assert after[key] == before[key]
    assert after["thumbnail"].endswith("/spaces/ada/arena/resolve/main/assets/screenshot.png")


def test_a_model_is_downloaded_when_the_space_is_built_at_the_commit_that_the_app_asks_for():
    found = card(made(CPU, QWEN))
    assert found["models"] == ["Qwen/Qwen2.5-0.5B-Instruct"]
    assert found["preload_from_hub"] == [
        f"Qwen/Qwen2.5-0.5B-Instruct config.json,model.safetensors {QWEN.commit}"
    ]
    assert model_variables([QWEN]) == {
        "SOFT_PROMPT_MODELS": f"Qwen/Qwen2.5-0.5B-Instruct@{QWEN.commit}"
    }


def test_several_models_are_all_downloaded_and_asked_for_in_their_order():
    file = SpaceModel("a/b-GGUF/q4/b.gguf", "d" * 40, ("q4/b.gguf",), 9)
    found = card(made(CPU, POCKET, QWEN, file))
    assert found["models"] == ["Qwen/Qwen2.5-0.5B-Instruct", "a/b-GGUF"]
    assert found["preload_from_hub"] == [
        f"Qwen/Qwen2.5-0.5B-Instruct config.json,model.safetensors {QWEN.commit}",
        f"a/b-GGUF q4/b.gguf {'d' * 40}",
    ]
    (asked,) = model_variables([POCKET, QWEN, file]).values()
    assert asked == f"pocket,{QWEN.name}@{QWEN.commit},{file.name}@{'d' * 40}"


def test_a_gguf_file_is_named_by_its_repository_and_itself():
    model = SpaceModel("a/b-GGUF/q4/b.gguf", "d" * 40, ("q4/b.gguf",), 9)
    found = card(made(CPU, model))
    assert found["models"] == ["a/b-GGUF"]
    assert found["preload_from_hub"] == [f"a/b-GGUF q4/b.gguf {'d' * 40}"]


def test_the_embedded_model_needs_nothing_from_the_hub():
    assert card(made()).keys() & {"models", "preload_from_hub"} == set()
    assert model_variables([POCKET]) == {"SOFT_PROMPT_MODELS": "pocket"}


def test_another_folder_is_not_this_project(tmp_path):
    with pytest.raises(FileNotFoundError):
        space_files(tmp_path, "ada/arena", CPU, [POCKET])
