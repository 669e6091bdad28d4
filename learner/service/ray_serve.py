"""Replicas of a base model on Ray Serve: how they are deployed, found and called.

Run as a child of the app (`bridge`), which sends pieces of work and gets back what comes of them.
Only this file imports Ray, and it imports no torch: replicas do that in their own processes.

A cluster where the application runs already is used as it is; see ``ray-serve.yaml`` beside this
file for one that is deployed by ``serve deploy``.
"""

import asyncio
import logging
import os
import re
import sys
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from hashlib import sha256
from json import loads
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import ray
from grpc.aio import AioRpcError
from ray import serve
from ray.exceptions import RayError
from ray.serve.config import RequestRouterConfig
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle
from ray.serve.request_router import PendingRequest, RequestRouter, RunningReplica

ROOT = Path(__file__).parents[2]
APPLICATION = "soft-prompt-arena"
ONGOING = 16.0  # requests of a replica, above which another one is started
MOST_ONGOING = 1000  # the service inside has the bound that matters
OBJECT_STORE_BYTES = 80 << 20  # the least that Ray takes; values are small
WATCH_SECONDS, WATCH_PATIENCE = 2.0, 15.0


class Deployed:
    """What runs in a replica's process."""

    def __init__(self, model: str, revision: str | None, device: str, dtype: str) -> None:
        # Imported where the model is: whoever deploys has no use for torch.
        from learner.model.loading import load_base_model
        from learner.service.in_process import Service
        from learner.service.replica import Replica

        self._replica = Replica(Service(load_base_model(model, device, dtype, revision)))

    def check_health(self) -> None:
        """Called by Serve every few seconds; a replica that raises is replaced."""
        self._replica.check()

    async def run(self, data: bytes) -> AsyncGenerator[bytes, None]:
        """As `learner.service.replica.Replica.run`."""
        async for value in self._replica.run(data):
            yield value


class Router(RequestRouter):
    """Chooses the replica with the fewest requests; of equals, the one that a key belongs to.

    So a soft prompt's next question goes where it was read before, unless that makes it wait.
    """

    async def choose_replicas(
        self,
        candidate_replicas: list[RunningReplica],
        pending_request: PendingRequest | None = None,
    ) -> list[list[RunningReplica]]:
        if pending_request is None:
            return [candidate_replicas]
        pending_request.routing_context.should_backoff = True
        key = pending_request.metadata.session_id
        lengths = [self._length(one) for one in candidate_replicas]
        least = min(lengths, default=0)
        own = [
            one
            for one, length in zip(candidate_replicas, lengths, strict=True)
            if key and length == least
        ]
        own.sort(key=lambda one: sha256(f"{key} {one.replica_id.unique_id}".encode()).digest())
        return [own[:1], candidate_replicas]  # of these, Serve takes the one with the fewest

    def _length(self, replica: RunningReplica) -> int:
        return self.replica_queue_len_cache.get(replica.replica_id) or 0


def application(arguments: dict[str, Any], **options: object) -> serve.Application:
    """The replicas of a model, for `serve.run` and for a Serve config file.

    ``arguments`` are ``model``, ``revision``, ``device`` and ``dtype``, as the flags of ``app.py``;
    ``options`` are Serve's.
    """
    deployed = serve.deployment(
        Deployed,
        name="replicas",
        max_ongoing_requests=MOST_ONGOING,
        max_constructor_retry_count=2,
        health_check_period_s=5,
        health_check_timeout_s=20,
        graceful_shutdown_timeout_s=20,  # what is not over then is asked of another replica
        request_router_config=RequestRouterConfig(request_router_class=Router),
        logging_config={"enable_access_log": False},  # a line a call, written before it is answered
        **options,
    )
    return deployed.bind(
        arguments.get("model", "pocket"),
        arguments.get("revision"),
        arguments.get("device", "auto"),
        arguments.get("dtype", "auto"),
    )


def main() -> None:
    """Serve the app at the other end of a socket: its arguments are a deployment and the socket."""
    deployment, connection = loads(sys.argv[1]), Connection(int(sys.argv[2]))
    try:
        deploy(deployment)
    except (RayError, RayServeException, ConnectionError, RuntimeError, ValueError) as error:
        connection.send((None, "refused", why(str(error), deployment["address"])))
        return
    connection.send((None, "ready", ""))
    leaving = threading.Event()
    threading.Thread(target=watch, args=(leaving,), daemon=True).start()
    asyncio.run(carry(connection, names(deployment)))
    leaving.set()
    # A cluster of one's own ends with this process; what still runs in a thread does not matter.
    ray.shutdown()
    os._exit(0)


def names(deployment: dict[str, Any]) -> list[str]:
    """The applications that serve these models: the second is called ``soft-prompt-arena-2``."""
    places = range(2, len(deployment["models"]) + 1)
    return [APPLICATION, *(f"{APPLICATION}-{place}" for place in places)]


def deploy(deployment: dict[str, Any]) -> None:
    """Join or start a cluster, and find or start the replicas there; returns once they serve."""
    own = not deployment["address"]
    cores = os.cpu_count() or 1
    most = deployment["most"] * len(deployment["models"])
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, cores // most))
    ray.init(
        **(
            {
                "num_cpus": max(cores, most),
                "object_store_memory": OBJECT_STORE_BYTES,
                "include_dashboard": False,
                "runtime_env": {"env_vars": {"OMP_NUM_THREADS": threads}},
            }
            if own
            else {
                "address": deployment["address"],
                "runtime_env": {"working_dir": str(ROOT), "excludes": ["/tests", "/runs", ".git"]},
            }
        ),
        log_to_driver=False,
        logging_level="ERROR",
    )
    logging.getLogger("ray.serve").setLevel(logging.ERROR)  # each death is told once per call
    serve.start(proxy_location="Disabled")
    logging.getLogger("ray.serve").setLevel(logging.ERROR)  # which has set it anew
    there = serve.status().applications
    for name, (model, revision) in zip(names(deployment), deployment["models"], strict=True):
        if name in there:
            continue
        gpu = deployment["device"] != "cpu" and ray.cluster_resources().get("GPU", 0) > 0
        options: dict[str, Any] = {"ray_actor_options": {"num_cpus": 1, "num_gpus": int(gpu)}}
        if deployment["least"] == deployment["most"]:
            options["num_replicas"] = deployment["most"]
        else:
            options["autoscaling_config"] = {
                "min_replicas": deployment["least"],
                "max_replicas": deployment["most"],
                "target_ongoing_requests": ONGOING,
            }
        arguments = deployment | {"model": model, "revision": revision}
        serve.run(application(arguments, **options), name=name, route_prefix=None)


def why(error: str, address: str) -> str:
    """What keeps replicas from serving, in a sentence; of a model, what it says itself."""
    told = [error]
    with suppress(RayError, RayServeException, RuntimeError):
        if ray.is_initialized():  # else Serve would start a cluster to ask
            for application in serve.status().applications.values():
                told += [one.message for one in application.deployments.values()]
    if of_model := re.findall(r"ModelError: (.+)", "\n".join(told)):
        return str(of_model[-1]).strip()
    where = f"The Ray cluster {address}" if address else "Ray"
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    return f"{where} does not serve the model: {lines[-1] if lines else 'it does not say why'}"


def watch(leaving: threading.Event) -> None:
    """End this process when its node is gone: Ray would hang, and nobody would know."""
    me = ray.get_runtime_context().get_node_id()
    seen = time.monotonic()
    gone = threading.Event()

    def look() -> None:
        nonlocal seen
        with suppress(RayError):
            while any(node["NodeID"] == me and node["Alive"] for node in ray.nodes()):
                seen = time.monotonic()
                time.sleep(WATCH_SECONDS)
        gone.set()

    threading.Thread(target=look, daemon=True).start()
    while not gone.wait(WATCH_SECONDS) and time.monotonic() - seen < WATCH_PATIENCE:
        pass
    if not leaving.is_set():
        os._exit(1)


async def carry(connection: Connection, applications: list[str]) -> None:
    """Make the calls that come in by the connection, and send back what comes of them."""
    loop = asyncio.get_running_loop()
    handles = [
        serve.get_app_handle(name).options(method_name="run", stream=True) for name in applications
    ]
    calls: dict[int, asyncio.Task[None]] = {}
    gone = asyncio.Event()

    def take(number: int, model: int, key: str, data: bytes | None) -> None:
        if data is not None:
            handle = handles[model].options(session_id=key)
            calls[number] = asyncio.create_task(call(connection, handle, number, data))
            calls[number].add_done_callback(lambda _: calls.pop(number, None))
        elif number in calls:
            calls[number].cancel()

    def read() -> None:
        try:
            while (message := connection.recv())[0] is not None:
                loop.call_soon_threadsafe(take, *message)
        except (EOFError, OSError):
            pass  # the app is gone
        loop.call_soon_threadsafe(gone.set)

    threading.Thread(target=read, daemon=True).start()
    await gone.wait()


async def call(connection: Connection, handle: DeploymentHandle, number: int, data: bytes) -> None:
    """Make one call, and send back what comes of it."""
    response = handle.remote(data)
    try:
        async for value in response:
            connection.send((number, "value", value))
        connection.send((number, "end", None))
    except asyncio.CancelledError:  # by whoever called, or by a replica that is stopped
        response.cancel()
        with suppress(OSError):  # at the end the other side may be gone
            connection.send((number, "gone", "It was cancelled."))
        raise
    except (RayError, RayServeException, AioRpcError) as error:  # the replica, or the way there
        connection.send((number, "gone", f"{type(error).__name__}: {error}"))
    except Exception as error:  # not swallowed: it is raised again at the caller
        connection.send((number, "fault", f"A replica failed: {error!r}"))
