"""The page: a folder a tab, the cards and charts they share, and what stands before both.

Whatever comes from here has Gradio imported first, without what it does for editors meanwhile: of
each of its components it reads the source, makes a stub, and compares it with the one that it came
with. That is a sixth of the time until the page can be opened (`python -m tests.benchmarks start`).
"""

import inspect
from typing import Any
from unittest.mock import patch

_getfile = inspect.getfile


def _no_file_of_components(of: Any) -> str:
    """As `inspect.getfile`, but Gradio hears what makes it go on without a stub."""
    if isinstance(of, type) and of.__module__.startswith("gradio."):
        raise OSError(f"nobody needs a stub of {of.__name__}")
    return _getfile(of)


with patch("inspect.getfile", _no_file_of_components):
    import gradio  # noqa: F401
