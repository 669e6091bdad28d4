"""Build the embedded model from nothing: ``python -m learner.pocket``.

A small Qwen2 with its own byte-level BPE tokenizer and Qwen's ChatML, trained from scratch on the
documents of ``corpus.py`` in two phases with one fixed seed: first the skills, on problems
that are answered rightly, half of them chats and half plain text under a heading that vouches for
it, each family's next difficulty opening once the last is mastered; then reserve, on chats and
loose plain text side by side: in plain text to keep what it knows to itself unless something before
the question vouches for it. Takes under two hours on two CPU cores, in bfloat16 where the
CPU multiplies it natively.

Writes config, weights (bfloat16 safetensors) and tokenizer to ``assets/pocket``;
``python -m learner.pocket.card`` then measures the model and writes its card.
"""

import argparse
import json
import platform
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn.functional import cross_entropy
from tqdm import tqdm, trange
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from arena import held_out, stream
from arena.sampling import Draw
from learner.model.base_model import BaseModel, base_model_of
from learner.model.formatting import SYSTEM_MESSAGE, Encoded, encode
from learner.model.precision import native_bfloat16
from learner.model.source import EMBEDDED, POCKET, POCKET_FOLDER, ModelSource
from learner.pocket.corpus import (
    Curriculum,
    chat_document,
    draw_any,
    loose_document,
    tokenizer_texts,
    vouched_document,
)

SEED = 0
HIDDEN_SIZE, LAYERS, HEADS, INTERMEDIATE_SIZE, VOCABULARY_SIZE = 192, 4, 6, 512, 1200
SKILL_STEPS, RESERVE_STEPS, WARMUP_STEPS = 5000, 1200, 100
ROWS = 96  # documents a step
LEARNING_RATE, WEIGHT_DECAY, MAX_GRAD_NORM = 7e-4, 0.05, 1.0
QUESTION_SHARE, QUESTION_WEIGHT = 1 / 8, 0.3  # question tokens that are predicted, and their weight
REPORT_EVERY = 250

END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
# The pre-tokeniser of Qwen2: words keep their leading space, every digit is a token of its own.
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CHAT_TEMPLATE = (
    "{%- if messages[0].role != 'system' -%}"
    "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}"
    "{%- endif -%}"
    "{%- for message in messages -%}"
    "{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}"
)


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE learnt from arena text of the train split."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    special = [END_OF_TEXT, TURN_START, TURN_END]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE - len(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    problems = list(islice(stream(SEED, "train"), 4000))
    tokenizer.train_from_iterator(tokenizer_texts(problems, SYSTEM_MESSAGE), trainer)
    tokenizer.add_special_tokens(special)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=TURN_END,
        pad_token=END_OF_TEXT,
        chat_template=CHAT_TEMPLATE,
    )


def build_model(tokenizer: PreTrainedTokenizerFast) -> Qwen2ForCausalLM:
    """A Qwen2 with random weights, tied embeddings and full multi-head attention."""
    torch.manual_seed(SEED)  # a fresh process of our own: transformers initialises from it
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN_SIZE,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        intermediate_size=INTERMEDIATE_SIZE,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        # Near 1/sqrt(hidden): at Qwen2's usual 0.02 so narrow a model hardly begins to learn.
        initializer_range=0.06,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    dtype = torch.bfloat16 if native_bfloat16(torch.device("cpu")) else torch.float32
    model = torch.nn.Module.to(Qwen2ForCausalLM(config), dtype)
    # The fused CPU kernel's backward pass is several times slower at this size.
    model.set_attn_implementation("eager")
    return model


def halves(rows: list[Encoded]) -> tuple[list[Encoded], list[Encoded]]:
    """The shorter and the longer half: run apart they need far less padding."""
    rows = sorted(rows, key=lambda row: len(row.question) + len(row.answer))
    return rows[: len(rows) // 2], rows[len(rows) // 2 :]


def answer_logits(
    base_model: BaseModel, rows: Sequence[Encoded], generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits and targets of the answer tokens, and of a random share of the question tokens.

    All rows have the same head. It runs once, and its keys and values serve every row.
    """
    lengths = [len(row.question) + len(row.answer) - 1 for row in rows]
    width = max(lengths)
    inputs = torch.zeros(len(rows), width, dtype=torch.long)
    targets = torch.full((len(rows), width), -1)
    for i, row in enumerate(rows):
        ids = torch.tensor(row.question + row.answer)
        inputs[i, : lengths[i]], targets[i, : lengths[i]] = ids[:-1], ids[1:]
    places = torch.arange(width)
    starts = torch.tensor([len(row.question) - 1 for row in rows])[:, None]
    in_answer = (places >= starts) & (targets >= 0)
    chosen = torch.rand(inputs.shape, generator=generator) < QUESTION_SHARE
    in_question = (places < starts) & chosen

    decoder, cache, head = base_model.model.model, None, len(rows[0].head)
    if head:
        cache = decoder(input_ids=torch.tensor([rows[0].head]), use_cache=True).past_key_values
        cache.batch_repeat_interleave(len(rows))
    blocked = torch.full((width, head + width), float("-inf"), dtype=base_model.dtype)
    hidden = decoder(
        input_ids=inputs,
        attention_mask=blocked.triu(head + 1).expand(len(rows), 1, -1, -1),
        position_ids=(head + places)[None],
        past_key_values=cache,
        use_cache=bool(head),
    ).last_hidden_state
    project = base_model.model.lm_head
    return (
        project(hidden[in_answer]).float(),
        targets[in_answer],
        project(hidden[in_question]).float(),
        targets[in_question],
    )


class Trainer:
    """AdamW over float32 copies of the model's weights, for one phase of the training."""

    def __init__(self, base_model: BaseModel, seed: int) -> None:
        self.base_model = base_model
        self.weights = list(base_model.model.parameters())
        self.master = [weight.detach().float().clone() for weight in self.weights]
        groups = [
            {"params": [m for m in self.master if m.ndim > 1], "weight_decay": WEIGHT_DECAY},
            {"params": [m for m in self.master if m.ndim == 1], "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=(0.9, 0.98), fused=True)
        self.generator = torch.Generator().manual_seed(seed)

    def step(self, batches: Sequence[list[Encoded]], rate: float) -> list[tuple[Encoded, bool]]:
        """One update from the batches together; each row, and whether its answer came first."""
        noted: list[tuple[Encoded, bool]] = []
        size = sum(len(rows) for rows in batches)
        for rows in batches:
            answers, gold, questions, following = answer_logits(
                self.base_model, rows, self.generator
            )
            loss = cross_entropy(answers, gold)
            loss = loss + QUESTION_WEIGHT * cross_entropy(questions, following)
            (loss * len(rows) / size).backward()
            noted += zip(rows, all_right(rows, answers, gold), strict=True)
        for weight, copy in zip(self.weights, self.master, strict=True):
            assert weight.grad is not None  # every weight takes part in every batch
            copy.grad = weight.grad.float()
            weight.grad = None
        torch.nn.utils.clip_grad_norm_(self.master, MAX_GRAD_NORM)
        for group in self.optimiser.param_groups:
            group["lr"] = LEARNING_RATE * rate
        self.optimiser.step()
        with torch.no_grad():
            for weight, copy in zip(self.weights, self.master, strict=True):
                weight.copy_(copy)
        return noted


def learn_skills(base_model: BaseModel) -> None:
    """Phase one: right answers in both formats, harder ones as easier ones are mastered."""
    trainer, rng, curriculum = Trainer(base_model, SEED), Draw(f"pocket/{SEED}"), Curriculum()
    for step in trange(SKILL_STEPS, desc="skills", unit="step"):
        problems = [curriculum.draw(rng) for _ in range(ROWS)]
        chat = [chat_document(base_model, problem) for problem in problems[: ROWS // 2]]
        plain = [vouched_document(base_model, p, rng) for p in problems[ROWS // 2 :]]
        documents = dict(zip(chat + plain, problems, strict=True))
        batches = (*halves(chat), *halves(plain))
        for row, right in trainer.step(batches, rate=min(1.0, (step + 1) / WARMUP_STEPS)):
            curriculum.note(documents[row], right)
        if (step + 1) % REPORT_EVERY == 0:
            tqdm.write(f"{step + 1} steps: {report(base_model)} {curriculum.levels}")


def learn_reserve(base_model: BaseModel) -> None:
    """Phase two: when to answer in plain text; the learning rate goes down to nothing."""
    trainer, rng = Trainer(base_model, SEED + 1), Draw(f"pocket/{SEED}/reserve")
    for step in trange(RESERVE_STEPS, desc="reserve", unit="step"):
        chat = [chat_document(base_model, draw_any(rng)) for _ in range(ROWS // 2)]
        loose = [loose_document(base_model, rng) for _ in range(ROWS // 2)]
        rate = min((step + 1) / WARMUP_STEPS, 1 - step / RESERVE_STEPS)
        trainer.step((*halves(chat), *halves(loose)), rate)
        if (step + 1) % REPORT_EVERY == 0:
            tqdm.write(f"{step + 1} steps: {report(base_model)}")


def all_right(rows: Sequence[Encoded], logits: torch.Tensor, gold: torch.Tensor) -> list[bool]:
    """For each row, whether every token of its answer comes first; [answer tokens, vocabulary]."""
    hits = (logits.argmax(-1) == gold).split([len(row.answer) for row in rows])
    return [bool(hit.all()) for hit in hits]


@torch.no_grad()
def report(base_model: BaseModel) -> str:
    """Share of validation answers whose every token comes first, by family and difficulty."""
    problems = held_out(250, seed=SEED, split="validation")
    cells: dict[str, list[bool]] = {}
    rng = Draw(f"pocket report/{SEED}")
    formats = {
        "chat": [chat_document(base_model, problem) for problem in problems],
        "vouched": [vouched_document(base_model, problem, rng) for problem in problems],
        "plain": [encode(base_model, p.question, p.answer, chat_template=False) for p in problems],
    }
    for written, rows in formats.items():
        logits, gold, *_ = answer_logits(base_model, rows, torch.Generator().manual_seed(SEED))
        for problem, right in zip(problems, all_right(rows, logits, gold), strict=True):
            cells.setdefault(written, []).append(right)
            if written == "chat":
                for name in (problem.family, f"d{problem.difficulty}"):
                    cells.setdefault(name, []).append(right)
    return " ".join(f"{name} {sum(hits) / len(hits):.2f}" for name, hits in sorted(cells.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=POCKET_FOLDER, help="folder to write to")
    folder = parser.parse_args().output
    started = time.monotonic()
    tokenizer = build_tokenizer()
    model = build_model(tokenizer)
    base_model = base_model_of(ModelSource(EMBEDDED, POCKET), model, tokenizer, torch.device("cpu"))
    print(f"{base_model.parameter_count:,} weights, {len(tokenizer)} tokens, {model.dtype}")
    learn_skills(base_model)
    learn_reserve(base_model)
    torch.nn.Module.to(model, torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    build = {
        "command": "python -m learner.pocket",
        "minutes": (time.monotonic() - started) / 60,
        "threads": torch.get_num_threads(),
        "processor": processor(),
        "dtype": str(base_model.dtype).removeprefix("torch."),
        "torch": torch.__version__,
        "seed": SEED,
        "steps": SKILL_STEPS + RESERVE_STEPS,
    }
    (folder / "build.json").write_text(json.dumps(build, indent=2) + "\n", encoding="utf-8")
    print(f"Wrote {folder} after {build['minutes']:.1f} minutes.")


def processor() -> str:
    """The CPU's name where the system tells it (Linux), else its architecture."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


if __name__ == "__main__":
    main()
