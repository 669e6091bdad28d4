"""The page's Blocks, whose frames reach it as they were sent, however soon the next one follows.

Of a generator's second value and all later ones Gradio sends what changed, and its page makes the
change inside the value before. If that one had not been shown yet, it is shown changed: an update
that would have lit a button has become one that says nothing, and the button stays grey. Here
whatever is not plain text comes whole, so that nothing is changed that waits to be shown.
"""

from typing import Any

from gradio.blocks import BlockFunction

from learner.view.server.plain_frames import PlainFrames


class WholeUpdates(PlainFrames):
    """``gr.Blocks`` that put an update in the place of the one before, and never edit that one."""

    def handle_streaming_diffs(
        self,
        block_fn: BlockFunction,
        data: list[Any],
        session_hash: str | None,
        run: str | None,
        final: bool,
        simple_format: bool = False,
    ) -> list[Any]:
        """For each output its value, or the edits that make it of the one before."""
        values = [*data]
        sent = super().handle_streaming_diffs(
            block_fn, data, session_hash, run, final, simple_format
        )
        if final or simple_format:
            return sent
        return [
            value if edits is value else _whole(edits, value)
            for value, edits in zip(values, sent, strict=True)
        ]


def _whole(edits: list[Any], value: Any) -> list[Any]:
    """Edits of no part of what was there: ``(action, path, value)`` with an empty path."""
    return [["replace", [], value]] if any(path for _, path, _ in edits) else edits
