"""What the learner is measured against, each at its best honest setting.

Both rivals get the learner's own weights, soft prompt and token ids, laid out in tensors before the
clock starts, no gradient for frozen weights, and no key-value cache where none is needed.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from peft import PromptTuningConfig, get_peft_model
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.rnn import pad_sequence

from learner.learning.learner import Learner
from learner.model.base_model import BaseModel
from learner.model.formatting import Encoded
from tests.benchmarks.models import plain_model, prompt_length

IGNORED = -100  # the label of a token that is not learnt


class PeftPromptTuning:
    """PEFT's prompt tuning on one right-padded batch: Adam, gradient clipped as the learner does.

    ``step`` is what PEFT's users run: labels are -100 outside the answer and the library computes
    all logits. ``step_with_answer_logits`` reaches into the model for only those that are learnt
    from, which PEFT has no setting for; it is the most that could be got out of it by hand.
    """

    def __init__(
        self, base: BaseModel, learner: Learner, rows: Sequence[Encoded], attention: str
    ) -> None:
        config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=len(learner.prompt))
        self._model = get_peft_model(plain_model(base, attention), config)
        self._prompt = self._model.prompt_encoder["default"].embedding.weight
        with torch.no_grad():
            self._prompt.copy_(learner.prompt)
        self._optimiser = torch.optim.Adam([self._prompt], lr=learner.config.learning_rate)
        self._max_grad_norm = learner.config.max_grad_norm
        ids = [torch.tensor(row.head + row.question + row.answer) for row in rows]
        labels = [
            torch.cat((torch.full((prompt_length(row),), IGNORED), torch.tensor(row.answer)))
            for row in rows
        ]
        device = base.device
        self._ids = pad_sequence(ids, batch_first=True).to(device)
        self._labels = pad_sequence(labels, batch_first=True, padding_value=IGNORED).to(device)
        self._mask = pad_sequence([torch.ones_like(row) for row in ids], batch_first=True)
        # Without padding no mask is needed, and attention is faster without one.
        self._mask = None if self._mask.all() else self._mask.to(device)
        self._answers = tuple((self._labels != IGNORED).nonzero().T)

    def step(self) -> float:
        """One optimiser step; the loss before it."""
        loss = self._model(
            input_ids=self._ids, attention_mask=self._mask, labels=self._labels, use_cache=False
        ).loss
        return self._update(loss)

    def step_with_answer_logits(self) -> float:
        """The same step with logits at the answer alone."""
        model = self._model.get_base_model()
        soft = self._model.get_prompt(len(self._ids))
        words = model.get_input_embeddings()(self._ids)
        mask = self._mask
        if mask is not None:
            mask = F.pad(mask, (soft.shape[1], 0), value=1)
        hidden = model.model(
            inputs_embeds=torch.cat((soft.to(words.dtype), words), dim=1),
            attention_mask=mask,
            use_cache=False,
        ).last_hidden_state
        row, place = self._answers
        logits = model.lm_head(hidden[row, place + soft.shape[1] - 1]).float()
        return self._update(F.cross_entropy(logits, self._labels[row, place]))

    @property
    def first_moment(self) -> torch.Tensor:
        """Adam's first moment [soft tokens, hidden] on the CPU: a tenth of the first gradient."""
        return self._optimiser.state[self._prompt]["exp_avg"].detach().cpu()

    def _update(self, loss: torch.Tensor) -> float:
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        clip_grad_norm_([self._prompt], self._max_grad_norm)
        self._optimiser.step()
        return loss.item()


class OriginalProcedure:
    """The experiment this project grew out of: float32, one episode at a time.

    It learns from the whole sequence (question and template too), with logits at every position,
    and finds out what the model answers by generating through ``inputs_embeds``. It sampled;
    here it decodes greedily, which is less work and can be compared.
    """

    def __init__(self, base: BaseModel, prompt: torch.Tensor) -> None:
        assert base.dtype == torch.float32
        self._model = plain_model(base, "sdpa")
        self._prompt = prompt.to(base.device, copy=True).requires_grad_()
        self._optimiser = torch.optim.Adam([self._prompt], lr=1e-3)
        self.answer_loss = 0.0  # the latest episode's loss on its answer alone

    def episode(self, row: Encoded, new_tokens: int) -> list[int]:
        """Learn from one problem, then generate; the generated tokens."""
        self.learn(row)
        return self.answer(row, new_tokens)

    def learn(self, row: Encoded) -> torch.Tensor:
        """One optimiser step over the whole sequence; the logits [tokens, vocabulary]."""
        ids = self._ids(row.head + row.question + row.answer)
        labels = F.pad(ids, (len(self._prompt), 0), value=IGNORED)
        output = self._model(inputs_embeds=self._embeds(ids), labels=labels, use_cache=False)
        self._optimiser.zero_grad(set_to_none=True)
        output.loss.backward()
        self._optimiser.step()
        output.loss.item()
        return output.logits[0].detach()

    def answer(self, row: Encoded, new_tokens: int) -> list[int]:
        """``new_tokens`` tokens after a question."""
        embeds = self._embeds(self._ids(row.head + row.question))
        mask = torch.ones(embeds.shape[:2], dtype=torch.long, device=embeds.device)
        generated = self._model.generate(
            inputs_embeds=embeds,
            attention_mask=mask,
            max_new_tokens=new_tokens,
            do_sample=False,
            pad_token_id=0,
        )
        return generated[0].tolist()

    def _ids(self, ids: tuple[int, ...]) -> torch.Tensor:
        return torch.tensor([ids], device=self._prompt.device)

    def _embeds(self, ids: torch.Tensor) -> torch.Tensor:
        words = self._model.get_input_embeddings()(ids)
        return torch.cat((self._prompt[None], words), dim=1)
