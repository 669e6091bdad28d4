"""Soft prompts and results to push: as after some training, without the training; and any files."""

import dataclasses

import torch

from learner.checkpoint.results import HeldOutResults
from learner.learning.learner import Learner, LearnerConfig, StepRecord, new_learner
from learner.model.base_model import BaseModel
from learner.model.source import EMBEDDED, HUB, ModelSource
from tests.hub.server import HubServer
from tests.hub.store import File

POCKET_MODEL = ModelSource(EMBEDDED, "pocket")
QWEN = ModelSource(HUB, "Qwen/Qwen2.5-0.5B-Instruct")


def trained_learner(base_model: BaseModel, seed: int = 0) -> Learner:
    """A learner with numbers of its own everywhere."""
    generator = torch.Generator().manual_seed(seed)
    fresh = new_learner(base_model, LearnerConfig(soft_tokens=5))
    shape = fresh.prompt.shape
    history = tuple(
        StepRecord(step, 4 * step, 3 / step, step % 5, 4, 0.5, False) for step in range(1, 21)
    )
    return dataclasses.replace(
        fresh,
        prompt=torch.randn(shape, generator=generator),
        first_moment=torch.randn(shape, generator=generator),
        second_moment=torch.rand(shape, generator=generator),
        steps=20,
        episodes=80,
        history=history,
    )


def sample_results() -> HeldOutResults:
    """Ten problems of two families: one right alone, seven with the soft prompt, none lost."""
    return HeldOutResults(
        families=("causal", "sequence") * 5,
        before=(True, *[False] * 9),
        after=(*[True] * 7, *[False] * 3),
        chat_template=False,
    )


def put(hub: HubServer, files: dict[str, bytes], repo_id: str) -> None:
    """Put files into a public repository as they are, whatever they are."""
    repo = hub.store.repos.get(("model", repo_id)) or hub.store.create("model", repo_id, False)
    changes = {}
    for name, data in files.items():
        changes[name] = File(data, lfs=name.endswith(".safetensors"))
        hub.store.large_files[changes[name].sha256] = data
    hub.store.commit(repo, "as it is", "ada", changes, "")
