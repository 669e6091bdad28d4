"""Cheaper forms of a frozen model's own layers: the same numbers from less work.

Some of what a transformer spends need not be spent when its weights are frozen and only some
predictions are wanted:

* its RMS norms (Zhang & Sennrich, 2019) are written as half a dozen operations, each of which keeps
  a float32 copy of the layer's input for its own gradient. `FrozenRMSNorm` is one operation that
  keeps the input as it is, and has no gradient for its weight.
* its last layer's feed-forward runs at every token, though what comes out is read only where a
  prediction is wanted. In a layer of Llama's form it runs only there.
* its large matrices are multiplied by a few tokens at a time in decoding. On a CPU in half
  precision, oneDNN copies the right-hand matrix into a layout of its own for every product:
  `FrozenLinear` has the tokens stand there and not the weights.

All are put in place by `lighten`, and a caller checks that the model computes what it did.
"""

from types import MethodType
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd.function import once_differentiable
from transformers import PreTrainedModel

# Between these products of few tokens with a large matrix took 0.6 to 0.8 of the time (measured on
# 0.8 to 136 million weights with 2.13 and AMX); a single token is multiplied in another way.
FEW_TOKENS = range(2, 65)
LARGE = 1 << 20  # weights

# What a decoder layer of Llama's form consists of, and nothing else.
LLAMA_FORM = {"self_attn", "mlp", "input_layernorm", "post_attention_layernorm"}


def lighten(model: PreTrainedModel) -> None:
    """Put the cheaper forms in place wherever the model's layers allow it."""
    for parent in list(model.modules()):
        for name, module in list(parent.named_children()):
            if (norm := _frozen_norm(module)) is not None:
                setattr(parent, name, norm)
            elif type(module) is nn.Linear and _is_large(module.weight):
                setattr(parent, name, FrozenLinear(module))
    last = last_layer(model)
    if last is not None:
        last.forward = MethodType(_forward_where_wanted, last)


def restore_last_layer(model: PreTrainedModel) -> None:
    """Have the last layer run at every token again."""
    last = last_layer(model)
    if last is not None:
        vars(last).pop("forward", None)


def last_layer(model: PreTrainedModel) -> nn.Module | None:
    """The model's last decoder layer, if it is of Llama's form."""
    layers = getattr(model.get_decoder(), "layers", None)
    if not isinstance(layers, nn.ModuleList):
        return None
    last = layers[-1]
    return last if {name for name, _ in last.named_children()} == LLAMA_FORM else None


def runs_where_wanted(model: PreTrainedModel) -> bool:
    """Whether the last layer gives only the tokens that are ``wanted``."""
    last = last_layer(model)
    return last is not None and "forward" in vars(last)


class FrozenRMSNorm(nn.Module):
    """x / rms(x) · weight over the last dimension, computed in float32, for a frozen weight."""

    def __init__(self, weight: nn.Parameter, epsilon: float) -> None:
        super().__init__()
        self.weight = weight
        self.variance_epsilon = epsilon

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        if hidden_states.is_cuda:  # there PyTorch's own is one kernel each way
            return F.rms_norm(hidden_states, self.weight.shape, self.weight, self.variance_epsilon)
        return _RMSNorm.apply(hidden_states, self.weight, self.variance_epsilon)


class FrozenLinear(nn.Linear):
    """x · weightᵀ + bias for a frozen weight; few tokens on a CPU, where no gradient is wanted, by
    weight · xᵀ. Those come out transposed in memory, as the next such product has use for them."""

    def __init__(self, linear: nn.Linear) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        tokens = input.numel() // self.in_features
        if input.device.type != "cpu" or input.requires_grad or tokens not in FEW_TOKENS:
            return F.linear(input, self.weight, self.bias)
        output = (self.weight @ input.reshape(tokens, -1).t()).t()
        if self.bias is not None:
            output = output + self.bias
        return output.view(*input.shape[:-1], self.out_features)


class _RMSNorm(torch.autograd.Function):
    """In place wherever a tensor is our own: fresh memory costs more than the arithmetic."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
        wide = x.to(torch.float32, copy=True)
        norm = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
        inverse = norm.square_().div_(x.shape[-1]).add_(epsilon).rsqrt_()
        ctx.save_for_backward(x, inverse, weight)
        return wide.mul_(inverse).to(x.dtype).mul_(weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        x, inverse, weight = ctx.saved_tensors
        normed = x.to(torch.float32, copy=True).mul_(inverse)
        wide = (gradient * weight).float()
        along = torch.einsum("...d,...d->...", wide, normed).div_(-x.shape[-1])[..., None]
        return wide.addcmul_(normed, along).mul_(inverse).to(x.dtype), None, None


def _is_large(weight: torch.Tensor) -> bool:
    return weight.numel() >= LARGE and weight.dtype in (torch.bfloat16, torch.float16)


def _frozen_norm(module: Any) -> FrozenRMSNorm | None:
    """The same norm in its cheaper form, if a module is one as Llama's is: found out by running it.

    (Gemma's has the same name and multiplies by one more than its weight.)
    """
    if not type(module).__name__.endswith("RMSNorm") or not hasattr(module, "variance_epsilon"):
        return None
    weight = module.weight
    norm = FrozenRMSNorm(weight, module.variance_epsilon)
    probe = torch.linspace(-2, 3, weight.numel(), device=weight.device, dtype=weight.dtype)[None]
    with torch.no_grad():
        same = torch.allclose(norm(probe).float(), module(probe).float(), rtol=1e-2, atol=1e-2)
    return norm if same else None


def _forward_where_wanted(
    layer: Any, hidden_states: torch.Tensor, wanted: torch.Tensor | None = None, **options: Any
) -> torch.Tensor:
    """A Llama layer's forward on [1, T, hidden]: [1, len(wanted), hidden], or all without it."""
    if wanted is None:
        return type(layer).forward(layer, hidden_states, **options)
    attended, _ = layer.self_attn(layer.input_layernorm(hidden_states), **options)
    hidden_states = (hidden_states + attended).index_select(1, wanted)
    return hidden_states + layer.mlp(layer.post_attention_layernorm(hidden_states))
