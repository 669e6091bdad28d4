"""Many soft prompts on many problems, in the same passes, each problem behind its own prompt."""

import torch

from arena import held_out
from learner.experiments.lessons import SHARED
from learner.experiments.measuring import Sitting, sit
from learner.model.completion import Completion

PROBLEMS = tuple(held_out(12))
ONE, OTHER = torch.ones(2, 4), torch.zeros(2, 4)


class Answers:
    """Answers rightly behind a prompt of ones, wrongly behind zeros, and not at all without."""

    def __init__(self):
        self.gold = {problem.question: problem.answer for problem in PROBLEMS}
        self.batches = []

    def __call__(self, asks):
        self.batches.append(list(asks))
        return [Completion(self.say(ask), 1, True, 0.0) for ask in asks]

    def say(self, ask):
        if ask.prompt is None:
            return ""
        return self.gold[ask.question] if ask.prompt.sum() else "Nobody 987654"


def test_each_sitting_gets_its_own_outcomes_in_order():
    answers, calls = Answers(), []
    sittings = [
        Sitting(PROBLEMS, True, {SHARED: ONE}),
        Sitting(PROBLEMS[:5], False, {}),
        Sitting(PROBLEMS[::-1], False, {SHARED: OTHER}),
    ]
    outcomes = sit(answers, sittings, lambda *call: calls.append(call), rows_per_pass=10)
    assert outcomes[:2] == ["1" * 12, "-" * 5]
    assert len(outcomes[2]) == 12
    assert "1" not in outcomes[2]
    assert [len(batch) for batch in answers.batches] == [10, 10, 9]
    assert calls == [(10, 29), (20, 29), (29, 29)]
    lengths = [len(ask.question) for batch in answers.batches for ask in batch]
    assert lengths == sorted(lengths)


def test_a_prompt_of_the_problems_family_comes_first():
    family = PROBLEMS[0].family
    sitting = Sitting(PROBLEMS, False, {family: ONE, SHARED: OTHER}, (("Who?", "Ada"),))
    (outcomes,) = sit(Answers(), [sitting])
    assert [letter == "1" for letter in outcomes] == [p.family == family for p in PROBLEMS]
    ask = sitting.ask(PROBLEMS[0])
    assert (ask.prompt is ONE, ask.chat_template, ask.examples) == (True, False, (("Who?", "Ada"),))


def test_nothing_to_answer_is_no_pass():
    answers = Answers()
    assert sit(answers, []) == []
    assert answers.batches == []
