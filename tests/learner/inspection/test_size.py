import pytest
import torch

from arena import held_out
from learner.inspection import size as module
from learner.inspection.size import flattened, made_smaller, rounded, size, stored_bytes
from learner.inspection.subject import Subject
from learner.measuring import Answers
from learner.model.base_model import BaseModel
from tests.learner.inspection.known import heading_places, planted


@pytest.fixture
def prompt() -> torch.Tensor:
    return torch.randn(4, 30, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("bits", "levels"), [(8, 255), (4, 15), (3, 7), (2, 3), (1, 2)])
def test_so_many_bits_leave_so_many_levels(prompt: torch.Tensor, bits: int, levels: int) -> None:
    smaller = rounded(prompt, bits)
    assert all(len(set(vector)) <= levels for vector in smaller.tolist())
    worst = prompt.abs().amax() / (2 ** (bits - 1) - 1 or 1)
    assert (smaller - prompt).abs().amax() <= worst


def test_whole_and_half_precision_change_little(prompt: torch.Tensor) -> None:
    assert torch.equal(rounded(prompt, 32), prompt)
    assert torch.equal(rounded(prompt, 16), prompt.half().float())
    assert torch.equal(rounded(torch.zeros(1, 3), 4), torch.zeros(1, 3))


def test_a_prompt_is_flattened_to_a_rank(prompt: torch.Tensor) -> None:
    assert torch.linalg.matrix_rank(flattened(prompt, 2)) == 2
    torch.testing.assert_close(flattened(prompt, 4), prompt)


def test_all_ways_at_once(prompt: torch.Tensor) -> None:
    smaller = made_smaller(prompt, 1, 2, (0, 2))
    assert smaller.shape == (2, 30)
    assert len(set(smaller[0].tolist())) == 2


def test_what_it_takes() -> None:
    assert stored_bytes(8, 896, 32) == 28672
    assert stored_bytes(8, 896, 1) == 896 + 16
    assert stored_bytes(8, 192, 32, rank=2) == 2 * 200 * 4


@pytest.mark.parametrize("seed", range(2))
def test_the_planted_heading_is_all_that_is_needed(
    pocket: BaseModel, answers: Answers, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The truth: the heading's vectors are enough, and it needs them all."""
    monkeypatch.setattr(module, "MARGIN", 0.25)  # of so few problems less could not be told
    subject = planted(pocket, seed)
    truth = sorted(heading_places(pocket, seed))
    order = truth + [i for i in range(subject.vectors) if i not in truth]
    found = size(answers, subject, order, held_out(20))
    enough = [one for one in found.vectors if len(one.kept) == len(truth)]
    assert enough[0].kept == tuple(truth)
    assert enough[0].score.accuracy >= found.whole.accuracy - 0.1
    assert found.smallest is not None
    assert set(truth) <= set(found.smallest.kept)
    assert found.smallest.bytes < found.bytes / 4


def test_nothing_smaller_is_claimed_of_few_problems(
    answers: Answers, subjects: list[Subject]
) -> None:
    """Even where no answer changed: of ten problems, a loss of 5 points cannot be ruled out."""
    found = size(answers, subjects[0], list(range(8)), held_out(10))
    assert found.bits[1].change.value == 0
    assert found.smallest is None
