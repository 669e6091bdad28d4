"""Replicas on a real Ray: values travel, replicas are killed, the cluster dies, nothing is left.

Needs Ray, which the tests do not install: with it come another event loop for every server of the
tests and half a gigabyte. `pip install -r learner/service/ray-requirements.txt`, then run this
file.
"""

import os
import signal
import subprocess
import sys
import time
from itertools import islice

import pytest
import torch

from arena import stream
from learner.learning.learner import LearnerConfig, new_learner
from learner.learning.training import train_step
from learner.model.completion import Ask, complete
from learner.model.loading import load_base_model
from learner.service import bridge
from learner.service.bridge import ROOT, Bridge, Deployment
from learner.service.replicas import ReplicaService
from tests.benchmarks.replicas import processes, replica_pids
from tests.learner.tiny_models import build_model, build_tokenizer

pytest.importorskip(
    "ray", reason="replicas need pip install -r learner/service/ray-requirements.txt"
)

pytestmark = pytest.mark.timeout(600)

LONG = 300.0  # seconds for what starts processes
STEPS = [list(islice(stream(seed, "train"), 4)) for seed in range(8)]
CLOSE = dict(atol=1e-5, rtol=1e-4)


@pytest.fixture(scope="module")
def base_model():
    return load_base_model("pocket", dtype="float32")


@pytest.fixture(scope="module")
def service():
    deployment = Deployment((("pocket", None),), "cpu", "float32", 2, 2, "")
    before = set(processes())
    with Bridge(deployment) as bridge, ReplicaService(bridge) as service:
        yield service
    assert not [name for pid, name in processes().items() if pid not in before]


def wait_for(holds):
    until = time.monotonic() + LONG
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_run_and_answers_are_those_of_this_process(service, base_model):
    learner = near = new_learner(base_model, LearnerConfig())
    assert torch.equal(service.new_learner(LearnerConfig()).prompt, learner.prompt)
    for learner, _ in service.train_run(near, STEPS):
        near, _ = train_step(base_model, near, STEPS[near.steps])
        torch.testing.assert_close(learner.prompt, near.prompt, **CLOSE)
    asks = [Ask(STEPS[0][0].question, False, learner.prompt, seed=seed) for seed in (None, 1, 2)]
    found = service.complete(asks)
    assert [one.ids for one in found] == [one.ids for one in complete(base_model, asks)]


def test_killed_replicas_lose_nothing(service, base_model):
    wait_for(lambda: len(replica_pids()) == 2)
    learner = near = service.new_learner(LearnerConfig(seed=1))
    for learner, _ in service.train_run(near, STEPS):
        near, _ = train_step(base_model, near, STEPS[near.steps])
        torch.testing.assert_close(learner.prompt, near.prompt, **CLOSE)
        if learner.steps in (2, 4):
            for pid in replica_pids():
                os.kill(pid, signal.SIGKILL)
    assert learner.steps == len(STEPS) and learner.episodes == 4 * len(STEPS)
    assert not service.status().trouble


def test_a_replica_that_hangs_is_left(service, monkeypatch):
    monkeypatch.setattr(bridge, "SILENCE", 10.0)
    wait_for(lambda: len(replica_pids()) == 2)
    learner = service.new_learner(LearnerConfig(seed=3))
    hangs = replica_pids()[0]
    os.kill(hangs, signal.SIGSTOP)
    try:
        steps = [service.train(learner, step) for step in STEPS]
        assert {step.result(LONG)[0].steps for step in steps} == {1}
    finally:
        os.kill(hangs, signal.SIGKILL)


def test_a_cluster_that_dies_is_told_and_another_one_goes_on(service, base_model):
    (raylet,) = [pid for pid, name in processes().items() if "/raylet/raylet " in name]
    run = service.train_run(service.new_learner(LearnerConfig(seed=2)), STEPS)
    learner, _ = next(run)
    os.kill(raylet, signal.SIGKILL)
    wait_for(lambda: service.status().trouble)
    wait_for(lambda: not service.status().trouble)
    learners = [learner, *(learner for learner, _ in run)]
    assert [learner.steps for learner in learners] == [*range(1, len(STEPS) + 1)]


def test_models_have_replicas_each(tmp_path):
    build_model("qwen2").save_pretrained(tmp_path)
    build_tokenizer().save_pretrained(tmp_path)
    models = (("pocket", None), (str(tmp_path), None))
    with Bridge(Deployment(models, "cpu", "float32", 1, 1, "")) as bridge:
        services = [ReplicaService(bridge, place) for place in range(2)]
        assert len({service.base_model.source for service in services}) == 2
        for service in services:
            base_model = load_base_model(models[service._model][0], dtype="float32")
            asks = [Ask(STEPS[0][0].question, False)]
            (found,), (expected,) = service.complete(asks), complete(base_model, asks)
            assert found.ids == expected.ids


def test_a_page_without_replicas_knows_no_ray():
    command = "import app, sys; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], cwd=ROOT).returncode == 0


def test_a_model_that_there_is_not_is_a_sentence():
    with pytest.raises(ValueError, match="There is no file") as caught:
        Bridge(Deployment((("/there/is/none.gguf", None),), "cpu", "auto", 1, 1, ""))
    assert "\n" not in str(caught.value)
