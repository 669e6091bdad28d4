"""Where it listens: how much of its attention the answer's place gives to the soft prompt.

The place that is looked at is the last token before the answer. Each head's output there is a mean
of values, weighed by attention, so it splits exactly into what came from the soft prompt and what
came from the text: o = a · o_soft + (1 − a) · o_text, with a the soft prompt's share of attention.
A prefix can do no more than this; how the text's own tokens are weighed against each other it does
not change in the layer where it acts (Petrov et al., 2023).

First tokens attract attention whatever they are, so shares are shown less those of the untrained
prompt, problem by problem.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch

from arena import Problem
from arena.crossed import crossed_mean
from arena.statistics import Interval
from learner.inspection.looking import OnModel, in_slices
from learner.inspection.subject import Subject
from learner.model.attention import PackedSegments, run_packed
from learner.model.base_model import BaseModel
from learner.model.formatting import Examples, encode
from learner.model.packing import Layout, Segment

PARTS = ("soft prompt", "format", "question")


@dataclass(frozen=True, eq=False)
class Heard:
    """What one problem's answer place attends to, behind one prompt.

    ``parts`` [layers, heads, 3] are shares of attention by ``PARTS``; ``vectors``
    [layers, heads, vectors] those of single vectors; ``soft_output`` [layers, heads] is the soft
    part's share of the lengths of both parts of the head's output; ``error`` the largest
    difference between the two parts' sum and what the head put out, relative to it.
    """

    parts: torch.Tensor
    vectors: torch.Tensor
    soft_output: torch.Tensor
    error: float


@dataclass(frozen=True)
class Listening:
    """Shares of attention at the answer's place, trained, untrained, and their difference.

    ``trained`` and ``untrained`` are means over layers, heads and problems by ``PARTS``.
    ``change`` is the soft prompt's share, trained less untrained, with its interval over problems;
    ``heads`` the same for every [layer][head]; ``vectors`` for every vector, as shares of all
    attention. ``output`` is the soft part's share of the heads' output, trained and untrained.
    """

    trained: tuple[float, ...]
    untrained: tuple[float, ...]
    change: float
    interval: Interval
    p_value: float
    heads: tuple[tuple[float, ...], ...]
    vectors: tuple[float, ...]
    output: tuple[float, float]
    error: float
    problems: int


def listening(on_model: OnModel, subject: Subject, problems: Sequence[Problem]) -> Listening:
    """Look at where the answer to each of the problems, two or more, would begin."""
    look = partial(
        hear,
        prompts=[subject.trained, subject.untrained],
        chat_template=subject.chat_template,
        examples=subject.examples,
    )
    heard = list(in_slices(on_model, look, problems))
    parts, vectors, output = (
        torch.stack([torch.stack([getattr(one, name) for one in pair]) for pair in heard])
        for name in ("parts", "vectors", "soft_output")
    )
    means = parts.mean(dim=(0, 2, 3))  # [trained and untrained, parts]
    moved = parts[:, 0, ..., 0] - parts[:, 1, ..., 0]  # [problems, layers, heads]
    change = crossed_mean([moved.mean(dim=(1, 2)).tolist()])
    by_vector = vectors.mean(dim=(0, 2, 3))
    outputs = output.mean(dim=(0, 2, 3)).tolist()
    return Listening(
        trained=tuple(means[0].tolist()),
        untrained=tuple(means[1].tolist()),
        change=change.mean,
        interval=change.interval,
        p_value=change.p_value,
        heads=tuple(tuple(row) for row in moved.mean(dim=0).tolist()),
        vectors=tuple((by_vector[0] - by_vector[1]).tolist()),
        output=(outputs[0], outputs[1]),
        error=max(one.error for pair in heard for one in pair),
        problems=len(problems),
    )


def hear(
    base_model: BaseModel,
    items: Sequence[Problem],
    prompts: Sequence[torch.Tensor],
    chat_template: bool,
    examples: Examples,
) -> list[list[Heard]]:
    """What is heard at the answer's place of each problem, behind each prompt."""
    ids: list[int] = []
    lengths, formats, soft = [], [], []
    for item in items:
        encoded = encode(base_model, item.question, None, chat_template, examples)
        for prompt in prompts:
            soft.append((len(ids), prompt))
            ids += [0] * len(prompt) + [*encoded.head, *encoded.question]
            lengths.append(len(prompt) + len(encoded.head) + len(encoded.question))
            formats.append(len(encoded.head))
    device = base_model.device
    with torch.inference_mode():
        embeddings = base_model.model.get_input_embeddings()(torch.tensor(ids, device=device))
        for start, prompt in soft:
            embeddings[start : start + len(prompt)] = prompt.to(embeddings)
        listener = _Listener(Layout([Segment(length) for length in lengths]), device)
        run_packed(base_model.model, listener, embeddings, listener.ends)
    heard = []
    for row, ((_, prompt), head) in enumerate(zip(soft, formats, strict=True)):
        heard.append(_heard(listener, row, len(prompt), head))
    return [heard[i : i + len(prompts)] for i in range(0, len(heard), len(prompts))]


class _Listener(PackedSegments):
    """Attention as ever, noting at the end of every segment what is attended to.

    ``noted`` has, for each layer, segment by segment: attention weights [heads, tokens], values
    [heads, tokens, D] and the head's output [heads, D], in float32.
    """

    def __init__(self, layout: Layout, device: torch.device) -> None:
        super().__init__(layout, device)
        self._starts, self._ends = layout.starts, layout.starts + layout.lengths
        self.ends = torch.tensor(self._ends - 1, device=device)
        self.noted: dict[int, list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]] = {}

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
    ) -> torch.Tensor:
        output = super().attend(layer, query, key, value, scale)
        groups = query.shape[1] // key.shape[1]
        notes = []
        for start, end in zip(self._starts, self._ends, strict=True):
            keys = key[0, :, start:end].float().repeat_interleave(groups, dim=0)
            values = value[0, :, start:end].float().repeat_interleave(groups, dim=0)
            asked = query[0, :, end - 1].float()
            weights = torch.softmax(torch.einsum("hd,hkd->hk", asked, keys) * scale, dim=-1)
            notes.append((weights.cpu(), values.cpu(), output[0, end - 1].float().cpu()))
        self.noted[layer] = notes
        return output


def _heard(listener: _Listener, row: int, soft: int, head: int) -> Heard:
    parts, vectors, outputs, error = [], [], [], 0.0
    for layer in sorted(listener.noted):
        weights, values, output = listener.noted[layer][row]
        own = weights[:, :soft]
        share = own.sum(dim=1)
        template = weights[:, soft : soft + head].sum(dim=1)
        parts.append(torch.stack((share, template, 1 - share - template), dim=1))
        vectors.append(own)
        from_soft = torch.einsum("hk,hkd->hd", own, values[:, :soft])
        from_text = torch.einsum("hk,hkd->hd", weights[:, soft:], values[:, soft:])
        lengths = from_soft.norm(dim=1), from_text.norm(dim=1)
        outputs.append(lengths[0] / (lengths[0] + lengths[1]).clamp(min=1e-12))
        difference = (from_soft + from_text - output).norm() / output.norm().clamp(min=1e-12)
        error = max(error, float(difference))
    return Heard(torch.stack(parts), torch.stack(vectors), torch.stack(outputs), error)
