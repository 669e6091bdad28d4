"""Evaluation keeps its problems in order, counts right, and compares in pairs."""

from collections.abc import Sequence
from functools import partial
from itertools import islice
from unittest import mock

import pytest

from arena import Problem, stream
from arena.statistics import wilson
from learner.evaluation import Evaluation, Tally, answers_of, compare, evaluate
from learner.learning.learner import LearnerConfig, new_learner
from learner.model.base_model import BaseModel
from learner.model.completion import Ask, Completion, complete
from learner.model.formatting import encode
from learner.model.forward import Batch

PROBLEMS = tuple(islice(stream(7), 40))


class Pupil:
    """Answers the gold answer of known problems, says nothing where told to, else guesses wrong."""

    def __init__(self, knows: Sequence[Problem], silent: Sequence[Problem] = ()) -> None:
        self.answers = {problem.question: problem.answer for problem in knows}
        self.silent = {problem.question for problem in silent}
        self.batches: list[list[Ask]] = []

    def __call__(self, asks: Sequence[Ask]) -> list[Completion]:
        self.batches.append(list(asks))
        return [Completion(self.say(ask.question), 3, True, 0.1) for ask in asks]

    def say(self, question: str) -> str:
        if question in self.silent:
            return ""
        return self.answers.get(question, "Nobody 987654")


def test_outcomes_are_in_order_whatever_the_batches() -> None:
    pupil = Pupil(PROBLEMS[::2])
    calls: list[tuple[int, int]] = []
    result = evaluate(
        pupil, PROBLEMS, rows_per_pass=7, progress=lambda done, total: calls.append((done, total))
    )
    assert tuple(outcome.problem for outcome in result.outcomes) == PROBLEMS
    right = [outcome.grade.correct for outcome in result.outcomes]
    assert right == [i % 2 == 0 for i in range(len(PROBLEMS))]
    assert [len(batch) for batch in pupil.batches] == [7, 7, 7, 7, 7, 5]
    assert calls == [(7, 40), (14, 40), (21, 40), (28, 40), (35, 40), (40, 40)]


def test_the_numbers_add_up() -> None:
    result = evaluate(Pupil(PROBLEMS[:10], silent=PROBLEMS[10:13]), PROBLEMS, chat_template=True)
    assert (result.n, result.correct, result.accuracy) == (40, 10, 0.25)
    assert result.no_answer >= 3
    assert result.interval == wilson(10, 40)
    for groups in (result.by_family(), result.by_difficulty()):
        assert list(groups) == sorted(groups)
        assert sum(tally.n for tally in groups.values()) == 40
        assert sum(tally.correct for tally in groups.values()) == 10
        assert sum(tally.no_answer for tally in groups.values()) == result.no_answer
    family = PROBLEMS[0].family
    members = [problem for problem in PROBLEMS if problem.family == family]
    tally = result.by_family()[family]
    assert (tally.n, tally.correct) == (len(members), len(set(members) & set(PROBLEMS[:10])))
    assert tally.interval == wilson(tally.correct, tally.n)


def test_prompt_format_and_worked_examples_are_passed_on(qwen2: BaseModel) -> None:
    prompt = new_learner(qwen2, LearnerConfig()).prompt
    pupil, examples = Pupil(PROBLEMS), (("1 + 1?", "2"),)
    result = evaluate(pupil, PROBLEMS, prompt=prompt, chat_template=True, examples=examples)
    assert result.chat_template
    for ask in pupil.batches[0]:
        assert ask.prompt is prompt and ask.chat_template and ask.examples == examples


def test_the_size_of_the_passes_changes_no_answer(base_model: BaseModel) -> None:
    answerer = partial(complete, base_model, max_new_tokens=6)
    prompt = new_learner(base_model, LearnerConfig()).prompt
    texts = [
        [
            outcome.completion.text
            for outcome in evaluate(answerer, PROBLEMS[:9], prompt, rows_per_pass=rows).outcomes
        ]
        for rows in (1, 4, 64)
    ]
    assert texts[0] == texts[1] == texts[2]


def test_each_prefix_is_read_once_however_many_passes_there_are(qwen2: BaseModel) -> None:
    prompt = new_learner(qwen2, LearnerConfig()).prompt
    answers = answers_of(qwen2)
    with mock.patch.object(Batch, "logits", autospec=True, side_effect=Batch.logits) as passes:
        evaluate(answers, PROBLEMS[:6], prompt, rows_per_pass=1)
        evaluate(answers, PROBLEMS[:6], prompt, rows_per_pass=6)
    lengths = [len(call.args[0]) for call in passes.call_args_list]
    questions = sorted(
        len(encode(qwen2, problem.question, None, False).question) for problem in PROBLEMS[:6]
    )
    head = len(encode(qwen2, PROBLEMS[0].question, None, False).head)
    assert sum(lengths[:6]) == sum(questions) + len(prompt) + head
    assert lengths[6:] == [sum(questions)]


def test_before_and_after_are_compared_in_pairs() -> None:
    before = evaluate(Pupil(PROBLEMS[:10]), PROBLEMS)
    after = evaluate(Pupil(PROBLEMS[4:30]), PROBLEMS)
    change = compare(before, after)
    assert (change.gained, change.lost) == (20, 4)
    assert change.p_value < 0.01


def test_only_the_same_problems_compare() -> None:
    before = evaluate(Pupil(PROBLEMS), PROBLEMS[:5])
    with pytest.raises(ValueError, match="same problems"):
        compare(before, evaluate(Pupil(PROBLEMS), PROBLEMS[1:6]))


def test_no_problems_are_refused() -> None:
    with pytest.raises(ValueError, match="no problems"):
        evaluate(Pupil(()), [])


def test_a_tally_of_few_says_so_with_its_interval() -> None:
    few, many = Tally(1, 2, 0), Tally(500, 1000, 0)
    assert few.accuracy == many.accuracy
    assert few.interval.high - few.interval.low > 10 * (many.interval.high - many.interval.low)
    assert isinstance(evaluate(Pupil(()), PROBLEMS[:1]), Evaluation)
