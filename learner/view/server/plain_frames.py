"""The page's Blocks, in which what is sent as it is costs nothing.

A frame names the few parts that look different now. Of every other part, and of each that is only
lit or hidden, Gradio makes the component anew from the settings that it has, to find out what is to
be sent; and markup it hands to another thread, which gives it back. That is most of what a frame
costs, on the one thread that serves everybody.
"""

from copy import copy
from typing import Any

import gradio as gr
from gradio.blocks import Block, BlockFunction
from gradio.state_holder import SessionState

from learner.view.server.origin import CountingBlocks

PLAIN = {"__type__", "interactive", "visible"}  # what is sent of an update as it is


class PlainFrames(CountingBlocks):
    """``gr.Blocks`` that work out what to send only where that is not what they were given."""

    async def postprocess_data(
        self,
        block_fn: BlockFunction,
        predictions: list[Any] | dict[Any, Any],
        state: SessionState | None,
    ) -> list[Any]:
        """For each output what is sent of it."""
        parts = {*block_fn.outputs}
        if not isinstance(predictions, dict) or not predictions or predictions.keys() - parts:
            return await super().postprocess_data(block_fn, predictions, state)
        plain = {part: value for part, value in predictions.items() if _is_plain(part, value)}
        # Copies: Gradio takes the value out of an update, which is compared with the next one.
        made = {part: copy(value) for part, value in predictions.items() if part not in plain}
        sent = {part._id: value for part, value in plain.items()}
        if made:
            narrow = copy(block_fn)
            narrow.outputs = [part for part in block_fn.outputs if part in made]
            values = await super().postprocess_data(narrow, made, state)
            sent |= {part._id: value for part, value in zip(narrow.outputs, values, strict=True)}
        return [
            sent.get(part._id, None if part.stateful else gr.skip()) for part in block_fn.outputs
        ]


def _is_plain(part: Block, value: object) -> bool:
    if isinstance(value, dict):
        return "__type__" in value and value.keys() <= PLAIN
    return isinstance(part, gr.HTML) and isinstance(value, str)
