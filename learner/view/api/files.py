"""What programs can do with a soft prompt as a file and on the Hub, as the page does it."""

import base64
import tempfile
from pathlib import Path
from typing import Any

import gradio as gr

from learner.checkpoint.files import load_zip, save_zip
from learner.hub.client import HubError
from learner.hub.push import push as push_to_hub
from learner.hub.reference import checked_repo_id
from learner.model.turns import finished
from learner.view.api.endpoint import endpoint
from learner.view.picked_file import picked
from learner.view.screen import said
from learner.view.share.tab import file_name, held_out_results
from learner.visitors.followed import MOST_MEASURING
from learner.visitors.open_lessons import OpenLessons

Json = dict[str, Any]

TOKEN_HEADER = "X-HF-Token"


def add_files_api(lessons: OpenLessons) -> None:
    """Register the public endpoints; call inside ``with gr.Blocks()``."""

    def save(session: str) -> Json:
        """The soft prompt as a zip file that PEFT loads: its name, and its bytes in base 64."""
        with said(markup=False), tempfile.TemporaryDirectory() as folder:
            lesson = lessons.get(session)
            learner = lesson.learner
            path = save_zip(learner, Path(folder) / file_name(learner), lesson.base_model)
            return {"name": path.name, "file": base64.b64encode(path.read_bytes()).decode()}

    def load(session: str, file: str, accept_other_model: bool = False) -> Json:
        """Go on with the soft prompt in a file; `undo` brings back the one before.

        If it was made for another model that there is here, the session goes over to that.
        """
        with said(markup=False), picked("soft-prompt.zip", file) as path:
            lesson = lessons.get(session)
            with lesson.acting():
                model, learner = lessons.read(
                    lesson,
                    lambda base_model: load_zip(path, base_model, accept_other_model is True),
                )
                lesson = lessons.adopt(lesson, model, learner)
            return {
                "model": lesson.base_model.name,
                "episodes": lesson.learner.episodes,
                "steps": lesson.learner.steps,
            }

    def push(
        session: str,
        repository: str,
        request: gr.Request,
        private: bool = True,
        message: str = "",
        seen: str = "",
    ) -> Json:
        """Push the soft prompt to the Hub, with your own token in the header X-HF-Token.

        Returns its address and the commit. If the repository holds something else, it says so and
        names the commit there: look at it, then push on top of it with that as `seen`.
        """
        with said(markup=False):
            token = request.headers.get(TOKEN_HEADER.lower())
            if not token:
                raise HubError(f"Send your own token of the Hub in the header {TOKEN_HEADER}.")
            lesson = lessons.get(session)
            with lesson.acting(MOST_MEASURING):
                pushed = push_to_hub(
                    lesson.learner,
                    checked_repo_id(repository),
                    token,
                    private=private is not False,
                    message=str(message),
                    results=finished(held_out_results(lesson, lesson.learner)),
                    parent_commit=str(seen) or None,
                    base_model=lesson.base_model,
                )
            return {"url": pushed.url, "commit": pushed.commit, "private": pushed.private}

    endpoint(save)
    endpoint(load)
    endpoint(push)
