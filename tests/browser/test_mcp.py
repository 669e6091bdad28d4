"""An agent uses the app by its MCP tools, as a real client finds them."""

import json
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.browser.running_app import open_app
from tests.coroutines import finished

mcp = pytest.importorskip("mcp", reason="gradio[mcp] is not installed")
streamable_http = pytest.importorskip("mcp.client.streamable_http")

PATIENCE = 60.0  # seconds
TOOLS = {
    *("new_session", "new_problem", "ask", "train", "start_training", "progress"),
    *("train_on_problem", "tries", "thumbs", "evaluate", "stop", "undo", "reset", "learner"),
    *("list_models", "choose_model", "train_on_list", "redo", "held_out", "ask_held_out"),
    *("keep_snapshot", "snapshots", "go_to_snapshot", "remove_snapshot"),
    *("save", "load", "push", "status"),
    *("start_experiment", "stop_experiment", "continue_experiment", "delete_experiment"),
    *("experiments", "inspect_prompt"),
}


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with open_app(
        tmp_path_factory.mktemp("mcp"), program=("app.py", "--mcp", "--held-out", "20")
    ) as address:
        yield f"{address}gradio_api/mcp/"


@asynccontextmanager
async def agent(url, **headers):
    """A client that has said hello."""
    async with (
        httpx.AsyncClient(headers=headers, timeout=PATIENCE) as http,
        streamable_http.streamable_http_client(url, http_client=http) as (reading, writing, _),
        mcp.ClientSession(reading, writing) as session,
    ):
        await session.initialize()
        yield session


async def call(session, tool, /, **arguments):
    """What a tool answers, and whether it says that it failed."""
    result = await session.call_tool(tool, arguments)
    (content,) = result.content
    return content.text, result.isError


def test_tools_have_plain_names_and_every_parameter_says_what_it_is(url):
    async def look():
        async with agent(url) as session:
            return (await session.list_tools()).tools

    tools = finished(look())
    assert {tool.name for tool in tools} == TOOLS
    for tool in tools:
        assert len(tool.description) > 20
        for name, parameter in tool.inputSchema.get("properties", {}).items():
            assert parameter.get("description"), f"{tool.name}: {name}"


def test_an_agent_does_the_main_job(url):
    async def work():
        async with agent(url) as session:
            key, _ = await call(session, "new_session")
            asked = json.loads((await call(session, "new_problem", session=key, difficulty=1))[0])
            assert len(asked["answers"]) == 4 and asked["difficulty"] == 1
            begun = await call(session, "start_training", session=key, episodes=80)
            assert json.loads(begun[0])["total"] == 80
            while json.loads((await call(session, "progress", session=key))[0])["running"]:
                pass
            learner = json.loads((await call(session, "learner", session=key))[0])
            assert learner["episodes"] == 80 and learner["held_out"]["n"] == 20
            saved = json.loads((await call(session, "save", session=key))[0])
            await call(session, "reset", session=key)
            loaded = await call(session, "load", session=key, file=saved["file"])
            assert json.loads(loaded[0])["episodes"] == 80
            undone = json.loads((await call(session, "undo", session=key))[0])
            assert undone["episodes"] == 0

    finished(work())


def test_what_cannot_be_done_is_said_in_a_sentence(url):
    async def fail():
        async with agent(url) as session:
            key, _ = await call(session, "new_session")
            return [
                await call(session, "learner", session="nobody"),
                await call(session, "load", session=key, file="?"),
                await call(session, "push", session=key, repository="ada/p"),
                await call(session, "delete_experiment", session=key, name="none"),
            ]

    (no_id, no_file, no_token, no_name) = finished(fail())
    assert "not the id of a session" in no_id[0] and no_id[1]
    assert "not base 64" in no_file[0] and no_file[1]
    assert "in the header X-HF-Token" in no_token[0] and no_token[1]
    assert "no experiment of that name" in no_name[0] and no_name[1]


def test_a_push_goes_with_the_token_that_the_agent_sent(url):
    async def push():
        async with agent(url, **{"X-HF-Token": "hf_mine"}) as session:
            key, _ = await call(session, "new_session")
            return await call(session, "push", session=key, repository="ada/p")

    said, failed = finished(push())
    assert failed and "in the header" not in said  # the Hub is out of reach of the tests
