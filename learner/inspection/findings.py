"""An inspection in words: a sentence that says what was found and how sure it is, and its table."""

from collections.abc import Callable
from typing import NamedTuple

from arena.statistics import SIGNIFICANT
from learner import wording
from learner.inspection.changes import Changes
from learner.inspection.likeness import (
    BLANK,
    DOUBTS,
    EXAMPLES,
    LINE,
    NONSENSE,
    VOUCHES,
    Likeness,
    Ranking,
)
from learner.inspection.listening import Listening
from learner.inspection.nearest import Nearest, NearestWords
from learner.inspection.size import Size, Smaller
from learner.inspection.strength import Path, Strength
from learner.inspection.subject import change
from learner.inspection.vectors import Effect, Vectors
from learner.inspection.whole import Part, Parts
from learner.inspection.words import Words
from learner.measuring import Tally

Rows = list[list[str]]


class Found(NamedTuple):
    """What a part found: the ``short`` of it in plain words, and the ``evidence`` with numbers."""

    heading: str
    short: str
    evidence: str

    @property
    def sentence(self) -> str:
        """All of it."""
        return f"{self.short} {self.evidence}"


class About(NamedTuple):
    """What is said of a kind of part."""

    heading: str
    found: Callable[..., tuple[str, str]]  # the short of it, and the evidence
    rows: Callable[..., Rows]  # of its table, the heading first


def strength_found(part: Strength) -> tuple[str, str]:
    """Where between untrained and trained the gain comes, and what the control says."""
    start, end = part.scores[0], part.scores[part.places.index(1.0)]
    control = part.control[part.control_places.index(1.0)]
    if not change(start, end).gains:
        short = f"In {wording.count(end.n, 'problem')} no gain can be told from chance."
    else:
        way = "What it learnt makes the answers better"
        if part.half is not None:
            way = f"Half of the gain is there at {wording.percent(part.half)} of the way"
        also = "brings some too" if change(start, control).gains else "brings none that shows"
        short = f"{way}; a random way of the same length {also}."
    return short, (
        f"Untrained {_accuracy(start)}, trained {_accuracy(end)}, and as far in a random direction "
        f"{_accuracy(control)} (n = {end.n})."
    )


def path_found(part: Path) -> tuple[str, str]:
    """When accuracy came on the way that training took."""
    first, last = part.moments[0][1], part.moments[-1][1]
    if not change(first, last).gains:
        short = "At no moment can a gain be told from chance."
    else:
        nearly = first.accuracy + 0.9 * (last.accuracy - first.accuracy)
        there = next(e for e, score in part.moments if score.accuracy >= nearly)
        short = f"Nearly all of it was learnt in the first {wording.count(there, 'episode')}."
    return short, (
        f"From {_accuracy(first)} to {_accuracy(last)} at {len(part.moments)} moments of training "
        f"(n = {last.n})."
    )


def vectors_found(part: Vectors) -> tuple[str, str]:
    """Which vector carries most, and whether any is needed."""
    first = part.order[0]
    share = part.shares[first]
    gain = sum(one.value for one in part.shares)  # over the problems that the shares are of
    told = [i + 1 for i, one in enumerate(part.shares) if one.carries]
    if not told:
        short = "No single vector's share can be told from chance."
    elif share.carries and share.value > gain / 2:
        short = f"Vector {first + 1} does most of the work."
    elif len(told) == len(part.shares):
        short = f"All {len(told)} vectors share the work."
    elif len(told) == 1:
        short = f"{_listed(told)} does some of the work; whether others do cannot be told."
    else:
        short = f"{_listed(told)} share the work; whether others do cannot be told."
    needed = [i + 1 for i, one in enumerate(part.put_back) if one.harms]
    alone = [i + 1 for i, one in enumerate(part.alone) if one.helps]
    return short, (
        f"Vector {first + 1} carries {wording.change(share.value, share.interval)} points of the "
        f"{gain * 100:+.1f} that all of them gain. Put back one by one, {_named(needed, part)} "
        f"missed; trained alone, {_named(alone, part)} enough to gain something "
        f"(n = {part.whole.n}, Shapley values over {part.problems_for_shares}; p-values after "
        "Holm's correction)."
    )


def likeness_found(part: Ranking) -> tuple[str, str]:
    """What it acts like, and what the control says."""
    best, control = part.trained[0], part.untrained[0]
    nothing = next(one for one in part.trained if not one.tokens)
    tied = sum(one.first for one in part.trained) - 1
    line = any(one.kind == LINE and one.first for one in part.trained)
    if nothing.first:
        short = "None of these texts is surely closer to it than no text at all."
    elif line and best.kind != LINE:
        short = (
            f"It acts most like {shown(best)}, but a line of random words comes as close: the line "
            "counts, not what it says."
        )
    else:
        kind = (
            "" if best.kind == EXAMPLES else f", which {best.kind}" if best.kind == VOUCHES else ""
        )
        also = f"; {wording.count(tied, 'other text')} may be as close" if tied else ""
        short = f"It acts most like {shown(best)}{kind}{also}."
    return short, (
        f"Of {len(part.trained)} texts it is the closest: its answers are "
        f"{wording.quantity(best.divergence, best.interval)} nats away (0: the same answers), "
        f"those without any text {nothing.divergence:.2f}. In its place that text gets "
        f"{_accuracy(best.score)}. Of the untrained soft prompt the closest is {shown(control)} "
        f"(n = {part.problems})."
    )


def nearest_found(part: NearestWords) -> tuple[str, str]:
    """That the nearest words say nothing, with the numbers."""
    return "Do not believe these words: they are only what its numbers lie nearest to.", (
        f"{_words(part.trained)}: {part.unchanged} of {len(part.trained)} are those that it began "
        f"as. Put in its place they get {_accuracy(part.as_text)}, the untrained one's words "
        f"{_accuracy(part.untrained_as_text)}, and it itself {_accuracy(part.whole)} "
        f"(n = {part.whole.n})."
    )


def size_found(part: Size) -> tuple[str, str]:
    """How small it can be."""
    smallest = part.smallest
    if smallest is None:
        problems = wording.count(part.whole.n, "problem")
        return f"Whether less of it would do as well cannot be told from {problems}.", (
            f"It takes {part.bytes:,} bytes; whatever is smaller may lose 5 points or more "
            f"(n = {part.whole.n})."
        )
    return f"{smallest.bytes:,} of its {part.bytes:,} bytes would do as well.", (
        f"{made(smallest)}: {wording.change(smallest.change.value, smallest.change.interval)} "
        f"points (n = {part.whole.n}; sure to lose less than 5)."
    )


def changes_found(part: Changes) -> tuple[str, str]:
    """How many problems flipped, both ways."""
    gained, lost, n = part.change.gained, part.change.lost, part.after.n
    short = f"{gained} of {n} problems became right, and {lost} became wrong."
    if part.change.p_value >= SIGNIFICANT:
        short += " That could be chance."
    return short, (
        f"{wording.p_value(part.change.p_value)}; from one untrained prompt to another "
        f"{part.control.gained} and {part.control.lost} (n = {n})."
    )


def listening_found(part: Listening) -> tuple[str, str]:
    """How much of its attention goes to the soft prompt."""
    loudest = max(range(len(part.vectors)), key=lambda i: part.vectors[i])
    trained, untrained = part.trained[0], part.untrained[0]
    short, to = "The model listens to it as much as before training, as far as can be told.", ""
    if part.p_value < SIGNIFICANT:
        to = f", most of it to vector {loudest + 1}" if part.change > 0 else ""
        before, now = wording.percent(untrained), wording.percent(trained)
        short = f"The model gives {now} of its attention to it, {before} before training."
    return f"{short} Only a hint: any two prompts differ so.", (
        f"Where the answer begins: {wording.change(part.change, part.interval)} points against the "
        f"untrained prompt{to} (n = {part.problems})."
    )


def words_found(part: Words) -> tuple[str, str]:
    """What the model says of it, and what its words are worth."""
    best, control = part.best, part.best_control
    short = "Nothing shows that the model can say what it learnt."
    if change(control.score, best.score).gains:
        short = "The model's own words for it do some of its work."
    return short, (
        f"The best of {len(part.trained)} descriptions, “{_clipped(best.text)}”, gets "
        f"{_accuracy(best.score)} in its place, the best of the untrained one "
        f"{_accuracy(control.score)}, the model alone {_accuracy(part.alone)}, and it itself "
        f"{_accuracy(part.whole)} (n = {part.whole.n})."
    )


def _strength_rows(part: Strength) -> Rows:
    rows = [["strength", "accuracy"]]
    for name, places, scores in (
        ("", part.places, part.scores),
        ("random direction, ", part.control_places, part.control),
    ):
        rows += [
            [f"{name}{place:.0%}", _accuracy(score)]
            for place, score in zip(places, scores, strict=True)
        ]
    return rows


def _path_rows(part: Path) -> Rows:
    rows = [[str(episodes), _accuracy(score)] for episodes, score in part.moments]
    return [["episodes", "accuracy"], *rows]


def _vectors_rows(part: Vectors) -> Rows:
    rows = [["vector", "share of the gain (Shapley)", "all but it trained", "it alone trained"]]
    for i, share in enumerate(part.shares):
        value = wording.change(share.value, share.interval)
        shown = f"{value}, {wording.p_value(share.p_value)}"
        rows.append([str(i + 1), shown, _effect(part.put_back[i]), _effect(part.alone[i])])
    return rows


def _likeness_rows(part: Ranking) -> Rows:
    control = {one.text: one for one in part.untrained}
    name = "text (* may be the closest)"
    rows = [
        [name, "kind", "nats from its answers", "accuracy in its place", "from the untrained's"]
    ]
    for one in part.trained:
        away = wording.quantity(one.divergence, one.interval)
        name = f"{shown(one, 200)}{' *' if one.first else ''}"
        away_untrained = f"{control[one.text].divergence:.2f}"
        rows.append([name, one.kind, away, _accuracy(one.score), away_untrained])
    return rows


def _nearest_rows(part: NearestWords) -> Rows:
    rows = [["vector", "nearest words", "untrained"]]
    for i, (now, then) in enumerate(zip(part.trained, part.untrained, strict=True)):
        rows.append([str(i + 1), _cosines(now), _cosines(then)])
    return rows


def _size_rows(part: Size) -> Rows:
    rows = [["made so", "bytes", "accuracy", "change", "sure to lose less than 5 points"]]
    for one in (*part.bits, *part.rank, *part.vectors, *part.both):
        lost = wording.change(one.change.value, one.change.interval)
        sure = "yes" if one.loses_nothing else "no"
        if one is part.bits[0]:
            lost, sure = "none", "it is the whole"
        rows.append([made(one), f"{one.bytes:,}", _accuracy(one.score), lost, sure])
    return rows


def _changes_rows(part: Changes) -> Rows:
    groups = {**part.families, **{f"difficulty {k}": v for k, v in part.difficulties.items()}}
    rows = [[name, *map(str, counts)] for name, counts in groups.items()]
    return [["problems", "became right", "became wrong", "n"], *rows]


def _listening_rows(part: Listening) -> Rows:
    rows = [["layer", *(f"head {head + 1}" for head in range(len(part.heads[0])))]]
    for layer, shares in enumerate(part.heads):
        rows.append([str(layer + 1), *(f"{share * 100:+.1f}" for share in shares)])
    return rows


def _words_rows(part: Words) -> Rows:
    rows = [["of", "the model says", "accuracy in its place"]]
    for name, group in (("trained", part.trained), ("untrained", part.untrained)):
        rows += [[name, one.text, _accuracy(one.score)] for one in group]
    return rows


ABOUT: dict[type, About] = {
    Strength: About("How much of it does it take?", strength_found, _strength_rows),
    Path: About("The way training took", path_found, _path_rows),
    Changes: About("What changed in the answers?", changes_found, _changes_rows),
    NearestWords: About("Nearest words, which mislead", nearest_found, _nearest_rows),
    Ranking: About("What does it act like?", likeness_found, _likeness_rows),
    Listening: About("Where does it listen?", listening_found, _listening_rows),
    Vectors: About("Which vector matters?", vectors_found, _vectors_rows),
    Size: About("How small can it be?", size_found, _size_rows),
    Words: About("What does the model say of it?", words_found, _words_rows),
}


def found(part: Part) -> Found:
    """The heading of a part, and what was found."""
    about = ABOUT[type(part)]
    return Found(about.heading, *about.found(part))


def markdown(parts: Parts, pictures: dict[str, str], about: str) -> str:
    """The report: a section for each part with its sentence, its picture and its table."""
    sections = [f"# Inside a soft prompt\n\n{about}"]
    for name, part in parts.items():
        heading, short, evidence = found(part)
        picture = f"![{heading}]({pictures[name]})" if name in pictures else ""
        said = f"**{short}** {evidence}"
        table = wording.table(ABOUT[type(part)].rows(part))
        body = "\n\n".join(text for text in (said, picture, table) if text)
        sections.append(f"## {heading}\n\n{body}")
    return "\n\n".join(sections) + "\n"


def made(one: Smaller) -> str:
    """How a smaller prompt was made."""
    rank = f" of rank {one.rank}" if one.rank < len(one.kept) else ""
    return f"{wording.count(len(one.kept), 'vector')}{rank} × {wording.count(one.bits, 'bit')}"


def shown(one: Likeness, most: int = 44) -> str:
    """A candidate text in a few words, or so many characters."""
    if not one.tokens:
        return "nothing at all"
    if one.kind in (NONSENSE, LINE):
        return "random tokens" if one.kind == NONSENSE else "a line of random tokens"
    if one.kind in (EXAMPLES, DOUBTS) and (examples := one.text.count("Question:")):
        blank = " left blank" if BLANK in one.text else ""
        return f"{wording.count(examples, 'worked example')}{blank}"
    return f"“{_clipped(one.text, most)}”"


def _accuracy(score: Tally) -> str:
    return wording.accuracy(score.accuracy, score.interval)


def _effect(one: Effect) -> str:
    return f"{_accuracy(one.score)}, {wording.p_value(one.p_value)}"


def _named(numbers: list[int], part: Vectors) -> str:
    if not numbers:
        return "none is"
    if len(numbers) == len(part.shares) > 1:
        return "each of them is"
    return f"{_listed(numbers).lower()} {'is' if len(numbers) == 1 else 'are'}"


def _listed(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return f"Vector {numbers[0]}"
    return f"Vectors {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"


def _clipped(text: str, most: int = 44) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def printable(token: str) -> str:
    """A token's text as it can be read: of what no letter shows, its code."""
    if token.strip() and token.isprintable():
        return token.strip()
    return token.encode("unicode_escape").decode().replace(" ", "␣") or "(nothing)"


def _words(words: Nearest) -> str:
    return ", ".join(f"“{printable(own[0].text)}”" for own in words)


def _cosines(own: tuple) -> str:
    return ", ".join(f"“{printable(word.text)}” {word.cosine:.2f}" for word in own)
