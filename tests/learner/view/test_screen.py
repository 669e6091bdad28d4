"""What can be pressed, and when; and what the page is sent, and when."""

import asyncio
import json
import threading
from contextlib import nullcontext
from types import SimpleNamespace

import gradio as gr
import httpx

from learner.service.protocol import GROUP
from learner.view.screen import MEASURING_OF_ONE, Events, Screen, measuring_thread
from learner.view.server.whole_updates import WholeUpdates
from tests.coroutines import finished

PATIENCE = 20  # seconds


def test_nothing_can_be_pressed_before_there_is_somebody_to_do_it_for():
    """Whoever pressed Train while the page still waited for its session was told an error."""
    with gr.Blocks():
        button = gr.Button("Train")
        screen = Screen(Events(), gr.BrowserState(), lambda session_id: None, lambda subject: None)
        screen.enable(button, lambda view: True)
    assert button.get_config()["interactive"] is False
    assert screen.components == [button]


def test_a_click_that_is_over_puts_nothing_back():
    """Gradio sends the last frame once more: a slider moved since, or a model left, came back."""

    async def follow(busy):
        yield
        yield

    looks = iter(["at first", "at last"])
    subject = SimpleNamespace(follow=follow, acting=nullcontext, busy=False)
    events = Events()
    with WholeUpdates() as demo:
        button = gr.Button("Train")
        screen = Screen(
            events, gr.BrowserState(), lambda session_id: subject, lambda _: next(looks)
        )
        screen.show(gr.HTML(), str)
        screen.act(button.click, lambda subject: None)
        events.connect()
    *_, url, _ = demo.launch(prevent_thread_lock=True, quiet=True)
    try:
        api, who = f"{url}gradio_api/queue", {"session_hash": "somebody"}
        click = next(fn._id for fn in demo.fns.values() if fn.targets == [(button._id, "click")])
        httpx.post(f"{api}/join", json={"data": [None], "fn_index": click, **who})
        with httpx.stream("GET", f"{api}/data", params=who) as stream:
            said = [json.loads(line[6:]) for line in stream.iter_lines() if line]
    finally:
        demo.close()
    shown = [one for one in said if one["msg"] == "process_generating"]
    assert "at first" in json.dumps(shown[0]) and "at last" in json.dumps(shown[1])
    (over,) = [one for one in said if one["msg"] == "process_completed"]
    assert over["success"] and over["output"]["data"] == [{"__type__": "update"}]


def test_measurements_of_one_address_wait_for_each_other_and_for_nobody_else():
    gate, begun = threading.Event(), []

    async def measured(address: str) -> None:
        GROUP.set(address)

        def measure() -> None:
            begun.append(address)
            assert gate.wait(PATIENCE)

        await measuring_thread(measure)

    async def crowd() -> None:
        many = [asyncio.create_task(measured("10.0.0.1")) for _ in range(2 * MEASURING_OF_ONE)]
        while len(begun) < MEASURING_OF_ONE:
            await asyncio.sleep(0)
        other = asyncio.create_task(measured("10.0.0.2"))
        while "10.0.0.2" not in begun:
            await asyncio.sleep(0)
        assert begun.count("10.0.0.1") == MEASURING_OF_ONE
        gate.set()
        await asyncio.gather(other, *many)

    finished(crowd())
    assert begun.count("10.0.0.1") == 2 * MEASURING_OF_ONE
