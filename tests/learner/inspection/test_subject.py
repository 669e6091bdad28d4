import pytest
import torch

from arena import held_out
from learner.inspection.subject import Subject, change, scores, subject_of
from learner.learning.learner import LearnerConfig, new_learner, untrained
from learner.measuring import Answers, score_of
from learner.model.base_model import BaseModel


def test_vectors_that_are_not_kept_are_as_they_were_untrained() -> None:
    subject = Subject(torch.ones(3, 2), torch.zeros(3, 2))
    assert subject.with_vectors([True, False, True]).tolist() == [[1, 1], [0, 0], [1, 1]]


def test_a_learner_stands_beside_the_prompt_it_started_from(qwen2: BaseModel) -> None:
    learner = new_learner(qwen2, LearnerConfig(seed=3, shots=2, chat_template=True))
    subject = subject_of(learner, new_learner(qwen2, learner.config))
    assert torch.equal(subject.untrained, learner.prompt)
    assert subject.chat_template and len(subject.examples) == 2


def test_a_prompt_of_another_length_than_its_settings_say_is_refused(qwen2: BaseModel) -> None:
    odd = untrained(qwen2, LearnerConfig(), torch.zeros(3, qwen2.hidden_size))
    with pytest.raises(ValueError, match="3 vectors, but its settings say 8"):
        subject_of(odd, new_learner(qwen2, odd.config))


def test_a_change_is_paired() -> None:
    found = change(score_of("1100", False), score_of("0111", False))
    assert (found.gained, found.lost, found.value) == (2, 1, 0.25)
    assert found.interval.low < 0 < found.interval.high


def test_the_model_alone_and_a_prompt_are_asked_together(
    answers: Answers, subjects: list[Subject]
) -> None:
    prompts = {"alone": None, "trained": subjects[0].trained}
    found = scores(answers, subjects[0], prompts, held_out(10))
    assert list(found) == ["alone", "trained"]
    assert found["alone"].correct == 0 and found["trained"].correct >= 3
