"""The Hub panel's components and where they stand. No behaviour: ``hub.py`` wires them."""

from dataclasses import dataclass

import gradio as gr

from learner.view import hub_cards
from learner.view.layout import explained, html
from learner.view.login import can_sign_in

SORTS = [("newest", "recent"), ("most liked", "liked")]


@dataclass(frozen=True)
class HubPanel:
    """The components that handlers read or write."""

    who: gr.HTML
    repo: gr.Textbox
    account: gr.State
    offered: gr.Textbox
    taken: gr.Textbox
    private: gr.Checkbox
    message: gr.Textbox
    push: gr.Button
    pushed: gr.HTML
    link: gr.Textbox
    copy: gr.Button
    reference: gr.Textbox
    look: gr.Button
    sort: gr.Radio
    browse: gr.Button
    found: gr.Radio
    preview: gr.HTML
    looked: gr.State
    adopt: gr.Button
    linked: gr.Textbox


def build_hub() -> HubPanel:
    """Lay out the panel; call inside the tab."""
    with gr.Row(elem_classes="spa-hub", equal_height=False):
        with explained("spa-push-words", "Share it on the Hub", _PUSH_WORDS):
            if can_sign_in():
                gr.LoginButton(size="md", elem_id="spa-sign-in")
            who = html("spa-who", hub_cards.note(""))
            repo = gr.Textbox(
                label="Repository",
                placeholder="you/soft-prompt-name",
                max_length=96,
                elem_id="spa-repo",
            )
            message = gr.Textbox(
                label="What changed (optional)", max_length=200, elem_id="spa-message"
            )
            private = gr.Checkbox(True, label="Private: only you can see it", elem_id="spa-private")
            push_button = gr.Button("Push to the Hub", elem_id="spa-push")
            pushed = html("spa-pushed", hub_cards.note(""))
            link = gr.Textbox(
                label="Opens the app with this soft prompt",
                interactive=False,
                max_lines=1,
                visible="hidden",
                elem_id="spa-link",
            )
            copy = gr.Button("Copy link", size="md", visible="hidden", elem_id="spa-copy")
        with explained("spa-pull-words", "Go on with somebody else's", _PULL_WORDS):
            with gr.Row(elem_classes="spa-choosers"):
                reference = gr.Textbox(
                    label="Soft prompt on the Hub",
                    show_label=False,
                    placeholder="user/name, or the address of its page",
                    max_length=500,
                    max_lines=1,
                    scale=4,
                    min_width=200,
                    elem_id="spa-reference",
                )
                look = gr.Button("Look", size="md", scale=1, min_width=90, elem_id="spa-look")
            preview = html("spa-preview", hub_cards.note(""))
            looked = gr.State("")
            adopt = gr.Button("Use it", variant="primary", visible="hidden", elem_id="spa-adopt")
            with gr.Row(elem_classes="spa-choosers"):
                sort = gr.Radio(
                    SORTS,
                    value="recent",
                    label="Soft prompts for this model",
                    scale=4,
                    min_width=200,
                    elem_id="spa-sort",
                )
                browse_button = gr.Button(
                    "Browse", size="md", scale=1, min_width=90, elem_id="spa-browse"
                )
            found = gr.Radio([], label="Found", visible="hidden", elem_id="spa-found-list")
    return HubPanel(
        who=who,
        repo=repo,
        account=gr.State(""),
        offered=gr.Textbox(visible="hidden", elem_id="spa-offered"),
        taken=gr.Textbox(visible="hidden", elem_id="spa-taken"),
        private=private,
        message=message,
        push=push_button,
        pushed=pushed,
        link=link,
        copy=copy,
        reference=reference,
        look=look,
        sort=sort,
        browse=browse_button,
        found=found,
        preview=preview,
        looked=looked,
        adopt=adopt,
        linked=gr.Textbox(visible="hidden", elem_id="spa-linked"),
    )


_PUSH_WORDS = (
    "One commit with the file, a model card with your results, and the curve. Whoever you give the "
    "link can go on from there."
)
_PULL_WORDS = (
    "Any soft prompt or PEFT prompt-tuning adapter on the Hub that fits this model. You see what "
    "it is before it replaces yours; Undo brings yours back."
)
