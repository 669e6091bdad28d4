"""What ``python app.py`` is told, by flags and by its environment: checked before it serves.

A model may take minutes to load; what cannot be is told before.
"""

import argparse
import socket
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from arena.command_line import Parser, whole_number
from learner.hub.space_files import MCP_VARIABLE, MODELS_VARIABLE, SESSIONS_VARIABLE
from learner.model.loading import DEVICES, DTYPES
from learner.model.source import POCKET, split_revision
from learner.visitors.stores.object_store import open_store

RAY = "learner/service/ray-requirements.txt"
MOST_FILES = 10_000  # that are open at a time, connections included
KEPT = Path(__file__).resolve().parents[2] / "runs" / "sessions"


def options_of(
    arguments: Sequence[str] | None, environment: Mapping[str, str], text: str
) -> argparse.Namespace:
    """What is asked for, checked. Raises ValueError, in a sentence, for what a person can mend.

    Beside the flags there are ``store``, where sessions are kept unless that is None, and
    ``folder``, where what belongs to them lies; ``models`` are (name, revision), each of them once.
    """
    options = parser(environment, text).parse_args(arguments)
    if taken := why_not(options.host or "127.0.0.1", ports(options.port, environment)):
        raise ValueError(taken)
    if options.use_my_login and environment.get("SPACE_ID"):
        raise ValueError("--use-my-login is for one's own machine; here visitors sign in.")
    if options.mcp and find_spec("mcp") is None:
        raise ValueError("--mcp needs a package more; run: pip install 'gradio[mcp]'")
    if (options.replicas or options.ray) and find_spec("ray") is None:
        raise ValueError(f"Replicas need a package more; run: pip install -r {RAY}")
    options.store = open_store(options.sessions)
    options.folder = KEPT if options.store else Path(options.sessions)
    options.models = models_of(options.models)
    return options


def parser(environment: Mapping[str, str], text: str = "") -> argparse.ArgumentParser:
    """The flags, with the ``text`` of their help; ``environment`` gives the defaults of some."""
    models = environment.get(MODELS_VARIABLE) or POCKET
    flags = Parser(prog="python app.py", text=text)
    add = flags.add_argument_group("base model").add_argument
    add(
        "--models",
        "--model",
        default=models,
        help="pocket (embedded), a folder, a .gguf file, or on the Hub user/name or "
        f"user/name@revision; several with commas between them; now {models}",
    )
    add(
        "--mcp",
        action="store_true",
        default=environment.get(MCP_VARIABLE, "").lower() in ("1", "true", "yes"),
        help="offer the API to agents as MCP tools too (pip install 'gradio[mcp]')",
    )
    add("--device", default="auto", choices=DEVICES, help="where it runs")
    add("--dtype", default="auto", choices=["auto", *DTYPES], help="of its weights")
    add(
        "--replicas",
        type=replicas,
        metavar="N",
        help=f"have so many on this machine, or 1-4 by need (pip install -r {RAY})",
    )
    add("--ray", default="", metavar="ADDRESS", help="have the replicas on this Ray cluster")
    add = flags.add_argument_group("server").add_argument
    add(
        "--host",
        default=environment.get("GRADIO_SERVER_NAME") or None,
        help="address to listen on; 0.0.0.0 for all (default: 127.0.0.1)",
    )
    add(
        "--allow-host",
        nargs="+",
        default=[],
        metavar="NAME",
        help="answer to these names too while listening on 127.0.0.1, as behind a proxy; * for any",
    )
    add(
        "--use-my-login",
        action="store_true",
        help="let whoever reaches the page use this machine's Hub login (default: only browsers "
        "that opened the printed link)",
    )
    add("--port", type=whole_number(0, 65535), help="to listen on (default: first free from 7860)")
    held_out = whole_number(1, 10_000)
    add("--held-out", type=held_out, default=200, help="problems that everybody is scored on (200)")
    add(
        "--sessions",
        default=environment.get(SESSIONS_VARIABLE) or str(KEPT),
        help="where visitors' learners are kept: a folder on a local disk, or storage that several "
        "apps may share: file:///folder (a mounted bucket, say), s3://, gs:// or az://bucket/folder",
    )
    return flags


def replicas(text: str) -> tuple[int, int]:
    """The fewest and the most replicas: "3" or "1-4". Raises ArgumentTypeError."""
    least, _, most = text.partition("-")
    count = whole_number(1, 10_000)
    bounds = count(least), count(most or least)
    if bounds[0] > bounds[1]:
        raise argparse.ArgumentTypeError(f"the fewest come first, as in {most}-{least}")
    return bounds


def models_of(text: str) -> list[tuple[str, str | None]]:
    """The models that were asked for and their revisions, each of them once."""
    names = [name.strip() for name in text.split(",")]
    return [*dict.fromkeys(split_revision(name) for name in names if name)] or [(POCKET, None)]


def let_many_in() -> None:
    """Have as many connections open as the machine allows: a room of phones takes hundreds."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def ports(port: int | None, environment: Mapping[str, str]) -> Sequence[int]:
    """The ports that Gradio will try, one after the other."""
    if port is None and environment.get("GRADIO_SERVER_PORT", "").isdecimal():
        port = int(environment["GRADIO_SERVER_PORT"])
    return range(7860, 7960) if port is None else [port]


def why_not(host: str, ports: Sequence[int]) -> str:
    """Why nothing can listen on any of these ports of ``host``, in a sentence; "" if it can."""
    reason = ""
    for port in ports:
        try:
            if port not in range(1 << 16):  # as the environment may say
                raise OSError("there is none beyond 65535")
            family, kind, protocol, _, address = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            with socket.socket(family, kind, protocol) as listener:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(address)
            return ""
        except OSError as error:
            reason = error.strerror or str(error)
    which = f"port {ports[0]}" if len(ports) == 1 else f"any port from {ports[0]} to {ports[-1]}"
    return f"Nothing can listen on {which} of {host} ({reason}); choose another by --port."
