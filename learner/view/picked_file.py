"""A file that a visitor picks: it comes as text in the request that asks to read it.

So nothing of it is kept on the server before somebody looks at it, or after; Gradio's own uploads
stay on the disk for an hour, whoever sent them, and are refused (see `door`).
"""

import base64
import binascii
import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

MAX_FILE = 3 << 23  # bytes; many times any soft prompt
MAX_TEXT = MAX_FILE // 3 * 4  # characters of base 64

_TOO_LARGE = f"That file is larger than {MAX_FILE >> 20} MB, and a soft prompt is far smaller."
_PICK = """async (...inputs) => {
    const picker = Object.assign(document.createElement("input"), {type: "file", hidden: true});
    picker.accept = ACCEPTED;
    document.body.append(picker);
    const file = await new Promise((picked) => {
        picker.onchange = () => picked(picker.files[0]);
        picker.oncancel = () => picked(null);
        picker.click();
    });
    picker.remove();
    const read = (file) => new Promise((done, failed) => {
        const reader = new FileReader();
        reader.onload = () => done(reader.result.split(",")[1] || "");
        reader.onerror = () => failed(reader.error);
        reader.readAsDataURL(file);
    });
    const text = file ? (file.size > MOST ? "too large" : await read(file)) : "";
    return [...inputs.slice(0, -2), file ? file.name : "", text];
}"""


def pick(suffixes: Sequence[str]) -> str:
    """What a click does in the browser: let a file be picked; its name and text are the last two
    inputs of the handler, both "" if none was."""
    return _PICK.replace("ACCEPTED", json.dumps(",".join(suffixes))).replace("MOST", str(MAX_FILE))


@contextmanager
def picked(name: object, text: object) -> Iterator[Path]:
    """The file, under its own name in a folder that is gone afterwards.

    ``text`` is in base 64. Raises ValueError if it is not, or is too long.
    """
    if not isinstance(text, str) or text == "too large" or len(text) > MAX_TEXT:
        raise ValueError(_TOO_LARGE)
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("The file is not base 64; send what save gave.") from error
    plain = re.sub(r"[^\w.() -]", "_", str(name).replace("\\", "/").split("/")[-1])[-80:]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / (plain if plain.strip(". ") else "file")
        path.write_bytes(content)
        yield path
