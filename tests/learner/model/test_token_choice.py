"""A sampled row follows its seed and the model's own distribution, whoever else is in the pass."""

import math
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.model import completion
from learner.model.base_model import BaseModel
from learner.model.completion import Ask, Completion, complete
from learner.model.formatting import decode, encode
from learner.model.forward import Batch
from learner.model.token_choice import choose, most_likely, random_numbers
from tests.learner.tiny_models import build_base_model, build_model

QUESTIONS = ("What comes next: 2, 4, 6, 8?", "Alice is taller than Bob. Who is the tallest?")
PROMPT = torch.randn((4, 32), generator=torch.Generator().manual_seed(0))


def test_tokens_are_drawn_as_often_as_the_model_says() -> None:
    p = torch.tensor([0.5, 0.0, 0.3, 0.15, 0.05])
    rows = 4000
    numbers = {i: random_numbers(i, 1)[0] for i in range(rows)}
    drawn, entropies = choose(p.log().expand(rows, -1), numbers)
    found = Counter(drawn.tolist())
    for token, share in enumerate(p.tolist()):
        assert abs(found[token] / rows - share) <= 4 * math.sqrt(share * (1 - share) / rows)
    exact = -sum(share * math.log(share) for share in p.tolist() if share)
    assert entropies.tolist() == pytest.approx([exact] * rows, rel=1e-5)


@given(
    seed=st.integers(0, 1000), tokens=st.integers(1, 300), number=st.floats(0, 1, exclude_max=True)
)
def test_a_token_is_where_the_cumulative_distribution_passes_the_rows_own_number(
    seed: int, tokens: int, number: float
) -> None:
    logits = torch.randn((1, tokens), generator=torch.Generator().manual_seed(seed)) * 3
    token = int(choose(logits, {0: number})[0])
    cumulative = torch.softmax(logits[0].double(), dim=0).cumsum(0)
    below = float(cumulative[token - 1]) if token else 0.0
    assert below - 1e-6 <= number <= float(cumulative[token]) + 1e-6


@given(seed=st.integers(0, 2**63 - 1), count=st.integers(1, 9), more=st.integers(0, 9))
def test_a_rows_numbers_follow_from_its_seed_however_many_are_drawn(
    seed: int, count: int, more: int
) -> None:
    numbers = random_numbers(seed, count)
    assert random_numbers(seed, count + more)[:count] == numbers
    assert len(numbers) == count and all(0 <= number < 1 for number in numbers)


@given(
    rows=st.integers(1, 70),
    tokens=st.integers(1, 400),
    seed=st.integers(0, 1000),
    nan=st.booleans(),
)
def test_the_first_of_the_largest_is_found_however_rows_lie_in_memory(
    rows: int, tokens: int, seed: int, nan: bool
) -> None:
    """Whole numbers, so that many are equal."""
    drawn = torch.Generator().manual_seed(seed)
    logits = torch.randint(-3, 4, (tokens, rows), generator=drawn).bfloat16().t()
    if nan:
        logits[rows // 2, tokens // 2 :] = torch.nan
    expected = [row.index(max(row)) for row in logits.nan_to_num(9.0).tolist()]
    assert most_likely(logits).tolist() == most_likely(logits.contiguous()).tolist() == expected


def test_rows_without_a_number_take_the_most_likely_token() -> None:
    logits = torch.randn((7, 50), generator=torch.Generator().manual_seed(1))
    tokens, entropies = choose(logits, {})
    assert torch.equal(tokens, logits.argmax(-1)) and not entropies.any()
    mixed, entropies = choose(logits, {1: 0.1, 3: 0.999, 4: 0.5, 6: 0.3})
    greedy = [0, 2, 5]
    assert torch.equal(mixed[greedy], logits.argmax(-1)[greedy]) and not entropies[greedy].any()
    for row, number in ((1, 0.1), (3, 0.999), (4, 0.5), (6, 0.3)):
        alone, entropy = choose(logits[row : row + 1], {0: number})
        assert mixed[row] == alone[0] and entropies[row] == pytest.approx(float(entropy[0]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("transposed", [False, True])
def test_of_equals_the_first_is_taken(dtype: torch.dtype, transposed: bool) -> None:
    """In half precision the largest of many logits are often equal."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randint(0, 50, (9, 5000), generator=generator).to(dtype)
    first = [row.index(max(row)) for row in logits.tolist()]
    if transposed:  # as few tokens come out of a large matrix
        logits = logits.t().contiguous().t()
    assert most_likely(logits).tolist() == first


def test_logits_that_are_no_numbers_stay_in_their_row() -> None:
    logits = torch.zeros(2, 5)
    logits[0] = torch.nan
    drawn, entropies = choose(logits, {0: 0.5, 1: 0.5})
    assert 0 <= drawn[0] < 5 and math.isnan(entropies[0])
    assert float(entropies[1]) == pytest.approx(math.log(5))


sampled = st.builds(
    Ask,
    st.sampled_from(QUESTIONS),
    st.booleans(),
    st.sampled_from([None, PROMPT]),
    st.just(()),
    st.none() | st.integers(0, 50),
)


def without_times(done: Completion) -> tuple[str, tuple[int, ...], bool]:
    return done.text, done.ids, done.finished


@settings(max_examples=12, deadline=None)
@given(
    batch=st.lists(sampled, min_size=2, max_size=8),
    architecture=st.sampled_from(["qwen2", "llama"]),
)
def test_a_row_says_in_any_company_what_it_says_alone(batch: list[Ask], architecture: str) -> None:
    base_model = build_base_model(architecture)
    for ask, done in zip(batch, complete(base_model, batch, 10), strict=True):
        alone = complete(base_model, [ask], 10)[0]
        assert without_times(done) == without_times(alone)
        if ask.seed is None:
            assert done.entropy is None
        else:
            assert done.entropy == pytest.approx(alone.entropy, rel=1e-3)


def test_seeds_reproduce_and_differ(base_model: BaseModel) -> None:
    asks = [Ask(QUESTIONS[0], False, PROMPT, seed=seed) for seed in range(12)]
    first, again = (complete(base_model, asks, 10) for _ in range(2))
    assert [done.ids for done in first] == [done.ids for done in again]
    assert len({done.ids for done in first}) > 6


def test_what_was_generated_comes_with_the_completion(base_model: BaseModel) -> None:
    """Token ids, the mean entropy of what they were drawn from, both as in the unmodified model."""
    (done,) = complete(base_model, [Ask(QUESTIONS[1], True, PROMPT, seed=3)], 10)
    assert len(done.ids) == done.tokens <= 10
    assert decode(base_model, done.ids).strip().startswith(done.text)
    model = build_model("llama" if "llama" in base_model.name else "qwen2").eval()
    row = encode(base_model, QUESTIONS[1], None, True)
    ids = torch.tensor([*row.head, *row.question, *done.ids])
    with torch.no_grad():
        embeddings = torch.cat((PROMPT, model.get_input_embeddings()(ids)))
        logits = model(inputs_embeds=embeddings[None]).logits[0, -done.tokens - 1 : -1]
    entropies = torch.distributions.Categorical(logits=logits).entropy()
    assert done.entropy == pytest.approx(float(entropies.mean()), rel=1e-3)


def test_samples_of_one_question_read_it_once(
    qwen2: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Batch] = []

    class Recorded(Batch):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[arg-type]
            made.append(self)

    monkeypatch.setattr(completion, "Batch", Recorded)
    complete(qwen2, [Ask(QUESTIONS[0], True, PROMPT, seed=seed) for seed in range(8)], 3)
    row = encode(qwen2, QUESTIONS[0], None, True)
    before = len(PROMPT) + len(row.head) + len(row.question) - 1
    assert [len(batch) for batch in made] == [before + 8]
