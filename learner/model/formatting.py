"""From a question to token ids: plain text or the tokenizer's own chat template.

Plain text is ``Question: {question}\\nAnswer:`` followed by `` {answer}\\n``. Chat is whatever the
model's template renders for a system and a user message, followed by the answer and the token with
which the template ends an assistant's turn. What belongs to the format and not to the question is
derived once by rendering it around two dummy questions. Worked examples belong to the format too:
they are rows of plain text, or turns of the chat, before the question.

A person's words are text: special tokens written inside a question or an answer are tokenised as
the characters they are made of, and never steer the model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from learner.model.base_model import BaseModel

SYSTEM_MESSAGE = (
    "You are a helpful assistant. Answer the question with just the answer, nothing else."
)
DUMMY_QUESTIONS = ("What is it?", "7 + 5")
DUMMY_ANSWER = "Dummy-answer-4711"
DUMMY_SYSTEM = "Dummy-system-1147"

Examples = tuple[tuple[str, str], ...]
"""Worked examples that stand before a question: (question, right answer) each."""


@dataclass(frozen=True)
class Encoded:
    """One row of token ids: ``head + question`` is the prompt, ``answer`` what should follow it.

    ``head`` is the constant beginning that every question of the format shares, so that its keys
    and values are computed once for many rows. ``answer`` is the gold answer with the token that
    ends it; it is empty when the model is only asked.
    """

    head: tuple[int, ...]
    question: tuple[int, ...]
    answer: tuple[int, ...]


@dataclass(frozen=True)
class Format:
    """What a format writes around a question and an answer."""

    before: str
    after: str
    answer_lead: str
    answer_end: str
    first_ids: tuple[int, ...]  # begin-of-sequence ids that the tokenizer puts before plain text
    special_in_prompt: int  # special tokens that the format itself writes around a question ...
    special_in_end: int  # ... and after an answer
    head: tuple[int, ...]
    end_ids: frozenset[int]  # a completion ends at any of these ...
    ends_at_newline: bool  # ... and, in plain text, at a newline once something has been written


def encode(
    base_model: BaseModel,
    question: str,
    answer: str | None,
    chat_template: bool,
    examples: Examples = (),
) -> Encoded:
    """Token ids of a question behind ``examples``, and of its gold answer where there is one.

    Surrounding space is dropped, and an answer is one line. Raises ValueError if the chat template
    is asked of a model that has none, if there is no question, or if the row cannot fit the model.
    """
    encoded = _encode(
        base_model.tokenizer,
        question.strip(),
        None if answer is None else " ".join(answer.split()),
        chat_template,
        examples,
    )
    length = len(encoded.head) + len(encoded.question) + len(encoded.answer)
    if length >= base_model.context_length:
        raise ValueError(
            f"The question is too long: {length} tokens, where {base_model.name} reads "
            f"{base_model.context_length} with the soft prompt and the answer."
        )
    return encoded


def format_of(base_model: BaseModel, chat_template: bool) -> Format:
    """What the model's chat template, or plain text, writes around a question.

    Raises ValueError if the chat template is asked of a model that has none.
    """
    return _format(base_model.tokenizer, chat_template, ())


def decode(base_model: BaseModel, ids: Sequence[int], special: bool = False) -> str:
    """The text of token ids, with or without special tokens; half characters come as U+FFFD."""
    backend = base_model.tokenizer.backend_tokenizer
    return backend.decode(ids, skip_special_tokens=not special)


@lru_cache(maxsize=8192)
def _encode(
    tokenizer: PreTrainedTokenizerBase,
    question: str,
    answer: str | None,
    chat_template: bool,
    examples: Examples,
) -> Encoded:
    if not question:
        raise ValueError("There is no question to ask.")
    layout = _format(tokenizer, chat_template, examples)
    prompt = _ids(tokenizer, layout, question, None)
    shared = _common_prefix(layout.head, prompt)
    answer_ids: tuple[int, ...] = ()
    if answer is not None:
        whole = _ids(tokenizer, layout, question, answer)
        if whole[: len(prompt)] != prompt:
            # The tokenizer merged across the border, which decoding from the prompt could never
            # produce: tokenise the answer on its own instead.
            whole = prompt + _answer_ids(tokenizer, layout, answer)
        answer_ids = whole[len(prompt) :]
    return Encoded(shared, prompt[len(shared) :], answer_ids)


def _ids(
    tokenizer: PreTrainedTokenizerBase, layout: Format, question: str, answer: str | None
) -> tuple[int, ...]:
    """Ids of the prompt, or of prompt and answer; a person's special tokens come out as text."""
    end, special = "", layout.special_in_prompt
    if answer is not None:
        end = layout.answer_lead + answer + layout.answer_end
        special += layout.special_in_end
    ids = _tokenize(tokenizer, layout.before + question + layout.after + end)
    if _special_count(tokenizer, ids) != special:
        ids = (
            _tokenize(tokenizer, layout.before)
            + _tokenize_literally(tokenizer, question)
            + _tokenize(tokenizer, layout.after)
        )
        if answer is not None:
            ids += _answer_ids(tokenizer, layout, answer)
    return layout.first_ids + ids


def _answer_ids(tokenizer: PreTrainedTokenizerBase, layout: Format, answer: str) -> tuple[int, ...]:
    return _tokenize_literally(tokenizer, layout.answer_lead + answer) + _tokenize(
        tokenizer, layout.answer_end
    )


@lru_cache(maxsize=32)
def _format(tokenizer: PreTrainedTokenizerBase, chat_template: bool, examples: Examples) -> Format:
    if chat_template and not tokenizer.chat_template:
        raise ValueError("This model has no chat template; turn the chat template off.")
    stop = {tokenizer.eos_token_id} - {None}
    if chat_template:
        before, after, lead, end, end_ids = _chat_parts(tokenizer, examples)
        first: tuple[int, ...] = ()
    else:
        before, after, lead, end = "Question: ", "\nAnswer:", " ", "\n"
        rows = (f"{before}{asked}{after}{lead}{right}{end}" for asked, right in examples)
        before = "".join(rows) + before
        end_ids = _chat_parts(tokenizer, ())[4] if tokenizer.chat_template else frozenset()
        first = _first_ids(tokenizer)
    layout = Format(
        before=before,
        after=after,
        answer_lead=lead,
        answer_end=end,
        first_ids=first,
        special_in_prompt=_special_count(tokenizer, _tokenize(tokenizer, before + after)),
        special_in_end=_special_count(tokenizer, _tokenize(tokenizer, end)),
        head=(),
        end_ids=frozenset(stop | end_ids),
        ends_at_newline=not chat_template,
    )
    heads = (_ids(tokenizer, layout, question, None) for question in DUMMY_QUESTIONS)
    return replace(layout, head=_common_prefix(*heads))


def _chat_parts(
    tokenizer: PreTrainedTokenizerBase, examples: Examples
) -> tuple[str, str, str, str, frozenset[int]]:
    """What the template writes before and after a question, and before and after its answer."""
    render = _renderer(tokenizer, examples)
    question = DUMMY_QUESTIONS[0]
    prompt = render(question, None)
    whole = render(question, DUMMY_ANSWER)
    before, after = prompt.split(question, 1)
    lead, tail = "", ""
    if DUMMY_ANSWER in whole:
        until, tail = whole.split(DUMMY_ANSWER, 1)
        # Not by the whole prompt: some templates write less before a question that was answered.
        lead = until.rpartition(after)[2] if after in until else ""
    end, end_id = _first_special(tokenizer, tail)
    return before, after, lead, end, frozenset({end_id})


def _renderer(
    tokenizer: PreTrainedTokenizerBase, examples: Examples
) -> Callable[[str, str | None], str]:
    """The template as a function of question and answer; system text where the template takes it.

    Templates without a system role either refuse it or drop it: then it opens the user's message.
    """

    def render(messages: list[dict[str, str]], generation: bool) -> str:
        # Templates of reasoning models read `enable_thinking`; all others ignore it.
        text = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=generation, enable_thinking=False
        )
        assert isinstance(text, str)
        return text

    def messages_of(question: str, system: str | None) -> list[dict[str, str]]:
        turns = [text for example in examples for text in example] + [question]
        if system is None:
            turns[0] = f"{SYSTEM_MESSAGE}\n\n{turns[0]}"
        roles = ("user", "assistant")
        messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(turns)]
        return [{"role": "system", "content": system}, *messages] if system else messages

    try:
        probe = render(messages_of(DUMMY_QUESTIONS[0], DUMMY_SYSTEM), True)
    except TemplateError:
        probe = ""
    system = SYSTEM_MESSAGE if DUMMY_SYSTEM in probe else None

    def rendered(question: str, answer: str | None) -> str:
        messages = messages_of(question, system)
        if answer is None:
            return render(messages, True)
        return render([*messages, {"role": "assistant", "content": answer}], False)

    return rendered


def _first_special(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[str, int]:
    """The text up to and with its first special token, and its id; else the end of sequence."""
    found = [
        (text.index(token.content), token.content, token_id)
        for token_id, token in tokenizer.added_tokens_decoder.items()
        if token.special and token.content in text
    ]
    if found:
        start, content, token_id = min(found, key=lambda item: (item[0], -len(item[1])))
        return text[: start + len(content)], token_id
    if tokenizer.eos_token_id is None:
        raise ValueError("This model's chat template never ends a turn; turn the template off.")
    return tokenizer.eos_token, tokenizer.eos_token_id


def _first_ids(tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """The ids that the tokenizer itself puts before any text (begin of sequence, for Llama)."""
    bare = _tokenize(tokenizer, "a")
    full = tuple(tokenizer.backend_tokenizer.encode("a").ids)
    return next(
        (full[:i] for i in range(len(full)) if full[i : i + len(bare)] == bare),
        (),
    )


@lru_cache(maxsize=32)
def _special_ids(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    added = tokenizer.added_tokens_decoder
    return frozenset(token_id for token_id, token in added.items() if token.special)


def _special_count(tokenizer: PreTrainedTokenizerBase, ids: tuple[int, ...]) -> int:
    special = _special_ids(tokenizer)
    return sum(token in special for token in ids)


def _tokenize(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    """Ids of text in which special tokens are special. (The backend is safe across threads.)"""
    return tuple(tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids)


def _tokenize_literally(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    """Ids of text in which nothing is special: the backend's pipeline without its added tokens."""
    backend = tokenizer.backend_tokenizer
    if backend.normalizer is not None:
        text = backend.normalizer.normalize_str(text)
    pieces = [text]
    if backend.pre_tokenizer is not None:
        pieces = [piece for piece, _ in backend.pre_tokenizer.pre_tokenize_str(text)]
    return tuple(token.id for piece in pieces for token in backend.model.tokenize(piece))


def _common_prefix(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    length = 0
    for a, b in zip(first, second, strict=False):
        if a != b:
            break
        length += 1
    return first[:length]
