"""What happens on ZeroGPU, played through in a process that takes itself for such a Space.

``python -m tests.learner.service.zerogpu_scenarios FOLDER`` writes the outcome of each scenario to
a file there: what it returns, or how it failed.
"""

import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from contextlib import closing
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from arena import stream
from learner.learning.learner import LearnerConfig
from learner.model.completion import Ask
from tests.learner.tiny_models import build_base_model
from tests.zerogpu import emulate, end_workers

STEPS = [[problem] for problem in islice(stream(0, "train"), 6)]
ASKS = [Ask(problem.question, False) for problem in islice(stream(1, "train"), 3)]
TOKENS = 6
CONFIG = LearnerConfig(seed=3)


@dataclass(frozen=True)
class Outcome:
    """What a scenario returned, or how it failed."""

    value: object = None
    error: str = ""


class Visitor:
    """What Gradio knows of a request."""

    def __init__(self, token):
        self.headers = Headers({"x-ip-token": token})


class Headers(dict):
    """A dictionary that has a dictionary, as the headers of a request do."""


class Space:
    """A service in front of a tiny model, and who schedules its calls."""

    def __init__(self, scheduler, lend, faults, folder):
        from learner.service.zerogpu import ZeroGpuService

        self.scheduler = scheduler
        self.folder = Path(folder)
        self.service = ZeroGpuService(build_base_model("qwen2"), lend, faults, "cpu")
        self.learner = self.service.new_learner(CONFIG)

    def run(self, steps=STEPS):
        return self.service.train_run(self.learner, steps)

    def calls(self):
        """How many calls there were since this was last asked."""
        calls = len(self.scheduler.asked)
        self.scheduler.asked.clear()
        return calls


def a_run_is_one_call(space):
    learners = [learner for learner, _ in space.run()]
    (asked,) = space.scheduler.asked
    return learners, int(asked["durationSeconds"])


def answers_stream_from_one_call(space):
    states = [*space.service.ask(ASKS, TOKENS)]
    return states[-1], space.calls()


def a_killed_worker_costs_nothing(space):
    learners = []
    for learner, _ in space.run():
        learners.append(learner)
        if len(learners) == 3:
            for child in multiprocessing.active_children():
                os.kill(child.pid, signal.SIGKILL)
    return learners, space.calls()


def a_worker_killed_while_it_answers_costs_nothing(space):
    first, *_, last = _killing_after_the_first(space.service.ask(ASKS, 40))
    return first, last


def _killing_after_the_first(states):
    for number, state in enumerate(states):
        if not number:
            for child in multiprocessing.active_children():
                os.kill(child.pid, signal.SIGKILL)
        yield state


def what_a_worker_writes_a_pipe_takes_whole(space):
    written = space.folder / "written"
    space.service.look(partial(_much, written)).result(60)
    return [int(size) for size in written.read_text().split()]


def _much(written, base_model):
    """A large value, whose writing to the other process is written down."""
    from multiprocessing.connection import Connection

    def write(self, data, send=Connection._send):
        with written.open("a") as file:
            print(len(data), file=file)
        return send(self, data)

    Connection._send = write
    return os.urandom(200_000)


def visitors_have_processes_of_their_own(space):
    barrier = threading.Barrier(2, timeout=60)
    results, children = [], []

    def visit():
        with closing(space.run()) as run:
            first = next(run)
            barrier.wait()
            children.append({child.pid for child in multiprocessing.active_children()})
            barrier.wait()
            results.append([first[0], *(learner for learner, _ in run)])

    threads = [threading.Thread(target=visit) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results, [len(pids) for pids in children]


def stopping_ends_the_call_and_the_next_one_is_warm(space):
    with closing(space.run()) as run:
        learners = [learner for learner, _ in islice(run, 2)]
    pids = {child.pid for child in multiprocessing.active_children()}
    next(space.service.ask(ASKS, 1))
    return learners, pids == {child.pid for child in multiprocessing.active_children()}


def a_lock_that_is_held_at_the_fork_stops_nobody(space):
    end_workers()
    held, done = threading.Event(), threading.Event()

    def hold():
        with space.service._changed:
            held.set()
            done.wait(60)

    run = space.run(STEPS[:1])
    holder = threading.Thread(target=hold)
    ask = space.scheduler.answer

    def answer(path):
        if path.startswith("/schedule"):  # asked for, and not forked yet
            holder.start()
            held.wait(60)
        return ask(path)

    space.scheduler.answer = answer
    threading.Timer(1.0, done.set).start()
    learner, _ = next(run)
    space.scheduler.answer = ask
    done.set()
    holder.join()
    run.close()
    return learner


def a_process_that_is_stuck_before_it_begins_is_ended(space):
    from spaces.zero import client

    given = space.folder / "given"  # seconds that it had left

    def stuck_at_first(token, allow=client.allow):
        if not given.exists():
            given.write_text(str(signal.alarm(1)))
            threading.Event().wait()  # as on a lock that nobody will give back
        allow(token)

    client.allow = stuck_at_first
    end_workers()  # so that a new one is forked
    learners = [learner for learner, _ in space.run()]
    return learners, space.calls(), int(given.read_text())


def a_look_is_had_where_the_weights_are(space):
    return space.service.look(_process).result(60) != os.getpid(), space.calls()


def _process(base_model):
    assert base_model.embeddings.isfinite().all()
    return os.getpid()


def out_of_quota_is_told_and_what_was_learnt_is_kept(space):
    learner, _ = next(space.run())
    space.scheduler.left = 1
    try:
        next(space.service.train_run(learner, STEPS))
    except ValueError as error:
        return str(error)
    finally:
        space.scheduler.left = None


def what_is_wrong_with_the_work_is_told(space):
    try:
        next(space.service.ask([Ask("word " * 5000, False)]))
    except ValueError as error:
        return str(error)


def a_fault_in_the_worker_is_told_without_its_details(space):
    import learner.service.zerogpu as module

    end_workers()
    step = module.train_step
    module.train_step = lambda *_: 1 // 0
    try:
        next(space.run())
    except RuntimeError as error:
        return str(error)
    finally:
        module.train_step = step
        end_workers()


def background_work_counts_against_who_asked(space):
    from gradio.context import LocalContext

    def visit():
        LocalContext.request.set(Visitor("ada"))
        thread = threading.Thread(target=copy_context().run, args=(lambda: next(space.run()),))
        thread.start()
        thread.join(60)
        space.service.train(space.learner, STEPS[0]).result(60)

    visitor = threading.Thread(target=visit)
    visitor.start()
    visitor.join(60)
    return [asked.get("token") for asked in space.scheduler.asked]


def a_service_that_is_closed_says_so(space):
    run = space.run()
    next(run)
    closing = threading.Thread(target=space.service.close)
    closing.start()
    while not space.service._closed:
        pass
    try:
        next(run)
    except ValueError as error:
        closing.join(60)
        return type(error).__name__, closing.is_alive()


SCENARIOS = [
    a_run_is_one_call,
    answers_stream_from_one_call,
    a_killed_worker_costs_nothing,
    a_worker_killed_while_it_answers_costs_nothing,
    visitors_have_processes_of_their_own,
    stopping_ends_the_call_and_the_next_one_is_warm,
    a_lock_that_is_held_at_the_fork_stops_nobody,
    a_process_that_is_stuck_before_it_begins_is_ended,
    a_look_is_had_where_the_weights_are,
    what_a_worker_writes_a_pipe_takes_whole,
    out_of_quota_is_told_and_what_was_learnt_is_kept,
    what_is_wrong_with_the_work_is_told,
    a_fault_in_the_worker_is_told_without_its_details,
    background_work_counts_against_who_asked,
    a_service_that_is_closed_says_so,  # the last one
]


def main(folder):
    scheduler = emulate()
    import gradio
    import httpx
    import spaces

    from learner.service.zerogpu import end_stuck_processes

    end_stuck_processes()
    space = Space(scheduler, spaces.GPU, (gradio.Error, httpx.HTTPError), folder)
    for scenario in SCENARIOS:
        space.calls()
        try:
            outcome = Outcome(scenario(space))
        except BaseException:
            outcome = Outcome(error=traceback.format_exc())
        (folder / scenario.__name__).write_bytes(pickle.dumps(outcome))
    end_workers()


if __name__ == "__main__":
    from tests.learner.service.zerogpu_scenarios import main as run

    run(Path(sys.argv[1]))
