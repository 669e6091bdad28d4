"""How far each method can be believed: ``python -m tests.learner.inspection``.

Each is put five times to where the truth is known, and five times to its control, on the embedded
model: five trained seeds, and five headings planted among meaningless tokens. Prints how often it
found the truth, and how often the control fooled it, as a Markdown table.
"""

import argparse
from collections.abc import Sequence

from arena import held_out
from arena.statistics import SIGNIFICANT
from learner import wording
from learner.inspection.changes import changes
from learner.inspection.likeness import EXAMPLES, LINE, Likeness, candidates, likeness
from learner.inspection.listening import listening
from learner.inspection.looking import OnModel
from learner.inspection.nearest import nearest_words
from learner.inspection.size import size
from learner.inspection.strength import strength
from learner.inspection.subject import Subject, change
from learner.inspection.vectors import Share, vectors
from learner.inspection.words import words
from learner.measuring import answers_of
from learner.model.base_model import BaseModel
from learner.model.loading import load_base_model
from learner.pocket.corpus import HEADINGS
from tests.learner.inspection.known import SEEDS, heading_places, meaningless, planted, taught

FEW = 10  # of which nothing small may be claimed
Verdict = tuple[bool, bool]
"""Whether it found the truth, and whether the control fooled it."""


def trials(base_model: BaseModel, problems: int) -> dict[str, list[Verdict]]:
    """What each method found in each of the five."""
    answers, asked = answers_of(base_model), held_out(problems)
    on_model: OnModel = lambda work: work(base_model)  # noqa: E731 - a type of its own
    subjects = taught(base_model)
    others = [subject.untrained for subject in subjects[1:] + subjects[:1]]
    listed = candidates(base_model, subjects[0].vectors)
    hidden = [planted(base_model, seed) for seed in SEEDS]
    places = [heading_places(base_model, seed) for seed in SEEDS]
    nothing = [meaningless(base_model, seed) for seed in SEEDS]
    shares = [vectors(answers, subject, asked, problems) for subject in hidden]
    no_shares = [vectors(answers, subject, asked, problems) for subject in nothing]
    found: dict[str, list[Verdict]] = {}

    lines = [strength(answers, one, asked, (0.0, 1.0)) for one in subjects]
    found["strength: trained is better than untrained"] = [
        (change(one.scores[0], one.scores[1]).gains, change(one.scores[0], far).gains)
        for one, far in ((one, one.control[one.control_places.index(1.0)]) for one in lines)
    ]
    found[
        "which vector matters: the planted heading has four fifths of the gain, and the first"
    ] = [
        (
            sum(own.shares[i].value for i in truth) > 0.8 * _gain(own.shares)
            and own.order[0] in truth,
            any(share.p_value < SIGNIFICANT for share in none.shares),
        )
        for own, none, truth in zip(shares, no_shares, places, strict=True)
    ]
    found["– one vector put back: one of the heading's is missed"] = [
        (any(own.put_back[i].harms for i in truth), any(one.harms for one in none.put_back))
        for own, none, truth in zip(shares, no_shares, places, strict=True)
    ]
    ranks = [likeness(answers, on_model, one, listed, asked, FEW) for one in subjects]
    found["acts like: what vouches is the first of the texts with words"] = [
        (_vouches(one.trained), _vouches(one.untrained)) for one in ranks
    ]
    found["– the same beside another control, a line of random tokens"] = [
        (_vouches(one.trained), any(text.kind == LINE and text.first for text in one.trained))
        for one in ranks
    ]
    found["attention: the loudest vector is one of the heading's"] = [
        (
            _loudest(listening(on_model, own, asked).vectors) in truth,
            listening(on_model, Subject(other, one.untrained), asked).p_value < SIGNIFICANT,
        )
        for own, truth, one, other in zip(hidden, places, subjects, others, strict=True)
    ]
    found["how small: what is kept holds the heading's line break"] = [
        (
            (least := size(answers, own, one.order, asked).smallest) is not None
            and max(truth) in least.kept,
            size(answers, own, one.order, asked[:FEW]).smallest is not None,
        )
        for own, one, truth in zip(hidden, shares, places, strict=True)
    ]
    texts = [nearest_words(answers, on_model, one, asked) for one in subjects]
    found["nearest words: put in its place they do half of what it does"] = [
        (
            2 * one.as_text.correct >= one.whole.correct,
            min(own[0].cosine for own in one.untrained) > 0.99,
        )
        for one in texts
    ]
    flipped = [
        changes(answers, on_model, one, other, asked)
        for one, other in zip(subjects, others, strict=True)
    ]
    found["what changed: more became right than wrong"] = [
        (one.change.gains, one.control.p_value < SIGNIFICANT) for one in flipped
    ]
    said = [words(answers, on_model, one, asked) for one in subjects]
    found["in words: they do better than what is said of an untrained prompt"] = [
        (
            change(one.best_control.score, one.best.score).gains,
            change(one.alone, one.best_control.score).gains,
        )
        for one in said
    ]
    return found


def _gain(shares: Sequence[Share]) -> float:
    return sum(share.value for share in shares)


def _loudest(shares: Sequence[float]) -> int:
    return max(range(len(shares)), key=lambda i: shares[i])


def _vouches(ranking: Sequence[Likeness]) -> bool:
    best = next(one for one in ranking if one.kind != LINE)
    return best.kind == EXAMPLES or best.text in {f"{heading}\n" for heading in HEADINGS}


def main() -> None:
    """Run all of it, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=60, help="held-out problems each (60)")
    options = parser.parse_args()
    rows = [["method", f"found the truth, of {len(SEEDS)}", "fooled by its control"]]
    for name, verdicts in trials(load_base_model(dtype="float32"), options.problems).items():
        rows.append([name, *(str(sum(one[i] for one in verdicts)) for i in (0, 1))])
    print(wording.table(rows))


if __name__ == "__main__":
    main()
