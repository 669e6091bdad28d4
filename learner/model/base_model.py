"""The base model: a frozen causal language model and its tokenizer, and what is known of it."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from learner.model.attention import enable_segment_attention
from learner.model.cuda_graphs import Fixtures, fixtures_on
from learner.model.source import ModelError, ModelSource


@dataclass(frozen=True)
class ModelFacts:
    """What can be known of a base model without holding its weights.

    ``layers`` and ``heads`` count its blocks and the attention heads of each. ``context_length``
    are the tokens that fit: soft prompt, question and answer together. ``embedding_spread`` is the
    standard deviation of the numbers in its input embeddings. ``device`` and ``dtype`` are those
    that it runs on and in.
    """

    source: ModelSource
    parameter_count: int
    vocabulary_size: int
    hidden_size: int
    layers: int
    heads: int
    context_length: int
    has_chat_template: bool
    embedding_spread: float
    device: torch.device
    dtype: torch.dtype

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def revision(self) -> str:
        return self.source.revision

    @property
    def formats(self) -> tuple[bool, ...]:
        """The formats that it knows: without the chat template (False), with it (True)."""
        return (False, True) if self.has_chat_template else (False,)


@dataclass(frozen=True, eq=False)
class BaseModel(ModelFacts):
    """A frozen causal language model. Nothing about a learner or a visitor is ever stored in it.

    Two loads are two different objects, hence identity for equality.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase

    @property
    def embeddings(self) -> torch.Tensor:
        """The input embedding matrix [vocabulary_size, hidden_size], on the device."""
        return _embeddings(self.model)

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Input embeddings [len(ids), hidden_size] as the model reads them.

        Some models (Gemma's kind) multiply what their matrix holds.
        """
        embedded = self.model.get_input_embeddings()(ids.to(self.device))
        assert isinstance(embedded, torch.Tensor)
        return embedded

    @cached_property
    def fixtures(self) -> Fixtures:
        """What CUDA graphs over this model stand on; whatever is in it, nobody reads again."""
        rotations = getattr(self.model.config.get_text_config(), "rope_parameters", None)
        if "dynamic" in str(rotations):  # chosen by the longest text, and so not the same each time
            return Fixtures(0)
        return fixtures_on(self.device)


def base_model_of(
    source: ModelSource,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    device: torch.device,
) -> BaseModel:
    """A model that was loaded onto ``device`` and prepared, with what can be known of it."""
    config = model.config.get_text_config()
    embeddings = _embeddings(model)
    # Within a sliding window, windowed attention is full attention, so the window bounds it too.
    limits = (
        getattr(config, "max_position_embeddings", None),
        getattr(config, "sliding_window", None),
    )
    return BaseModel(
        source=source,
        parameter_count=sum(parameter.numel() for parameter in model.parameters()),
        vocabulary_size=embeddings.shape[0],
        hidden_size=embeddings.shape[1],
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        context_length=min((limit for limit in limits if limit), default=2048),
        has_chat_template=bool(tokenizer.chat_template),
        embedding_spread=_spread(model),
        device=device,
        dtype=embeddings.dtype,
        model=model,
        tokenizer=tokenizer,
    )


def prepare(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str
) -> PreTrainedModel:
    """Freeze a loaded model and set it up for `learner.model.forward`.

    Raises ModelError if its tokenizer or its attention cannot be used here.
    """
    if not tokenizer.is_fast:
        raise ModelError(f"{name} has no fast tokenizer (tokenizer.json), which this app needs.")
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    model.requires_grad_(False).eval()
    if not enable_segment_attention(model):
        raise ModelError(
            f"{name} ({model.config.model_type}) attends in a way that rows cannot share a prefix "
            "in; choose a model of the Qwen, Llama or Mistral kind."
        )
    return model


def _embeddings(model: PreTrainedModel) -> torch.Tensor:
    weight = model.get_input_embeddings().weight
    assert isinstance(weight, torch.Tensor)
    return weight


@torch.no_grad()
def _spread(model: PreTrainedModel) -> float:
    """The standard deviation of what its embeddings give, a few at a time to spare memory."""
    embed, embeddings = model.get_input_embeddings(), _embeddings(model)
    count, total, squares = embeddings.numel(), 0.0, 0.0
    for ids in torch.arange(len(embeddings), device=embeddings.device).split(1 << 12):
        rows = embed(ids)
        total += float(rows.float().sum(dtype=torch.float64))
        squares += float(rows.float().square().sum(dtype=torch.float64))
    return math.sqrt(max(0.0, squares - total**2 / count) / (count - 1))
