"""Learners and files for the tests of checkpoints."""

import dataclasses
import io
import sys
import types
import zipfile
from collections.abc import Callable, Iterable

import torch

from learner.learning.learner import Learner, LearnerConfig, StepRecord, new_learner
from learner.model.base_model import BaseModel

TENSORS = ("prompt", "first_moment", "second_moment")
OURS = {
    "README.md",
    "adapter_config.json",
    "adapter_model.safetensors",
    "training_state.json",
    "training_state.safetensors",
}


def random_learner(base_model: BaseModel, seed: int = 0, **changes: object) -> Learner:
    """A learner as after some training: nothing in it is a round number."""
    generator = torch.Generator().manual_seed(seed)
    config = LearnerConfig(soft_tokens=5, learning_rate=0.1 / 3, seed=2**63, init_text="é|`\n-")
    fresh = new_learner(base_model, config)
    values = {
        name: torch.randn(fresh.prompt.shape, generator=generator).square() / 3 for name in TENSORS
    }
    history = tuple(
        StepRecord(i, 4 * i, 1 / (i + 3), i % 5, 4 + i % 2, 2**0.5 * i, bool(i % 2))
        for i in range(1, 8)
    )
    learnt = {"steps": 7, "episodes": 28, "history": history, "families": ("causal", "own")}
    return dataclasses.replace(fresh, **{**values, **learnt, "stream_seed": 2**32 - 1, **changes})


def assert_equal(one: Learner, other: Learner) -> None:
    """Bit for bit."""
    for field in dataclasses.fields(Learner):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        if field.name in TENSORS:
            assert mine.dtype == theirs.dtype == torch.float32
            assert torch.equal(mine.view(torch.int32), theirs.view(torch.int32))
        else:
            assert mine == theirs, field.name


def zipped(entries: Iterable[tuple[str | zipfile.ZipInfo, bytes]]) -> bytes:
    """A zip of (name or ZipInfo, data) pairs, deflated."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for entry, data in entries:
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def rezipped(data: bytes, edit: Callable[[dict[str, bytes]], dict[str, bytes]]) -> bytes:
    """A zip file with its files, by their names in it, edited; stored, as torch does it."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, record in edit(records).items():
            archive.writestr(name, record)
    return buffer.getvalue()


class OriginalExperiment:
    """The original experiments' learner as far as its files go, in torch's own Adam.

    ``module`` is where its metrics class was defined, as the pickle will say.
    """

    def __init__(self, hidden_size: int = 32, module: str = "qwen_learner", seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.learner = torch.nn.Module()
        start = torch.randn(8, hidden_size, generator=generator) * 0.1
        self.learner.soft_prompt = torch.nn.Parameter(start)
        self.optimiser = torch.optim.Adam(self.learner.parameters(), lr=0.001)
        self.metrics: list[object] = []
        self.episodes = 0
        self._generator = generator
        self._module = module
        fields = [("episode", int), ("loss", float), ("accuracy", float), ("task_type", str)]
        self._metrics_class = dataclasses.make_dataclass(
            "LearningMetrics", [*fields, ("timestamp", float)], namespace={"__module__": module}
        )

    @property
    def prompt(self) -> torch.Tensor:
        return self.learner.soft_prompt.detach()

    def learn(self, episodes: int) -> "OriginalExperiment":
        """Take steps on random gradients, with metrics of no meaning."""
        for _ in range(episodes):
            self.step(torch.randn(self.prompt.shape, generator=self._generator) / 9)
        return self

    def step(self, gradient: torch.Tensor) -> None:
        """One episode: a step of torch's Adam on this gradient, and its metrics."""
        self.episodes += 1
        self.learner.soft_prompt.grad = gradient.clone()
        self.optimiser.step()
        family = ("causal_reasoning", "math_word_problem")[self.episodes % 2]
        right = float(self.episodes % 3 == 0)
        self.metrics.append(
            self._metrics_class(self.episodes, 2 / self.episodes, right, family, 1761200000.5)
        )

    def state(self) -> dict[str, object]:
        """What the original saved."""
        return {
            "soft_prompt": self.learner.state_dict(),
            "optimizer": self.optimiser.state_dict(),
            "episode_count": self.episodes,
            "metrics_history": self.metrics,
        }

    def saved(self, state: object = None, **options: object) -> bytes:
        """The bytes of its file, or of another ``state`` saved in its place."""
        buffer = io.BytesIO()
        there = sys.modules.get(self._module)
        module = types.ModuleType(self._module)
        module.LearningMetrics = self._metrics_class  # pickle wants to find it where it says it is
        try:
            sys.modules[self._module] = module
            torch.save(self.state() if state is None else state, buffer, **options)
        finally:
            if there is None:
                del sys.modules[self._module]
            else:
                sys.modules[self._module] = there
        return buffer.getvalue()
