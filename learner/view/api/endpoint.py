"""An endpoint for programs: a function with a plain name, and a description of each parameter.

The page "Use via API" shows them, and agents get them as tools of the same names.
"""

import inspect
import json
from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.context import get_blocks_context

PARAMETERS = {
    "session": "The id that new_session gave. It is the key to one learner: keep it to yourself.",
    "model": "A base model's name, as list_models has it.",
    "family": "any, comparison, sequence, causal, math_word or logic_grid.",
    "difficulty": "1 to 5, or 0 for any.",
    "question": "The question to ask, in your own words.",
    "answer": "Its right answer, to have answers graded: a number, yes or no, a text; or nothing.",
    "questions": "Questions of your own, one a line: the question, then | and its answer.",
    "times": "How many times to learn from the same: 1 to 200.",
    "episodes": "How many problems to learn from: 1 to 2000, in an experiment 1 to 400.",
    "chat_template": "Whether to put questions into the model's chat template.",
    "signal": "What it is told: the answer, only a reward (are its own tries right?), or a mix.",
    "marks": "One for each try drawn last: 1 (good), -1 (bad) or 0 (none).",
    "name": "The experiment's name; of a new one, nothing for the next free one.",
    "number": "A held-out problem's number, from 0, as held_out has it.",
    "snapshot": "The snapshot's name; of a new one, nothing for one that says what was learnt.",
    "technique": "best, original, curriculum, again, per family, examples, meta or reward.",
    "seeds": "How many learners learn side by side: 1 to 5.",
    "problems": "How many held-out problems each measurement takes: 20 to 500.",
    "text": "A text of yours to compare the soft prompt with, or nothing.",
    "file": "The file's bytes in base 64: a zipped checkpoint, as save gives.",
    "accept_other_model": "Load it even if it was made for another model of this size.",
    "repository": "Where on the Hugging Face Hub: user/name.",
    "private": "Whether only its owner can see a repository that is made.",
    "message": "What changed, in a line.",
    "seen": "The commit that was there when you looked; to push on top of something.",
}
"""What a parameter means, by its name: the same in every endpoint."""


def endpoint(function: Callable[..., Any], name: str = "", description: str = "") -> None:
    """Register ``function`` under its name, or ``name``; call inside ``with gr.Blocks()``.

    Its docstring, or ``description``, says what it does. Raises KeyError if it has a parameter that
    nobody has described.
    """
    function.__name__ = name or function.__name__
    text = inspect.cleandoc(description or function.__doc__ or "")
    names = [name for name, *_ in gr.utils.get_function_params(function)]
    lines = "".join(f"\n    {name}: {PARAMETERS[name]}" for name in names)
    function.__doc__ = f"{text}\n\nArgs:{lines}"  # in the form that Gradio reads
    gr.api(function, api_name=function.__name__, api_description=text)
    blocks = get_blocks_context()
    assert blocks is not None, "gr.api has just used it"
    *_, registered = blocks.fns.values()
    for component, name in zip(registered.inputs, names, strict=True):
        assert isinstance(component, gr.components.Component)
        component.label = PARAMETERS[name]


def answer_in_json(server: Any) -> None:
    """Have the tools of Gradio's MCP server answer with JSON, where it would write Python."""
    as_content = server.postprocess_output_data

    def in_json(data: list[Any], root_url: str) -> list[Any]:
        texts = [one if isinstance(one, str) else json.dumps(one) for one in data]
        content: list[Any] = as_content(texts, root_url)
        return content

    server.postprocess_output_data = in_json
