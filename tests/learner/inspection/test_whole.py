import io
import json
from dataclasses import replace
from functools import partial
from typing import NoReturn

import pytest
import torch
from PIL import Image

from arena import held_out
from arena.statistics import Interval
from learner.inspection.findings import found, markdown, shown
from learner.inspection.likeness import YOURS
from learner.inspection.looking import OnModel
from learner.inspection.pictures import pictures
from learner.inspection.record import as_record
from learner.inspection.strength import Path
from learner.inspection.subject import Subject
from learner.inspection.vectors import Share, Vectors
from learner.inspection.whole import NAMES, Material, Parts, inspect, material_of, remembering
from learner.learning.learner import LearnerConfig, new_learner
from learner.measuring import Answers, Score, score_of
from learner.model.base_model import BaseModel
from learner.model.completion import Ask, Completion
from learner.visitors.moments import Moment


@pytest.fixture(scope="module")
def parts(answers: Answers, on_model: OnModel, subjects: list[Subject]) -> Parts:
    """The inspection of a prompt cut to three vectors, which has few subsets."""
    whole, other = subjects[1], subjects[2]
    subject = Subject(whole.trained[:3], whole.untrained[:3])
    path = [Moment(0, subject.untrained), Moment(80, subject.trained)]
    asked = held_out(8)
    return dict(
        inspect(
            Material(answers, on_model, subject, other.untrained[:3], asked, path, ["My key"], True)
        )
    )


def test_every_part_is_there_in_order(parts: Parts) -> None:
    assert tuple(parts) == NAMES


def test_every_part_says_what_it_found_and_over_how_many(parts: Parts) -> None:
    for part in parts.values():
        one = found(part)
        assert one.heading and one.short.endswith((".", "?")) and one.evidence.endswith(".")
        assert "n = " in one.evidence


def test_what_cannot_be_told_from_so_few_is_not_told(parts: Parts) -> None:
    less = replace(parts["listening"], change=-0.006, p_value=0.1)
    assert "as much as before" in found(less).short and "vector" not in found(less).evidence
    assert "cannot be told from 8 problems" in found(replace(parts["size"], smallest=None)).short


@pytest.mark.parametrize(
    ("shares", "p_values", "said"),
    [
        ((5, 5, 5), (0.2, 0.2, 0.2), "No single vector's share can be told from chance."),
        ((20, 5, 5), (0.2, 0.01, 1), "Vector 2 does some of the work; whether others do cannot"),
        ((20, 5, 5), (0.01, 0.2, 1), "Vector 1 does most of the work."),
        ((5, 9, 12), (0.2, 0.01, 0.01), "Vectors 2 and 3 share the work; whether others do cannot"),
        ((8, 9, 10), (0.01, 0.01, 0.01), "All 3 vectors share the work."),
    ],
)
def test_it_says_which_vectors_do_the_work(parts: Parts, shares, p_values, said) -> None:
    part = parts["vectors"]
    assert isinstance(part, Vectors)
    known = tuple(
        Share(value / 100, Interval(0, 1), p) for value, p in zip(shares, p_values, strict=True)
    )
    none, whole = Score(0, 100), Score(30, 100)
    short = found(replace(part, none=none, whole=whole, shares=known)).short
    assert short.startswith(said)


@pytest.mark.parametrize(
    ("right", "said"),
    [
        ((60, 66, 66), "Nearly all of it was learnt in the first 40 episodes."),
        ((60, 61, 75), "Nearly all of it was learnt in the first 80 episodes."),
    ],
)
def test_nearly_all_of_it_is_of_what_was_gained(right: tuple[int, ...], said: str) -> None:
    scores = [score_of("1" * number + "0" * (100 - number), False) for number in right]
    moments = tuple(zip((0, 40, 80), scores, strict=True))
    assert found(Path(moments)).short == said


def test_a_vector_carries_its_part_of_what_all_of_them_carry(parts: Parts) -> None:
    part = parts["vectors"]
    assert isinstance(part, Vectors)
    known = tuple(Share(value, Interval(0, 1), 0.01) for value in (0.25, 0.1, 0.05))
    evidence = found(replace(part, whole=Score(45, 100), none=Score(0, 100), shares=known)).evidence
    assert "of the +40.0 that all of them gain" in evidence


def test_a_visitors_own_text_is_shown_as_it_is(parts: Parts) -> None:
    (own,) = (one for one in parts["likeness"].trained if one.kind == YOURS)
    assert shown(replace(own, text="Question: which key?")) == "“Question: which key?”"


@pytest.mark.parametrize("initialiser", ["vocabulary", "text"])
@pytest.mark.parametrize("seed", [0, 2**64 - 1])
def test_the_other_untrained_prompt_is_another(
    pocket: BaseModel, initialiser: str, seed: int
) -> None:
    begin = partial(new_learner, pocket)
    config = LearnerConfig(initialiser=initialiser, seed=seed)
    material = material_of(begin(config), begin, pocket, *([None] * 2), problems=())
    assert not torch.equal(material.other_untrained, material.subject.untrained)


def test_the_record_is_json_with_n_and_interval(parts: Parts) -> None:
    record = json.loads(json.dumps(as_record(parts), allow_nan=False))
    assert set(record) == set(NAMES)
    score = record["strength"]["scores"][0]
    assert score["n"] == 8 and score["interval"][0] <= score["accuracy"] <= score["interval"][1]
    whole, half, *_ = record["size"]["bits"]
    assert whole["loses_nothing"] is True
    assert half["loses_nothing"] is False  # of 8 problems
    assert any(one["kind"] == "your text" for one in record["likeness"]["trained"])


def test_the_report_has_every_section_and_picture(parts: Parts) -> None:
    drawn = pictures(parts)
    text = markdown(parts, {name: f"{name}.png" for name in drawn}, "About it.")
    assert text.count("\n## ") == len(NAMES)
    assert "](vectors.png)" in text
    assert "2 worked examples left blank" in text
    for picture in drawn.values():
        assert Image.open(io.BytesIO(picture)).width > 300


@pytest.mark.parametrize(
    ("problems", "text", "why"),
    [(1, "My key", "at least 2 problems, not 1"), (2, "é" * 300, "text is too long")],
)
def test_what_cannot_be_is_refused_before_anything_is_asked(
    on_model: OnModel, subjects: list[Subject], problems: int, text: str, why: str
) -> None:
    def answers(_: object) -> NoReturn:
        raise AssertionError

    subject = subjects[0]
    asked = held_out(problems)
    material = Material(answers, on_model, subject, subject.untrained, asked, own_texts=[text])
    with pytest.raises(ValueError, match=why):
        next(inspect(material))


def test_what_was_asked_once_is_not_asked_again() -> None:
    asked: list[Ask] = []

    def answers(asks):
        asked.extend(asks)
        yield [Completion("", 0, False, 0.0) for _ in asks]
        yield [Completion(f"{len(asked)} {one.question}", 1, True, 0.0) for one in asks]

    ask, prompt = remembering(answers), torch.zeros(1, 2)
    first, same = Ask("a", False, prompt), Ask("a", False, prompt.clone())
    texts = [[one.text for one in completions] for completions in ask([first, same])]
    assert (texts[0], texts[-1]) == (["", ""], ["1 a", "1 a"])
    *_, last = ask([Ask("a", False, prompt + 1), same, Ask("b", False, prompt), Ask("a", False)])
    assert [one.text for one in last] == ["4 a", "1 a", "4 b", "4 a"]
    *_, last = ask([same])
    assert [one.text for one in last] == ["1 a"]
    assert len(asked) == 4
