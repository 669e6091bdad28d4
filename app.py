"""Soft Prompt Arena: watch a frozen language model learn from eight vectors and nothing else.

    python app.py                                    the embedded model, on http://127.0.0.1:7860
    python app.py --model Qwen/Qwen2.5-0.5B-Instruct --device cuda
    python app.py --models pocket,SmolLM2-135M-Instruct-Q4_1.gguf
    python app.py --host 0.0.0.0 --port 8000
    python app.py --replicas 2                       two of the model, each in a process of its own

The page opens at once. While a model is loaded, the embedded one is there to be taught. Models can
also be named by the environment variable SOFT_PROMPT_MODELS, as on a Space that
`python -m learner host` has made.
"""

import argparse
import atexit
import gc
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

if __name__ == "__main__":  # what is imported below takes longer than somebody waits for nothing
    print("Soft Prompt Arena loads PyTorch and Gradio, which takes some seconds.", flush=True)
    gc.disable()  # what is imported is there for good: looking through it takes a sixth of the time

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # before gradio is imported
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1")  # of which it makes a table, ...
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000000")  # ... after each event
os.environ.setdefault("FORWARDED_ALLOW_IPS", "")  # nobody says for others where they come from
# PyTorch's threads wait awake for each other (libgomp). Where anything else runs on as few cores,
# this server itself perhaps, they burn the time of the one that they wait for: a training step took
# fifty times as long. Waiting awake for a moment only costs a fifth where nothing else runs.
if (os.cpu_count() or 1) <= 4:
    os.environ.setdefault("GOMP_SPINCOUNT", "100")  # before torch is imported
# oneDNN keeps code for the products of each number of rows that it met. With its 1,024 of them a
# flood of calls left 140 to 180 MB more behind than with these; 64 made the service a fifth slower.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "256")
# PyTorch keeps a description of each beside it, a quarter of a megabyte and 1,024 a thread: 390 MB
# in as many sizes of product. With so few they are made again, which takes no time to speak of.
os.environ.setdefault("LRU_CACHE_CAPACITY", "64")

from starlette.middleware import Middleware

from arena.command_line import leave, told
from learner.cli.serving import let_many_in, options_of
from learner.experiments.background import BackgroundExperiments
from learner.experiments.engine import Engine, Pause, through
from learner.model.loading import load_base_model
from learner.model.progress import Tell
from learner.model.source import POCKET, ModelError, locate
from learner.model.threads import use_fast_threads
from learner.service.bridge import Bridge, Deployment
from learner.service.device import Device
from learner.service.in_process import Service
from learner.service.protocol import ModelService
from learner.service.replicas import ReplicaService
from learner.service.zerogpu import ZeroGpuService, end_stuck_processes
from learner.view import theme
from learner.view.api.endpoint import answer_in_json
from learner.view.build import build
from learner.view.help import readme_route
from learner.view.room import room_routes
from learner.view.server.door import Door
from learner.view.server.gate import Gate, answered_names
from learner.view.server.light_states import light_states
from learner.view.server.link_preview import LinkPreview
from learner.view.server.listeners import Listeners
from learner.view.server.login import Login, lacking_for_sign_in, on_loopback, on_space
from learner.visitors.audience import Rooms
from learner.visitors.models import Models, Opening, Taught
from learner.visitors.open_lessons import OpenLessons
from learner.visitors.session import Session
from learner.visitors.sessions import Sessions
from learner.wording import count

NO_EXPERIMENTS = (
    "ZeroGPU lends this Space its GPU for seconds, and experiments take minutes: run them on your "
    "own machine, or on a Space with hardware of its own."
)
MOST_EVENTS = 1000  # that go on at a time; hardly any of them needs a thread
# Gradio looks a thousand times a second whether somebody has asked for something, and each time
# takes Python's lock from what learns; nobody notices a hundredth of a second.
LOOK_SECONDS = 0.01
HERE = Path(__file__).resolve().parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Open the app and serve it until interrupted; returns the exit status."""
    try:
        options = options_of(arguments, os.environ, __doc__)
        if options.replicas or options.ray:
            serve_replicas(options)
        elif os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true"):
            serve_on_zerogpu(options)
        else:
            serve_here(options)
    except (ValueError, OSError) as error:  # what a person can mend is one of these
        return told(error)
    return 0


def serve_replicas(options: argparse.Namespace) -> None:
    """Serve the page where others hold the models: this process has no weights, nor Ray."""
    least, most = options.replicas or (1, 1)
    wanted = tuple(options.models)
    deployment = Deployment(wanted, options.device, options.dtype, least, most, options.ray)
    with Bridge(deployment) as bridge:
        services = [ReplicaService(bridge, place) for place in range(len(wanted))]
        models = Models([service.base_model.source for service in services])
        loads = [lambda _, service=service: service for service in services]
        with Opening(models, loads, options.held_out, options.folder) as opening:
            for place in range(len(wanted)):
                models.add(place, opening.open(place))
            serve(models, opening, options)


def serve_here(options: argparse.Namespace) -> None:
    """Serve the page at once: the embedded model, and the others as soon as they are loaded."""
    wanted = options.models
    if POCKET not in (name for name, _ in wanted):
        wanted = [*wanted, (POCKET, None)]
    device = Device() if len(wanted) > 1 else None

    def load(name: str, revision: str | None, tell: Tell) -> ModelService:
        base_model = load_base_model(name, options.device, options.dtype, revision, tell)
        why = "measured to be fast here" if options.dtype == "auto" else "as was asked"
        threads = use_fast_threads(base_model)
        said = (
            f"{base_model.name} computes in {base_model.dtype}, {why}; {count(threads, 'thread')}."
        )
        print(said, flush=True)
        return Service(base_model, device=device, threads=threads)

    models = Models([locate(name).source for name, _ in wanted])
    loads = [partial(load, name, revision) for name, revision in wanted]
    with Opening(models, loads, options.held_out, options.folder) as opening:
        first = [name for name, _ in wanted].index(POCKET)
        models.add(first, opening.open(first))
        serve(models, opening, options)


def serve_on_zerogpu(options: argparse.Namespace) -> None:
    """Serve the page where the GPU is lent for seconds, and only to visitors.

    Every model is loaded before, on this thread: those that are lent the GPU inherit it.
    """
    import gradio as gr
    import httpx
    import spaces  # before anything else looks for a GPU; only such a Space has it

    end_stuck_processes()
    lent = options.device != "cpu"
    dtype = "bfloat16" if lent and options.dtype == "auto" else options.dtype
    device = "cuda" if lent else "cpu"
    faults = (gr.Error, httpx.HTTPError)

    def load(name: str, revision: str | None, tell: Tell) -> ModelService:
        base_model = load_base_model(name, "cpu", dtype, revision, tell)
        return ZeroGpuService(base_model, spaces.GPU, faults, device)

    wanted = options.models
    models = Models([locate(name).source for name, _ in wanted])
    loads = [partial(load, name, revision) for name, revision in wanted]
    with Opening(models, loads, options.held_out, options.folder, visitors_only=True) as opening:
        for place in range(len(wanted)):
            try:
                models.add(place, opening.open(place))
            except ModelError as error:
                models.refuse(place, str(error))
        if not models.all_taught:
            raise ModelError(models.offers[0].refused)
        serve(models, opening, options, NO_EXPERIMENTS)


def serve(models: Models, opening: Opening, options: argparse.Namespace, shut: str = "") -> None:
    """Serve the page in front of the models that are there, and of the others when they come.

    Where experiments cannot be done, ``shut`` is the sentence that says why.
    """
    first, *others = models.all_taught
    sessions = Sessions(
        options.folder,
        first.base_model,
        first.service.new_learner,
        store=options.store,
        lasting=options.store is not None or not on_space(),
    )
    for taught in others:
        sessions.add(taught.base_model, taught.service.new_learner)

    def arrived(taught: Taught) -> None:
        sessions.add(taught.base_model, taught.service.new_learner)

    def engine_of(session: Session, pause: Pause) -> Engine:
        return through(models.of(sessions.model_of(session)).service, session.id, pause)

    let_many_in()
    # Gradio looks twice for each frame whether there is Matplotlib by now. No plot here is of it.
    sys.modules.setdefault("matplotlib", None)  # type: ignore[arg-type]
    with BackgroundExperiments(engine_of, sessions, shut=shut) as background:
        rooms = Rooms()
        login = Login(on_loopback(options.host), options.use_my_login)
        gate = Middleware(Gate, login, answered_names(options.host, options.allow_host, os.environ))
        demo = build(OpenLessons(models, sessions), background, rooms, login)
        demo.queue(default_concurrency_limit=None, max_size=1000, api_open=False)
        _, url, _ = demo.launch(
            server_name=options.host,
            server_port=options.port,
            theme=theme.theme(),
            head=theme.head(),
            favicon_path=HERE / "assets" / "favicon.svg",
            footer_links=["api", "settings"],
            run_history=False,
            max_threads=MOST_EVENTS,
            state_session_capacity=2000,
            ssr_mode=False,
            quiet=True,
            app_kwargs={
                "middleware": [gate, *(Middleware(one) for one in (Door, Listeners, LinkPreview))],
                "lifespan": light_states,
                "routes": [room_routes(rooms), readme_route()],
            },
            enable_monitoring=False,
            prevent_thread_lock=True,
            mcp_server=options.mcp,
        )
        demo._queue.sleep_when_free = LOOK_SECONDS
        if options.mcp:
            answer_in_json(demo.mcp_server_obj)
            print(f"Agents find its tools at {url}gradio_api/mcp/", flush=True)
        if lacking := lacking_for_sign_in():
            print(f"Visitors cannot sign in: {', '.join(lacking)} is not set.", flush=True)
        if options.use_my_login:
            print("Whoever reaches it uses this machine's Hub login.", flush=True)
        # A collection that looks through all that is here for good takes nearly half a second, in
        # which nobody is served and nothing learns.
        gc.collect()
        gc.freeze()
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # a Space is stopped this way
        print(f"Soft Prompt Arena is open on {login.link(url)}", flush=True)
        waiting = [place for place, offer in enumerate(models.offers) if offer.is_loading]
        opening.open_in_background(waiting, arrived)
        demo.block_thread()
        sessions.close()


if __name__ == "__main__":
    gc.freeze()
    gc.enable()
    ended: list[int] = []
    atexit.register(leave, ended)  # first, so that it comes after what running registers
    ended.append(main())
    sys.exit(ended[0])
