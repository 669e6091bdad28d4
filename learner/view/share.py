"""The Save & share tab: the trained soft prompt as a file, and a file as the soft prompt."""

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from learner.checkpoint.files import ORIGINAL_SUFFIXES, load_file, save_zip
from learner.checkpoint.reading import OtherModelError
from learner.learning.learner import Learner
from learner.model.base_model import ModelFacts
from learner.view import cards
from learner.view.layout import explained, html
from learner.view.teach import PRIVATE, Frame, Page, said
from learner.visitors.sessions import PROMISE

FOLLOW_DOWNLOAD = '() => requestAnimationFrame(() => document.querySelector("#spa-file").click())'


@dataclass(frozen=True)
class SharePanel:
    """The components of the Save & share tab that handlers read or write."""

    save: gr.Button
    file: gr.DownloadButton
    upload: gr.UploadButton
    accept_other_model: gr.Checkbox
    status: gr.HTML


def build_share() -> SharePanel:
    """Lay out the tab; call inside ``with gr.Tab(...)``."""
    with gr.Row(elem_classes="spa-share", equal_height=True):
        with explained("spa-save-words", "Take it with you", _SAVE_WORDS):
            save = gr.Button("Download your soft prompt", variant="primary", elem_id="spa-save")
            file = gr.DownloadButton("Soft prompt file", visible="hidden", elem_id="spa-file")
        with explained("spa-load-words", "Go on with one you have", _LOAD_WORDS):
            upload = gr.UploadButton(
                "Load a soft prompt",
                file_types=[".zip", *ORIGINAL_SUFFIXES],
                elem_id="spa-upload",
            )
            accept_other_model = gr.Checkbox(label=_ACCEPT, elem_id="spa-accept-other-model")
    status = html("spa-share-status", cards.status(""))
    return SharePanel(save, file, upload, accept_other_model, status)


def wire_share(page: Page, panel: SharePanel, base_model: ModelFacts) -> None:
    """Connect the controls of the tab."""

    def save(session_id: object) -> Iterator[tuple[str, str]]:
        with said(), tempfile.TemporaryDirectory() as folder:
            learner = page.lessons.get(session_id).learner
            path = save_zip(learner, Path(folder) / file_name(learner), base_model)
            size = path.stat().st_size / 1024
            yield (
                str(path),
                cards.status(
                    f"Saved {path.name}: learnt from {cards.count(learner.episodes, 'episode')}, "
                    f"{size:.0f} KB."
                ),
            )

    def upload(session_id: object, path: object, accept: object) -> Iterator[Frame]:
        with said():
            lesson = page.lessons.get(session_id)
            try:
                learner = load_file(Path(str(path)), base_model, accept is True)
            except OtherModelError as error:
                raise OtherModelError(f"{error} To do so, tick “{_ACCEPT}” first.") from error
            lesson.adopt(learner)
            told: object = cards.status(
                f"Loaded. It has learnt from {cards.count(learner.episodes, 'episode')}; "
                "Undo, on the Teach tab, brings back the one before."
            )
            for frame in page.frames(lesson, lambda: lesson.comparison.answering):
                yield [told, *frame]
                told = gr.skip()

    panel.save.click(save, [page.browser], [panel.file, panel.status], **PRIVATE).success(
        None, js=FOLLOW_DOWNLOAD, **PRIVATE
    )
    panel.upload.upload(
        upload,
        [page.browser, panel.upload, panel.accept_other_model],
        [panel.status, *page.outputs],
        **PRIVATE,
    )


def file_name(learner: Learner) -> str:
    """``soft-prompt-pocket-80-episodes.zip``: letters, digits, dots and dashes only."""
    model = re.sub(r"[^A-Za-z0-9.]+", "-", learner.source.short_name).strip("-.")
    return f"soft-prompt-{model or 'model'}-{learner.episodes}-episodes.zip"


_ACCEPT = "Load it even if it was made for another model of the same size, or does not say"
_SAVE_WORDS = (
    "Everything learnt is a few thousand numbers. The file holds them in PEFT's own format, "
    f"with the optimiser's state, so it opens in PEFT and training can go on here. {PROMISE}"
)
_LOAD_WORDS = (
    "A file saved here, any prompt-tuning adapter of PEFT, zipped, or a .pt checkpoint of the "
    "original experiments. It replaces your soft prompt; Undo brings the old one back."
)
