"""Two pages behind nginx, one store, two replicas: a page is killed, and its visitors go on.

Needs Ray, which the tests do not install (learner/service/ray-requirements.txt), and nginx.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from contextlib import ExitStack, contextmanager

import pytest
from playwright.sync_api import expect

from tests.browser.running_app import ROOT, app_process

pytest.importorskip(
    "ray", reason="replicas need pip install -r learner/service/ray-requirements.txt"
)

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed"),
]

CLUSTER = """
import sys, ray
ray.init(num_cpus=2, include_dashboard=False, object_store_memory=80 << 20,
         log_to_driver=False, logging_level="ERROR")
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""
LONG = 120  # seconds for what a busy machine does


class Pages:
    """Where the pages are, and which of them a visitor is at."""

    def __init__(self, folder):
        self.folder = folder
        self.ports = [free_port() for _ in range(3)]
        self.processes = {}

    @property
    def url(self):
        return f"http://127.0.0.1:{self.ports[2]}"

    def configuration(self):
        text = (ROOT / "learner/service/front-ends.conf").read_text()
        for theirs, ours in zip((7860, 7861, 8080), self.ports, strict=True):
            assert f"127.0.0.1:{theirs}" in text
            text = text.replace(f"127.0.0.1:{theirs}", f"127.0.0.1:{ours}")
        noted = f'log_format who "$page $upstream_addr"; access_log {self.folder}/who.txt who;'
        return text.replace("access_log off;", "").replace(
            "upstream pages", f"{noted}\nupstream pages"
        )

    def of(self, visitor):
        """The port of the page that a visitor was at last."""
        (cookie,) = (c for c in visitor.page.context.cookies() if c["name"] == "arena_page")
        lines = (self.folder / "who.txt").read_text().splitlines()
        return next(int(line[-5:]) for line in reversed(lines) if line.startswith(cookie["value"]))


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as there:
        return there.getsockname()[1]


@contextmanager
def ended(*command, **options):
    """A process that is told to go in the end."""
    with subprocess.Popen(command, text=True, start_new_session=True, **options) as process:
        try:
            yield process
        finally:
            if process.stdin:
                process.stdin.close()
            else:
                process.terminate()
            process.wait(LONG)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": uuid.uuid4().hex}
    pages = Pages(folder)
    (folder / "front-ends.conf").write_text(pages.configuration())
    with ExitStack() as stack:
        cluster = stack.enter_context(
            ended(
                *(sys.executable, "-c", CLUSTER),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | token,
            )
        )
        flags = ("--ray", cluster.stdout.readline().strip(), "--replicas", "2")
        for number, port in enumerate(pages.ports[:2]):
            (own := folder / str(number)).mkdir()
            program = ("app.py", *flags, "--port", str(port), "--sessions", f"file://{folder}/kept")
            _, pages.processes[port] = stack.enter_context(app_process(own, program, **token))
        serving = ("-c", str(folder / "front-ends.conf"), "-g", "daemon off;")
        stack.enter_context(ended(shutil.which("nginx"), "-p", str(folder), *serving))
        yield pages


@pytest.fixture(scope="module")
def entrance(pages):
    return pages.url


def episodes(visitor):
    return int(re.sub(r"\D", "", visitor.learnt.inner_text()) or 0)


def test_the_visitors_of_a_page_that_is_killed_go_on_at_the_other(visit, pages):
    people = [visit().arrive()]
    while pages.of(people[0]) == pages.of(people[-1]):
        people.append(visit().arrive())
    moves, stays = people[0], people[-1]
    for one in (moves, stays):
        one.trains(8)
    moves.starts_training(2000)
    expect(moves.learnt).not_to_have_text("learnt from 8 episodes")
    pages.processes[pages.of(moves)].send_signal(signal.SIGKILL)
    stays.trains(4)
    assert episodes(stays) == 12
    moves.reloads()
    assert pages.of(moves) == pages.of(stays)
    assert episodes(moves) >= 8
    moves.page.get_by_role("spinbutton", name="Episodes").fill("4")
    kept, until = episodes(moves), time.monotonic() + LONG
    while episodes(moves) == kept:  # the run of the page that is gone holds it for 15 seconds
        moves.presses("Train 4 episodes")
        assert time.monotonic() < until
