"""What importing the page leaves out, and leaves as it was."""

import inspect
import subprocess
import sys

import gradio

import learner.view  # noqa: F401

STUBS_MADE = """
import ast
from unittest.mock import patch
with patch.object(ast, "get_source_segment", wraps=ast.get_source_segment) as read:
    import learner.view
print(read.call_count)
"""


def test_gradio_makes_no_stubs_of_its_components():
    found = subprocess.run([sys.executable, "-c", STUBS_MADE], check=True, capture_output=True)
    assert int(found.stdout) == 0


def test_afterwards_the_source_of_a_component_is_found_again():
    assert inspect.getfile(gradio.Button).endswith("button.py")
