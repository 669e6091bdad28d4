"""Tiny random base models and a small byte-level BPE tokenizer, all built in memory."""

from functools import lru_cache

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from learner.model.base_model import BaseModel, base_model_of, prepare
from learner.model.cuda_graphs import Fixtures
from learner.model.source import FOLDER, ModelSource

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Like Gemma's: a system message is an error, and turns end with a token of their own.
NO_SYSTEM = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Like Llama 2's: no system role (silently), a space before the answer, end of sequence after it.
INSTRUCT = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}"
    "[INST] {{ message['content'] }} [/INST]{% elif message['role'] == 'assistant' %}"
    " {{ message['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
)
# Like Qwen 3's: it thinks before it answers, unless it is told not to.
THINKING = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if loop.last and message['role'] == 'assistant' %}<think>\n\n</think>\n\n{% endif %}"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n"
    "{% endif %}{% endif %}"
)
# Like Mistral Nemo's: what the system says stands before a question only while it is unanswered.
LATE_SYSTEM = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set said = messages[0]['content'] %}"
    "{% endif %}{% for message in messages %}{% if message['role'] == 'user' %}[INST]"
    "{% if loop.last and said is defined %}{{ said }}\n\n{% endif %}{{ message['content'] }}[/INST]"
    "{% elif message['role'] == 'assistant' %} {{ message['content'] }}{{ eos_token }}{% endif %}"
    "{% endfor %}"
)
TEMPLATES = {
    "chatml": CHATML,
    "thinking": THINKING,
    "no system": NO_SYSTEM,
    "instruct": INSTRUCT,
    "none": None,
}

CORPUS = (
    "Question: What comes next: 2, 4, 6, 8? Answer: 10",
    "Question: Alice is taller than Bob. Who is the tallest? Answer: Alice",
    "user assistant system You are a helpful assistant. It rained. Did it rain? Yes No blue red",
    "There are 12 apples in 3 boxes. How many apples are in each box? naïve café 東京 🙂",
)


@lru_cache
def build_tokenizer(template: str = "chatml", bos: bool = False) -> PreTrainedTokenizerFast:
    """A byte-level BPE of about 400 tokens, digits one by one, with ChatML's special tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS * 4, trainer)
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|endoftext|>",
        bos_token="<s>",
        chat_template=TEMPLATES[template],
    )


def build_model(architecture: str, seed: int = 0) -> PreTrainedModel:
    """A random model, two layers, grouped keys and values; weights large enough to tell apart."""
    tokenizer = build_tokenizer()
    shape = {
        "vocab_size": len(tokenizer) + 5,  # padded beyond the tokenizer, as Qwen's is
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "initializer_range": 0.3,
        "eos_token_id": tokenizer.eos_token_id,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if architecture == "qwen2":
            return Qwen2ForCausalLM(Qwen2Config(**shape, tie_word_embeddings=True))
        return LlamaForCausalLM(LlamaConfig(**shape, tie_word_embeddings=False))


@lru_cache
def build_base_model(
    architecture: str = "qwen2",
    template: str = "chatml",
    dtype: torch.dtype = torch.float32,
    bos: bool = False,
) -> BaseModel:
    tokenizer = build_tokenizer(template, bos)
    model = prepare(build_model(architecture).to(dtype), tokenizer, architecture)
    source = ModelSource(FOLDER, f"tiny-{architecture}", "random-0")
    return base_model_of(source, model, tokenizer, torch.device("cpu"))


def build_on(device: str, room: int, architecture: str = "qwen2") -> BaseModel:
    """A tiny float32 model on a device, with so many bytes for what CUDA graphs stand on."""
    model = prepare(build_model(architecture).to(device), build_tokenizer(), architecture)
    source = ModelSource(FOLDER, f"tiny-{architecture}", "random-0")
    base_model = base_model_of(source, model, build_tokenizer(), torch.device(device))
    vars(base_model)["fixtures"] = Fixtures(room)  # in the place of what its device would have
    return base_model
