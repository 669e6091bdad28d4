"""Batched, cached, streamed decoding must be the plain argmax loop, and stop where it should."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from arena.problem import Problem
from learner.learning.learner import LearnerConfig, new_learner
from learner.learning.training import train_step
from learner.model.base_model import BaseModel
from learner.model.completion import Ask, Completion, complete, stream_completions
from learner.model.formatting import encode, format_of
from tests.learner.questions import PROMPTS, QUESTIONS, without_times
from tests.learner.tiny_models import build_base_model, build_model

asks = st.builds(Ask, st.sampled_from(QUESTIONS), st.booleans(), st.sampled_from([None, *PROMPTS]))


def plain_loop(base_model: BaseModel, ask: Ask, max_new_tokens: int) -> tuple[list[int], bool]:
    """The argmax loop over the unmodified model, whole sequence every time: ids, and if it ended.

    Ends as the words say: at an end token or, in plain text, once a newline follows something.
    """
    model = build_model("llama" if "llama" in base_model.name else "qwen2").eval()
    tokenizer = base_model.tokenizer
    row = encode(base_model, ask.question, None, ask.chat_template)
    written: list[int] = []
    with torch.no_grad():
        for _ in range(max_new_tokens):
            ids = torch.tensor([*row.head, *row.question, *written])
            embeddings = model.get_input_embeddings()(ids)
            if ask.prompt is not None:
                embeddings = torch.cat((ask.prompt, embeddings))
            written.append(int(model(inputs_embeds=embeddings[None]).logits[0, -1].argmax()))
            text = tokenizer.decode(written, skip_special_tokens=True).lstrip()
            if written[-1] in format_of(base_model, ask.chat_template).end_ids:
                return written, True
            if not ask.chat_template and "\n" in text:
                return written, True
    return written, False


@settings(max_examples=12, deadline=None)
@given(
    batch=st.lists(asks, min_size=1, max_size=6), architecture=st.sampled_from(["qwen2", "llama"])
)
def test_a_batch_decodes_as_the_plain_loop_does_one_by_one(
    batch: list[Ask], architecture: str
) -> None:
    base_model = build_base_model(architecture)
    for ask, done in zip(batch, complete(base_model, batch, 12), strict=True):
        ids, ended = plain_loop(base_model, ask, 12)
        text = base_model.tokenizer.decode(ids, skip_special_tokens=True).strip()
        if not ask.chat_template:
            text = text.split("\n")[0].rstrip()
        assert (done.tokens, done.finished) == (len(ids), ended)
        assert done.text == (text if ended else text.rstrip("\ufffd"))


def test_the_stream_grows_token_by_token_and_ends_as_complete_does(base_model: BaseModel) -> None:
    batch = [Ask(q, chat, p) for q in QUESTIONS[:2] for chat in (True, False) for p in PROMPTS]
    stages = list(stream_completions(base_model, batch, 10))
    assert without_times(stages[-1]) == without_times(complete(base_model, batch, 10))
    assert [max(done.tokens for done in stage) for stage in stages] == list(
        range(1, len(stages) + 1)
    )
    for earlier, later in pairwise(stages):
        for before, after in zip(earlier, later, strict=True):
            assert before == after if before.finished else after.tokens == before.tokens + 1


def test_a_prompt_changes_what_is_written_and_only_behind_it(base_model: BaseModel) -> None:
    batch = [Ask(QUESTIONS[0], False, prompt) for prompt in (None, *PROMPTS)]
    texts = [done.text for done in complete(base_model, batch, 12)]
    assert len(set(texts)) > 1
    assert complete(base_model, batch[:1], 12)[0].text == texts[0]


def scripted(
    monkeypatch: pytest.MonkeyPatch,
    base_model: BaseModel,
    *pieces: str,
    chat_template: bool = False,
) -> list[Completion]:
    """The stages of a completion in which the model writes exactly these pieces, token by token."""
    tokenizer = base_model.tokenizer
    ids = [i for piece in pieces for i in tokenizer.encode(piece, add_special_tokens=False)]
    wanted = iter([*ids, *[tokenizer.encode("a", add_special_tokens=False)[0]] * 60])

    def logits(*_: object) -> torch.Tensor:
        row = torch.zeros(1, base_model.vocabulary_size)
        row[0, next(wanted)] = 1.0
        return row

    monkeypatch.setattr("learner.model.forward.Batch.logits", logits)
    monkeypatch.setattr("learner.model.completion.next_logits", logits)
    asks = [Ask(QUESTIONS[0], chat_template)]
    return [stage[0] for stage in stream_completions(base_model, asks, 30)]


def test_plain_text_ends_at_its_first_newline(
    qwen2: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    final = scripted(monkeypatch, qwen2, " 10", "\n", "Question: more")[-1]
    assert (final.text, final.tokens, final.finished) == ("10", 4, True)


def test_plain_text_may_begin_with_blank_lines(
    qwen2: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    final = scripted(monkeypatch, qwen2, "\n", " ", "\n", "10", "\n")[-1]
    assert (final.text, final.finished) == ("10", True)


def test_chat_goes_on_over_newlines_to_the_end_of_the_turn(
    qwen2: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    final = scripted(monkeypatch, qwen2, "1\n2", "<|im_end|>", "more", chat_template=True)[-1]
    assert (final.text, final.tokens, final.finished) == ("1\n2", 4, True)


@pytest.mark.parametrize("end", ["<|im_end|>", "<|endoftext|>"])
@pytest.mark.parametrize("chat_template", [False, True])
def test_both_formats_end_at_end_tokens(
    qwen2: BaseModel, monkeypatch: pytest.MonkeyPatch, end: str, chat_template: bool
) -> None:
    final = scripted(monkeypatch, qwen2, "10", end, "more", chat_template=chat_template)[-1]
    assert (final.text, final.finished) == ("10", True)


def test_no_half_characters_are_shown(qwen2: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = scripted(monkeypatch, qwen2, "né東🙂🙃", "<|im_end|>", chat_template=True)
    assert stages[-1].text == "né東🙂🙃"
    assert all("né東🙂🙃".startswith(stage.text) for stage in stages)
    assert len(stages) > 6  # several tokens a character, or this would show nothing


def test_a_completion_is_cut_at_the_longest_it_may_be(
    qwen2: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    final = scripted(monkeypatch, qwen2, "a" * 5)[-1]
    assert (final.tokens, final.finished) == (30, False)


@pytest.mark.parametrize("chat_template", [False, True])
def test_greedy_correctness_read_off_a_training_pass_is_what_decoding_gives(
    base_model: BaseModel, chat_template: bool
) -> None:
    """At every step of learning two problems, from wrong to right."""
    problems = [
        Problem("own", 0, QUESTIONS[0], "10", "number"),
        Problem("own", 0, QUESTIONS[1], "Alice", "name"),
    ]
    config = LearnerConfig(learning_rate=0.05, chat_template=chat_template)
    learner = new_learner(base_model, config)
    seen = set()
    for _ in range(40):
        stepped, report = train_step(base_model, learner, problems)
        asks = [Ask(problem.question, chat_template, learner.prompt) for problem in problems]
        for problem, right, done in zip(
            problems, report.correct, complete(base_model, asks, 8), strict=True
        ):
            assert right == (done.finished and done.text == problem.answer)
            seen.add(right)
        learner = stepped
    assert seen == {False, True}


def test_no_questions_are_no_completions(qwen2: BaseModel) -> None:
    assert complete(qwen2, []) == ()
    assert list(stream_completions(qwen2, [])) == [()]


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (Ask(" ", False), "no question"),
        (Ask("why " * 600, False), "too long"),
        (Ask("why " * 165, False, PROMPTS[0]), "too long"),
        (Ask("Who?", False, torch.zeros(4, 31)), "32 numbers a token"),
    ],
)
def test_what_cannot_be_asked_is_said(qwen2: BaseModel, ask: Ask, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        complete(qwen2, [ask])


def test_the_chat_template_of_a_model_without_one_is_refused() -> None:
    with pytest.raises(ValueError, match="no chat template"):
        complete(build_base_model("qwen2", "none"), [Ask("Who?", True)])


def test_the_generation_config_does_not_leak_in(base_model: BaseModel) -> None:
    """Sampling, penalties and limits that a model ships must not change what it writes here."""
    batch = [Ask(question, False) for question in QUESTIONS]
    before = without_times(complete(base_model, batch, 8))
    shipped = base_model.model.generation_config
    saved = shipped.to_dict()
    shipped.update(do_sample=True, temperature=5.0, repetition_penalty=9.0, max_new_tokens=1)
    try:
        assert without_times(complete(base_model, batch, 8)) == before
    finally:
        shipped.update(**saved)
