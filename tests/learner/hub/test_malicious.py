"""A Hub, or a stranger on it, that means harm: one sentence, nothing written, bounded bytes."""

import json
import socket
import struct
import tempfile
from pathlib import Path

import pytest

from learner.checkpoint.format import pack
from learner.checkpoint.reading import CheckpointError
from learner.hub import soft_prompts, wariness
from learner.hub.client import HubError
from learner.hub.reference import Reference, parse_reference
from learner.hub.soft_prompts import browse, fetch
from learner.hub.wariness import within
from learner.view.share import hub_cards
from tests.hub.protocol import Response, reply
from tests.hub.samples import POCKET_MODEL, put, trained_learner
from tests.hub.server import DRIP, ENDLESS

REPO = "ada/prompt"
ALWAYS = 1000  # times
COMMIT = "0" * 40
HTML = (
    "<img src=http://203.0.113.9/i><form action=http://203.0.113.9/f><button>ok</button></form>"
    "<script>x</script>"
)


@pytest.fixture
def files(qwen2):
    return pack(trained_learner(qwen2))


@pytest.fixture(autouse=True)
def nothing_is_left_behind(tmp_path, monkeypatch):
    """Downloads go to a folder deep in an empty one; afterwards that is as empty as before."""
    folder = tmp_path / "a" / "b" / "c" / "d"
    folder.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert [path for path in tmp_path.rglob("*") if path.is_file() or path.is_symlink()] == []


def refusal(hub, qwen2, reference=REPO):
    """The sentence that loading ends with."""
    with pytest.raises((HubError, CheckpointError)) as caught:
        fetch(parse_reference(reference), None, qwen2, keep=False, endpoint=hub.endpoint)
    sentence = str(caught.value)
    assert sentence.isprintable() and sentence.endswith((".", "?")) and len(sentence) < 400
    return sentence


def test_a_card_that_is_markup_is_plain_words(hub, files, qwen2):
    card = f"---\ntags: [a]\n---\n# {HTML}\nLook <b>here</b> {HTML} [{HTML}](javascript:x)\n"
    put(hub, {**files, "README.md": card.encode()}, REPO)
    fetched = fetch(Reference(REPO), None, qwen2, keep=False, endpoint=hub.endpoint)
    shown = hub_cards.preview(fetched)
    assert not [tag for tag in ("<img", "<form", "<script", "<button") if tag in shown]
    assert "Look" in fetched.summary


@pytest.mark.parametrize("field", ["base_model_name_or_path", "revision", "peft_type", "task_type"])
def test_markup_in_the_config_is_escaped_wherever_it_is_shown(hub, files, qwen2, field):
    config = {**json.loads(files["adapter_config.json"]), field: HTML}
    adapter = {name: data for name, data in files.items() if name.startswith("adapter")}
    put(hub, {**adapter, "adapter_config.json": json.dumps(config).encode()}, REPO)
    if field in ("peft_type", "task_type"):
        assert "adapter_config.json" in refusal(hub, qwen2)
        return
    fetched = fetch(Reference(REPO), None, qwen2, keep=False, endpoint=hub.endpoint)
    assert "<img" not in hub_cards.preview(fetched)


@pytest.mark.parametrize(
    "name",
    ["../../../../climbed", "/climbed", "a/../../climbed", "..\\climbed", "adapter_config.json/.."],
)
def test_file_names_that_climb_are_never_asked_for(hub, files, qwen2, name):
    put(hub, {**files, name: b"climbed"}, REPO)
    with hub.watching() as seen:
        fetch(Reference(REPO), None, qwen2, keep=False, endpoint=hub.endpoint)
    assert not [one for one in seen if "climbed" in one.path or ".." in one.path]
    entries = [{"type": "file", "path": name, "size": 3, "oid": "0" * 40}]
    hub.say("POST", "/paths-info/", reply(entries), ALWAYS)
    assert "does not belong in a checkpoint" in refusal(hub, qwen2)


@pytest.mark.parametrize("revision", ["../../../climbed", "..", "a/../../b", "/climbed"])
def test_a_reference_that_climbs_is_no_reference(revision):
    with pytest.raises(HubError):
        parse_reference(f"{REPO}@{revision}")


@pytest.mark.parametrize("commit", ["../../../../climbed", "main", "", "0" * 39, 7, None])
def test_a_commit_that_is_none_is_refused(hub, files, qwen2, commit):
    put(hub, files, REPO)
    info = {"id": REPO, "sha": commit, "siblings": [], "tags": []}
    hub.say("GET", f"/api/models/{REPO}", reply(info), ALWAYS)
    refusal(hub, qwen2)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Repo-Commit": "../../../../climbed", "ETag": '"a"'},
        {"X-Repo-Commit": COMMIT, "ETag": '"../../../../../../climbed"'},
        {"X-Repo-Commit": COMMIT, "ETag": '".."'},
        {"X-Repo-Commit": COMMIT, "ETag": '"a"', "X-Linked-Etag": '"../../climbed"'},
        {"X-Repo-Commit": COMMIT, "ETag": "a" * 5000},
    ],
)
@pytest.mark.parametrize("status", [200, 404])
def test_headers_that_name_a_file_elsewhere_are_refused(hub, files, qwen2, headers, status):
    put(hub, files, REPO)
    if status == 404:
        headers = {**headers, "X-Error-Code": "EntryNotFound"}
    hub.say("HEAD", "/resolve/", Response(status, b"", headers), ALWAYS)
    assert "names no commit or file that there can be" in refusal(hub, qwen2)


@pytest.fixture
def local_service():
    """Something that only this machine reaches, and whom it heard."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.0)
        yield server.getsockname()[1]
        with pytest.raises(BlockingIOError):  # nobody came
            server.accept()


@pytest.mark.parametrize("status", [301, 302, 307])
@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1:{port}/secrets",
        "http://localhost:{port}/secrets",
        "http://[::1]:{port}/secrets",
        "http://0.0.0.0:{port}/secrets",
        "http://[::ffff:127.0.0.1]:{port}/",
        "//127.0.0.1:{port}/secrets",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://[fe80::1]/",
        "file:///etc/passwd",
    ],
)
def test_redirects_to_this_machine_or_its_network_are_not_followed(
    hub, files, qwen2, local_service, target, status
):
    put(hub, files, REPO)
    headers = {"X-Repo-Commit": COMMIT, "ETag": '"a"', "X-Linked-Size": "3"}
    moved = Response(status, b"", {**headers, "Location": target.format(port=local_service)})
    for method, path in (("HEAD", "/resolve/"), ("GET", "/resolve/"), ("GET", "/api/models/")):
        hub._faults.clear()
        hub.say(method, path, moved, ALWAYS)
        if method == "GET" and path == "/resolve/":
            put(hub, {**files, "README.md": b"another"}, REPO)
        said = refusal(hub, qwen2)
        assert "not on the internet" in said


def test_a_hub_on_the_internet_sends_nobody_into_a_network(monkeypatch):
    known = {"hub.example": "1.1.1.1", "cdn.example": "8.8.8.8", "inside.example": "10.1.2.3"}
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *_: [(0, 0, 0, "", (known.get(host, host), 0))]
    )

    def led(source, target):
        wariness._check_target(wariness.httpx.URL(source), wariness.httpx.URL(target))

    led("https://hub.example/a", "https://cdn.example/b")
    led("https://inside.example/a", "https://inside.example/b")
    led("http://127.0.0.1:5/a", "http://127.0.0.1:5/b")
    for source, target in (
        ("https://hub.example/a", "https://inside.example/b"),
        ("https://hub.example/a", "http://cdn.example/b"),
        ("https://hub.example/a", "https://127.0.0.1/b"),
        ("https://hub.example/a", "https://169.254.169.254/b"),
        ("https://inside.example/a", "https://127.0.0.1/b"),
        ("http://127.0.0.1:5/a", "http://127.0.0.1:6/b"),
    ):
        with pytest.raises(wariness.WarinessError, match="not on the internet"):
            led(source, target)


def lying_sizes(hub):
    """The Hub says of every file that it has three bytes."""
    names = ("adapter_config.json", "adapter_model.safetensors")
    entries = [{"type": "file", "path": name, "size": 3, "oid": "0" * 40} for name in names]
    hub.say("POST", "/paths-info/", reply(entries), ALWAYS)


def test_a_file_larger_than_was_said_is_not_taken(hub, files, qwen2, monkeypatch):
    monkeypatch.setattr(soft_prompts, "_LISTS", 1 << 16)
    put(hub, {**files, "adapter_model.safetensors": bytes(1 << 24)}, REPO)
    lying_sizes(hub)
    assert "more than any soft prompt needs" in refusal(hub, qwen2)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/resolve/"), ("GET", "/stored/"), ("GET", "/api/models"), ("POST", "/paths-info/")],
)
def test_an_endless_body_is_taken_no_further_than_needed(
    hub, files, qwen2, monkeypatch, method, path
):
    monkeypatch.setattr(soft_prompts, "_LISTS", 1 << 18)
    put(hub, files, REPO)
    hub.fail(method, path, ENDLESS, ALWAYS)
    assert "more than any soft prompt needs" in refusal(hub, qwen2)
    assert hub.poured < 1 << 26
    if path == "/api/models":
        with pytest.raises(HubError, match="more than any soft prompt needs"):
            browse(POCKET_MODEL, None, endpoint=hub.endpoint)


@pytest.mark.parametrize(("method", "path"), [("GET", "/resolve/"), ("GET", "/api/models")])
def test_a_body_that_drips_is_given_up(hub, files, qwen2, monkeypatch, method, path):
    monkeypatch.setattr(soft_prompts, "_SECONDS", 0.5)
    put(hub, files, REPO)
    hub.fail(method, path, DRIP, ALWAYS)
    assert "took too long" in refusal(hub, qwen2)


def test_a_list_without_an_end_is_left_in_time(hub, monkeypatch):
    """Empty pages, each with a next one."""
    monkeypatch.setattr(soft_prompts, "_SECONDS", 0.5)
    link = f'<{hub.endpoint}/api/models?cursor=1>; rel="next"'
    hub.say("GET", "/api/models", reply([], Link=link), 1 << 30)
    with pytest.raises(HubError, match="took too long"):
        browse(POCKET_MODEL, None, endpoint=hub.endpoint)


def test_an_answer_that_swells_is_not_unpacked(hub, qwen2):
    hub.say("GET", "/api/models/", Response(200, b"x", {"Content-Encoding": "gzip"}), ALWAYS)
    assert "packed its answer" in refusal(hub, qwen2)


def safetensors(header: dict, data: bytes, said: int | None = None) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text) if said is None else said) + text + data


TENSOR = {"dtype": "F32", "shape": [5, 32], "data_offsets": [0, 640]}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 8,
        safetensors({"prompt_embeddings": TENSOR}, bytes(640), said=1 << 62),
        safetensors({"prompt_embeddings": TENSOR}, bytes(640), said=0),
        safetensors({"prompt_embeddings": TENSOR}, bytes(639)),
        safetensors({"prompt_embeddings": TENSOR}, bytes(6400)),
        safetensors({"prompt_embeddings": {**TENSOR, "shape": [1 << 40, 1 << 40]}}, bytes(640)),
        safetensors({"prompt_embeddings": {**TENSOR, "shape": [-5, -32]}}, bytes(640)),
        safetensors({"prompt_embeddings": {**TENSOR, "data_offsets": [0, 1 << 60]}}, bytes(640)),
        safetensors({"prompt_embeddings": {**TENSOR, "data_offsets": [-640, 0]}}, bytes(640)),
        safetensors({"prompt_embeddings": {**TENSOR, "dtype": HTML}}, bytes(640)),
        safetensors({HTML: TENSOR}, bytes(640)),
        safetensors({f"t{number}": TENSOR for number in range(5000)}, bytes(640)),
        safetensors({"prompt_embeddings": TENSOR, "__metadata__": {"a": HTML}}, bytes(1)),
    ],
)
def test_a_safetensors_header_that_lies_is_a_sentence(hub, files, qwen2, data):
    adapter = {"adapter_config.json": files["adapter_config.json"]}
    put(hub, {**adapter, "adapter_model.safetensors": data}, REPO)
    assert "adapter_model.safetensors" in refusal(hub, qwen2)


def test_budgets_end_with_their_block(hub, files, qwen2):
    put(hub, files, REPO)
    with within(0.0, 0):
        pass
    fetch(Reference(REPO), None, qwen2, keep=False, endpoint=hub.endpoint)
    assert Path(tempfile.gettempdir()).is_dir()
