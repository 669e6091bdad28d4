"""Does the formatting agree with real tokenizers, and with their templates?

python -m tests.learner.model.real_tokenizers FOLDER...

A folder holds tokenizer.json and tokenizer_config.json, as a model's repository on the Hub does.
"""

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

from jinja2 import TemplateError
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from learner.model.base_model import BaseModel
from learner.model.formatting import SYSTEM_MESSAGE, encode, format_of

QUESTIONS = ("Who is older?", "2, 4, 6, ?", "What is 3 + 4?\nAnd 5?", "¿Qué é 是 什么 🧊?")
MOST_SPECIAL = 100  # tokens that are tried: some vocabularies have thousands that stand for nothing


def faults(tokenizer: PreTrainedTokenizerBase) -> Iterator[str]:
    """What is not as it should be, a line each: nothing, if all is well."""
    base_model = cast(
        BaseModel, SimpleNamespace(tokenizer=tokenizer, context_length=8192, name="it")
    )
    added = tokenizer.added_tokens_decoder
    special = {i: token.content for i, token in added.items() if token.special}
    for chat in (True, False) if tokenizer.chat_template else (False,):
        layout = format_of(base_model, chat)
        for question in QUESTIONS:
            encoded = encode(base_model, question, "42", chat)
            prompt = list(encoded.head + encoded.question)
            where = f"{'chat' if chat else 'plain'}, {question!r}"
            if prompt != _expected(tokenizer, question, chat):
                yield f"{where}: the prompt has other ids"
            if not chat:
                continue
            if encoded.answer[-1] not in layout.end_ids:
                yield f"{where}: the answer does not end a turn"
            end = tokenizer.decode([*prompt[-4:], *encoded.answer])
            messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "42"}]
            whole = str(tokenizer.apply_chat_template(messages, tokenize=False))
            if end.rpartition("42")[2] not in whole:
                yield f"{where}: the template ends a turn with something else than {end!r}"
        quiet = encode(base_model, "Say it now", "it", chat)
        usual = sum(i in special for i in quiet.head + quiet.question + quiet.answer)
        for token in [*special.values()][:MOST_SPECIAL]:
            encoded = encode(base_model, f"Say {token} now", token, chat)
            ids = encoded.head + encoded.question + encoded.answer
            if sum(i in special for i in ids) != usual:
                yield f"{'chat' if chat else 'plain'}: {token} is obeyed in a person's words"


def _expected(tokenizer: PreTrainedTokenizerBase, question: str, chat: bool) -> list[int]:
    """The ids that the tokenizer itself makes of a prompt."""
    if not chat:
        return list(tokenizer(f"Question: {question}\nAnswer:")["input_ids"])
    system = [
        {"role": "system", "content": SYSTEM_MESSAGE},
        {"role": "user", "content": question},
    ]
    user = [{"role": "user", "content": f"{SYSTEM_MESSAGE}\n\n{question}"}]
    try:
        taken = SYSTEM_MESSAGE in str(tokenizer.apply_chat_template(system, tokenize=False))
    except TemplateError:  # the template knows no system
        taken = False
    return list(
        tokenizer.apply_chat_template(
            system if taken else user,
            add_generation_prompt=True,
            return_dict=False,
            enable_thinking=False,
        )
    )


def main(folders: list[str]) -> int:
    """Look at each; 0 if nothing was found."""
    found = 0
    for folder in folders:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        lines = [*faults(tokenizer)]
        found += len(lines)
        template = "with" if tokenizer.chat_template else "without"
        print(f"{folder}: {len(tokenizer):,} tokens, {template} a template, {len(lines)} faults")
        print("".join(f"  {line}\n" for line in lines), end="")
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
