"""What Gradio keeps of each client, without a description of every component on the page.

It makes one for whoever asks for anything, a program's single call included: a third of a megabyte,
in tens of milliseconds during which nobody else is served. Only deep links read it, and there are
none here; what a client has changed is kept as ever.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import cast

from gradio.blocks import Blocks
from gradio.routes import App
from gradio.state_holder import SessionState, StateHolder


class LightState(SessionState):
    """A client's state, which begins with no component described."""

    def __init__(self, blocks: Blocks) -> None:
        bare = SimpleNamespace(default_config=blocks.default_config, blocks={})
        super().__init__(cast(Blocks, bare))


class LightStates(StateHolder):
    """All clients' states."""

    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            self.session_data[session_id] = LightState(self.blocks)
        return super().__getitem__(session_id)


@asynccontextmanager
async def light_states(app: App) -> AsyncIterator[None]:
    """Have the app keep these, from before it serves anybody: a lifespan of it."""
    app.state_holder = LightStates()
    app.state_holder.set_blocks(app.get_blocks())
    yield
