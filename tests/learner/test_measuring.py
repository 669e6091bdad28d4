"""Measuring asks each problem behind its own soft prompt, keeps the order, and counts right."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from unittest import mock

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from arena import Grade, Problem, stream
from arena.statistics import wilson
from learner import measuring
from learner.learning.learner import LearnerConfig, new_learner
from learner.learning.worked_examples import worked_examples
from learner.measuring import (
    SHARED,
    Measurement,
    Score,
    Tally,
    answers_of,
    behind,
    letter,
    measure,
    measured,
    score_of,
    tally,
)
from learner.model.base_model import BaseModel
from learner.model.completion import Ask, Completion, complete, stream_completions
from learner.model.formatting import encode
from learner.model.forward import Batch

PROBLEMS = tuple(islice(stream(7), 40))
ONE, OTHER = torch.ones(2, 4), torch.zeros(2, 4)
letters = st.text("10-", min_size=len(PROBLEMS), max_size=len(PROBLEMS))


class Answers:
    """Answers known problems rightly, nothing behind a prompt of zeros, and else guesses wrong.

    As a service does: a state after every token, in which the first row may still be unfinished.
    """

    def __init__(self, knows: Sequence[Problem] = PROBLEMS) -> None:
        self.gold = {problem.question: problem.answer for problem in knows}
        self.asked: list[list[Ask]] = []

    def __call__(self, asks: Sequence[Ask]) -> Iterator[list[Completion]]:
        self.asked.append(list(asks))
        whole = [Completion(self.say(ask), 3, True, 0.1) for ask in asks]
        for ended in range(len(asks) + 1):
            yield [replace(c, finished=i < ended) for i, c in enumerate(whole)]

    def say(self, ask: Ask) -> str:
        if ask.prompt is not None and not ask.prompt.sum():
            return ""
        return self.gold.get(ask.question, "Nobody 987654")


def test_each_measurement_gets_its_own_outcomes_in_order() -> None:
    answers, calls = Answers(PROBLEMS[::2]), []
    measurements = [
        Measurement(PROBLEMS, True, {SHARED: ONE}, episodes=8),
        Measurement(PROBLEMS[:5], False, {SHARED: OTHER}),
        Measurement(PROBLEMS[::-1], False),
    ]
    scores = measured(answers, measurements, lambda *call: calls.append(call))
    assert scores[0].right == (True, False) * 20
    assert (scores[0].chat_template, scores[0].episodes) == (True, 8)
    assert scores[1] == score_of("-----", False)
    assert scores[2].right == (False, True) * 20
    assert calls == [(n, 85) for n in (*range(86), 85)]


def test_a_score_grows_over_the_first_problems_of_its_set() -> None:
    found = list(measure(Answers(), [Measurement(PROBLEMS, False), Measurement(PROBLEMS, True)]))
    for early in found:
        assert early[0].outcomes == "1" * early[0].n
        assert 0 <= early[0].n - early[1].n <= 1
    assert [score.n for score in found[0]] == [0, 0]
    assert [score.n for score in found[-1]] == [40, 40]


def test_who_ends_early_holds_nobody_back_and_stands_in_no_score_before_its_turn() -> None:
    done, open_ = Completion("x", 3, True, 0.1), Completion("x", 3, False, 0.1)
    states = [[open_, done, done], [open_, done, open_], [done, done, done]]
    found = measure(lambda asks: iter(states), [Measurement(PROBLEMS[:3], False)])
    assert [score.n for (score,) in found] == [0, 0, 3, 3]


def test_what_never_ends_by_itself_is_graded_where_it_stopped() -> None:
    cut = Completion(PROBLEMS[0].answer, measuring.MAX_SAMPLE_TOKENS, False, 0.1)
    short = replace(cut, tokens=5)
    measurement = Measurement(PROBLEMS[:1], False)
    (first, last) = measure(lambda asks: iter([[cut]]), [measurement])
    assert first == last and first[0].correct == 1
    (first, last) = measure(lambda asks: iter([[short]]), [measurement])
    assert (first[0].n, last[0].correct) == (0, 1)


def test_a_service_is_asked_so_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "ASKED_AT_ONCE", 15)
    answers = Answers()
    (score,) = measured(answers, [Measurement(PROBLEMS, False)])
    assert score.outcomes == "1" * 40
    assert [len(asks) for asks in answers.asked] == [15, 15, 10]


def test_what_was_written_is_told_once_as_soon_as_it_is_graded() -> None:
    done, open_ = Completion("so 7", 3, True, 0.1), Completion("so", 3, False, 0.1)
    states = [[open_, done, done], [open_, done, open_], [replace(open_, text="hm"), done, done]]
    told: list[tuple[int, int, measuring.Written]] = []
    asked = [Measurement(PROBLEMS[:2], False), Measurement(PROBLEMS[:1], False)]
    (score, _) = measured(lambda asks: iter(states), asked, keep=lambda *one: told.append(one))
    assert [(i, place) for i, place, _ in told] == [(1, 0), (0, 1), (0, 0)]
    assert [written.completion for *_, written in told] == ["so 7", "so 7", "hm"]
    assert [told[2][2].outcome, told[1][2].outcome] == list(score.outcomes)
    assert told[2][2].problem is PROBLEMS[0]


def test_whoever_stops_reading_stops_the_answering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "ASKED_AT_ONCE", 15)
    answers = Answers()
    next(measure(answers, [Measurement(PROBLEMS, False)]))
    assert len(answers.asked) == 1


def test_a_prompt_of_the_problems_family_comes_first() -> None:
    family = PROBLEMS[0].family
    asked = Measurement(PROBLEMS, False, {family: ONE, SHARED: OTHER}, (("Who?", "Ada"),))
    (score,) = measured(Answers(), [asked])
    assert list(score.right) == [problem.family == family for problem in PROBLEMS]
    ask = asked.ask(PROBLEMS[0])
    assert (ask.prompt is ONE, ask.chat_template, ask.examples) == (True, False, (("Who?", "Ada"),))


def test_a_learner_is_asked_as_it_learnt(qwen2: BaseModel) -> None:
    learner = new_learner(qwen2, LearnerConfig(chat_template=True, shots=2))
    learner = replace(learner, episodes=8)
    ask = behind(learner, PROBLEMS).ask(PROBLEMS[0])
    assert ask.prompt is learner.prompt and ask.chat_template
    assert ask.examples == worked_examples(2)
    assert not behind(learner, PROBLEMS, chat_template=False).ask(PROBLEMS[0]).chat_template
    family = PROBLEMS[0].family
    by_family = behind({family: learner, "other": replace(learner, prompt=OTHER)}, PROBLEMS)
    assert by_family.ask(PROBLEMS[0]).prompt is learner.prompt
    assert (behind(learner, PROBLEMS).episodes, by_family.episodes) == (8, 16)


def test_nothing_to_ask_is_refused() -> None:
    for nothing in ([], [Measurement((), False)]):
        with pytest.raises(ValueError, match="no problems"):
            measured(Answers(), nothing)


@given(letters, st.integers(0, 500))
def test_the_numbers_add_up(outcomes: str, episodes: int) -> None:
    score = score_of(outcomes, True, episodes)
    assert (score.correct, score.no_answer) == (outcomes.count("1"), outcomes.count("-"))
    assert (score.n, score.accuracy) == (40, outcomes.count("1") / 40)
    assert score.interval == wilson(score.correct, 40)
    assert score.right == tuple(outcome == "1" for outcome in outcomes)
    difficulties = [problem.difficulty for problem in PROBLEMS]
    for groups in (score.by_family(PROBLEMS), score.by(difficulties)):
        assert list(groups) == sorted(groups)
        for part in ("correct", "n", "no_answer"):
            assert sum(getattr(group, part) for group in groups.values()) == getattr(score, part)
    family = PROBLEMS[0].family
    members = (o for o, p in zip(outcomes, PROBLEMS, strict=True) if p.family == family)
    assert score.by_family(PROBLEMS)[family] == tally("".join(members))


@pytest.mark.parametrize("counts", [(3, 2, 0), (-1, 2, 0), (1, 2, 2), (0, 2, -1)])
def test_counts_that_cannot_be_are_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="not a score"):
        Score(*counts)


def test_a_tally_of_few_says_so_with_its_interval() -> None:
    few, many = Tally(1, 2), Tally(500, 1000)
    assert few.accuracy == many.accuracy
    assert few.interval.high - few.interval.low > 10 * (many.interval.high - many.interval.low)


def test_the_letters() -> None:
    grades = {
        "1": Grade(True, "4", "says so"),
        "0": Grade(False, "5", "says so"),
        "-": Grade(False, None, "wrote nothing"),
    }
    assert all(letter(grade) == outcome for outcome, grade in grades.items())


def test_a_service_and_a_model_of_ones_own_measure_the_same(
    base_model: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "MAX_SAMPLE_TOKENS", 6)
    learner = new_learner(base_model, LearnerConfig())
    asked = [behind(learner, PROBLEMS[:9]), Measurement(PROBLEMS[:5], False)]
    streamed = partial(stream_completions, base_model, max_new_tokens=6)
    expected = measured(streamed, asked)
    for rows in (1, 4, 64):
        assert measured(answers_of(base_model, rows), asked) == expected


def test_the_size_of_the_passes_changes_no_answer(base_model: BaseModel) -> None:
    prompt = new_learner(base_model, LearnerConfig()).prompt
    asks = [Ask(problem.question, False, prompt) for problem in PROBLEMS[:9]]
    texts = []
    with mock.patch.object(measuring, "MAX_SAMPLE_TOKENS", 6):
        for rows in (1, 4, 64):
            *_, last = answers_of(base_model, rows)(asks)
            texts.append([completion.text for completion in last])
    assert texts[0] == texts[1] == texts[2]
    assert texts[0] == [completion.text for completion in complete(base_model, asks, 6)]


def test_each_prefix_is_read_once_however_many_passes_there_are(qwen2: BaseModel) -> None:
    learner = new_learner(qwen2, LearnerConfig())
    asked = [behind(learner, PROBLEMS[:6])]
    with mock.patch.object(Batch, "logits", autospec=True, side_effect=Batch.logits) as passes:
        measured(answers_of(qwen2, rows_per_pass=1), asked)
    lengths = [len(call.args[0]) for call in passes.call_args_list]
    questions = [len(encode(qwen2, p.question, None, False).question) for p in PROBLEMS[:6]]
    head = len(encode(qwen2, PROBLEMS[0].question, None, False).head)
    assert len(lengths) == 6
    assert sum(lengths) == sum(questions) + len(learner.prompt) + head
