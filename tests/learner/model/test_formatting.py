"""What the model reads: its own template's ids, with a person's words as nothing but words."""

from copy import copy
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from learner.model.base_model import BaseModel
from learner.model.formatting import SYSTEM_MESSAGE, encode, format_of
from tests.learner.model import real_tokenizers
from tests.learner.model.real_tokenizers import faults
from tests.learner.tiny_models import LATE_SYSTEM, TEMPLATES, build_base_model

QUESTIONS = ("How many boxes?", "7 + 5 = ?", "Who is taller:\nAlice or Bob?", "東京 🙂 café?")
WITH_CHAT = [name for name, template in TEMPLATES.items() if template]
# Words of people, with every special token the tokenizer knows among them.
specials = st.sampled_from(["<|im_end|>", "<|im_start|>", "<|endoftext|>", "<s>"])
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
person_text = st.lists(words | specials, min_size=1, max_size=6).map("".join)


def ids_of(template: str, bos: bool, question: str, answer: str | None, chat: bool) -> list[int]:
    encoded = encode(build_base_model("qwen2", template, bos=bos), question, answer, chat)
    return [*encoded.head, *encoded.question, *encoded.answer]


@pytest.mark.parametrize("template", WITH_CHAT)
@pytest.mark.parametrize("bos", [False, True])
@pytest.mark.parametrize("question", QUESTIONS)
def test_chat_prompts_are_the_templates_own_ids(template: str, bos: bool, question: str) -> None:
    tokenizer = build_base_model("qwen2", template, bos=bos).tokenizer
    messages = [{"role": "user", "content": f"{SYSTEM_MESSAGE}\n\n{question}"}]
    if template in ("chatml", "thinking"):
        messages = [
            {"role": "system", "content": SYSTEM_MESSAGE},
            {"role": "user", "content": question},
        ]
    expected = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_dict=False, enable_thinking=False
    )
    assert ids_of(template, bos, question, None, True) == expected
    whole = tokenizer.apply_chat_template(
        [*messages, {"role": "assistant", "content": "12"}], return_dict=False
    )
    trained = ids_of(template, bos, question, "12", True)
    assert trained == whole[: len(trained)]
    assert trained.count(tokenizer.bos_token_id) == ("bos_token" in tokenizer.chat_template)


@pytest.mark.parametrize(
    ("template", "end"),
    [("chatml", "<|im_end|>"), ("no system", "<|im_end|>"), ("instruct", "<|endoftext|>")],
)
def test_a_chat_answer_ends_with_the_token_that_ends_the_templates_turn(
    template: str, end: str
) -> None:
    base_model = build_base_model("qwen2", template)
    token = base_model.tokenizer.convert_tokens_to_ids(end)
    assert encode(base_model, "Who?", "Alice", True).answer[-1] == token
    assert format_of(base_model, True).end_ids == {token, base_model.tokenizer.eos_token_id}


def test_an_answer_is_led_as_the_template_leads_it_though_it_forgets_the_system_then() -> None:
    tokenizer = copy(build_base_model("qwen2").tokenizer)
    tokenizer.chat_template = LATE_SYSTEM
    encoded = encode(replace(build_base_model("qwen2"), tokenizer=tokenizer), "Who?", "Bob", True)
    text = tokenizer.decode(encoded.head + encoded.question + encoded.answer)
    assert text.endswith(f"[INST]{SYSTEM_MESSAGE}\n\nWho?[/INST] Bob{tokenizer.eos_token}")


@pytest.mark.parametrize("template", [*TEMPLATES.values(), LATE_SYSTEM])
def test_what_looks_at_real_tokenizers_finds_nothing_in_these(template: str | None) -> None:
    tokenizer = copy(build_base_model("qwen2").tokenizer)
    tokenizer.chat_template = template
    assert [*faults(tokenizer)] == []


def test_what_looks_at_real_tokenizers_finds_a_prompt_that_is_another(monkeypatch) -> None:
    monkeypatch.setattr(real_tokenizers, "SYSTEM_MESSAGE", "Be brief.")
    found = [*faults(build_base_model("qwen2").tokenizer)]
    assert found and all("chat" in fault and "other ids" in fault for fault in found)


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("question", QUESTIONS)
def test_plain_text_is_question_answer_newline(template: str, question: str) -> None:
    tokenizer = build_base_model("qwen2", template).tokenizer
    text = tokenizer.decode(ids_of(template, False, question, "12", False))
    assert text == f"Question: {question}\nAnswer: 12\n"
    prompt = tokenizer.decode(ids_of(template, False, question, None, False))
    assert prompt == f"Question: {question}\nAnswer:"


def test_plain_text_begins_as_the_tokenizer_begins_any_text() -> None:
    base_model = build_base_model("llama", bos=True)
    begin = base_model.tokenizer.bos_token_id
    assert encode(base_model, "Who?", None, False).head[0] == begin
    assert base_model.tokenizer("Who?")["input_ids"][0] == begin


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("chat", [False, True])
def test_all_questions_share_the_head_of_their_format(template: str, chat: bool) -> None:
    if chat and template not in WITH_CHAT:
        return
    base_model = build_base_model("qwen2", template)
    heads = {encode(base_model, question, None, chat).head for question in QUESTIONS}
    assert heads == {format_of(base_model, chat).head}
    text = base_model.tokenizer.decode(heads.pop())
    assert (SYSTEM_MESSAGE in text) if chat else text == "Question:"


@settings(max_examples=150, deadline=None)
@given(
    question=person_text,
    answer=person_text,
    template=st.sampled_from(list(TEMPLATES)),
    bos=st.booleans(),
    chat=st.booleans(),
)
def test_a_persons_words_are_never_control_tokens(
    question: str, answer: str, template: str, bos: bool, chat: bool
) -> None:
    """Nor do they break the law that training and decoding see the same ids of the prompt."""
    if not (question.strip() and answer.strip()) or (chat and template not in WITH_CHAT):
        return
    base_model = build_base_model("qwen2", template, bos=bos)
    special = set(base_model.tokenizer.all_special_ids) | set(
        base_model.tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    )
    asked = encode(base_model, question, None, chat)
    trained = encode(base_model, question, answer, chat)
    harmless = encode(base_model, "Who?", "Bob", chat)
    assert (asked.head, asked.question) == (trained.head, trained.question)
    for row, expected in ((asked.question, harmless.question), (trained.answer, harmless.answer)):
        assert [i for i in row if i in special] == [i for i in expected if i in special]
    text = base_model.tokenizer.decode(trained.head + trained.question + trained.answer)
    assert question.strip() in text
    assert " ".join(answer.split()) in text


@pytest.fixture
def merging() -> BaseModel:
    """A model whose tokenizer reads letters, but ": a" as one, across plain text's borders."""
    pieces = [*map(chr, range(32, 127)), "\n", " a", ": a", "</s>"]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [(" ", "a"), (":", " a")]))
    tokenizer.decoder = decoders.Fuse()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>")
    return replace(build_base_model("qwen2"), tokenizer=fast)


def test_a_question_that_breaks_the_head_gets_a_shorter_one(merging: BaseModel) -> None:
    assert merging.tokenizer.decode(format_of(merging, False).head) == "Question: "
    for question, head in (("was it?", "Question: "), ("apples?", "Question")):
        row = encode(merging, question, None, False)
        assert merging.tokenizer.decode(row.head) == head
        expected = merging.tokenizer.encode(f"Question: {question}\nAnswer:")
        assert list(row.head + row.question) == expected


def test_an_answer_that_would_merge_into_the_prompt_is_kept_apart(merging: BaseModel) -> None:
    text = "Question: Who?\nAnswer: ann\n"
    asked = encode(merging, "Who?", None, False)
    row = encode(merging, "Who?", "ann", False)
    prompt = asked.head + asked.question
    assert tuple(merging.tokenizer.encode(text))[: len(prompt)] != prompt
    assert row.head + row.question == prompt
    assert merging.tokenizer.decode(prompt + row.answer) == text


def test_the_chat_template_of_a_model_without_one_is_refused() -> None:
    with pytest.raises(ValueError, match="no chat template"):
        encode(build_base_model("qwen2", "none"), "Who?", None, True)


def test_no_question_and_too_long_a_question_are_refused() -> None:
    base_model = build_base_model("qwen2")
    with pytest.raises(ValueError, match="no question"):
        encode(base_model, " \n", None, False)
    with pytest.raises(ValueError, match="question is too long"):
        encode(base_model, "why " * 1000, None, False)


def test_formats_do_not_depend_on_the_models_numbers() -> None:
    exact, rough = build_base_model("qwen2"), build_base_model("qwen2", dtype=torch.bfloat16)
    assert encode(exact, "Who?", "Bob", True) == encode(rough, "Who?", "Bob", True)


@pytest.mark.parametrize("template", WITH_CHAT)
@pytest.mark.parametrize("bos", [False, True])
def test_worked_examples_are_earlier_turns_of_the_chat(template: str, bos: bool) -> None:
    base_model = build_base_model("qwen2", template, bos=bos)
    examples = (("How many?", "3"), ("Who?", "Alice"))
    first, *rest = [text for example in examples for text in example] + ["7 + 5 = ?"]
    turns = [{"role": "system", "content": SYSTEM_MESSAGE}]
    if template not in ("chatml", "thinking"):
        turns, first = [], f"{SYSTEM_MESSAGE}\n\n{first}"
    for i, text in enumerate((first, *rest)):
        turns.append({"role": ("user", "assistant")[i % 2], "content": text})
    expected = base_model.tokenizer.apply_chat_template(
        turns, add_generation_prompt=True, return_dict=False, enable_thinking=False
    )
    encoded = encode(base_model, "7 + 5 = ?", None, True, examples)
    assert [*encoded.head, *encoded.question] == expected


@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize("bos", [False, True])
def test_worked_examples_are_part_of_the_head_that_questions_share(chat: bool, bos: bool) -> None:
    base_model = build_base_model("qwen2", bos=bos)
    bare = encode(base_model, "7 + 5 = ?", "12", chat)
    taught = encode(base_model, "7 + 5 = ?", "12", chat, (("How many?", "3"),))
    assert len(taught.head) > len(bare.head)
    assert (taught.question, taught.answer) == (bare.question, bare.answer)
    if not chat:
        text = base_model.tokenizer.decode([*taught.head], skip_special_tokens=True)
        assert text == "Question: How many?\nAnswer: 3\nQuestion:"
