"""An inspection in words: a sentence that says what was found and how sure it is, and its table."""

from learner import wording
from learner.inspection.changes import Changes
from learner.inspection.likeness import BLANK, LINE, NONSENSE, Likeness, Ranking
from learner.inspection.listening import Listening
from learner.inspection.nearest import Nearest, NearestWords
from learner.inspection.size import Size, Smaller
from learner.inspection.strength import Strength
from learner.inspection.subject import Change
from learner.inspection.vectors import Effect, Vectors
from learner.inspection.whole import Part, Parts, Path
from learner.inspection.words import Words
from learner.measuring import Tally

SIGNIFICANT = 0.05


def strength_found(part: Strength) -> str:
    """Where between untrained and trained the gain comes, and what the control says."""
    end = part.scores[part.places.index(1.0)]
    control = part.control[part.control_places.index(1.0)]
    where = "It gains nothing on the way."
    if part.half is not None:
        where = f"Half of the gain is there at {part.half:.0%} of the way."
    return (
        f"{where} Untrained {_accuracy(part.scores[0])}, trained {_accuracy(end)}, and as far in "
        f"a random direction {_accuracy(control)} (n = {end.n})."
    )


def vectors_found(part: Vectors) -> str:
    """Which vector carries most, and whether any is needed."""
    first = part.order[0]
    share = part.shares[first]
    gain = part.whole.accuracy - part.none.accuracy
    carries = "No single vector carries a share that can be told from nothing."
    if share.p_value < SIGNIFICANT and share.value > 0:
        carries = (
            f"Vector {first + 1} carries most: {wording.change(share.value, share.interval)} "
            f"points of the {gain * 100:+.1f} that all of them gain."
        )
    needed = [i + 1 for i, one in enumerate(part.put_back) if _harms(one)]
    alone = [i + 1 for i, one in enumerate(part.alone) if _helps(one)]
    return (
        f"{carries} Put back one by one, {_named(needed)} missed; trained alone, "
        f"{_named(alone)} enough to gain anything (n = {part.whole.n}, Shapley values over "
        f"{part.problems_for_shares}; p-values after Holm's correction)."
    )


def likeness_found(part: Ranking) -> str:
    """What it acts like, and what the control says."""
    best, control = part.trained[0], part.untrained[0]
    tied = sum(one.first for one in part.trained) - 1
    line = any(one.kind == LINE and one.first for one in part.trained)
    words = ""
    if line and best.kind != LINE:
        words = " A line of random tokens comes as close: the line may count, and not its words."
    also = f", and so do {wording.count(tied, 'other text')} nearly" if tied else ""
    return (
        f"Of {len(part.trained)} texts it acts most like {shown(best)} ({best.kind}): "
        f"{best.divergence:.2f} nats an answer{also}. As a plain prefix that text gets "
        f"{_accuracy(best.score)}. Untrained, it acts most like {shown(control)} "
        f"(n = {part.problems})."
    ) + words


def nearest_found(part: NearestWords) -> str:
    """That the nearest words say nothing, with the numbers."""
    return (
        f"The nearest words are {_words(part.trained)}. Do not believe them: {part.unchanged} of "
        f"{len(part.trained)} are those that it began as, and put in its place they get "
        f"{_accuracy(part.as_text)}, where it gets {_accuracy(part.whole)} (n = {part.whole.n})."
    )


def size_found(part: Size) -> str:
    """How small it can be."""
    smallest = part.smallest
    if smallest is None:
        return (
            f"It takes {part.bytes:,} bytes, and of nothing smaller is it sure that less than 5 "
            f"points are lost (n = {part.whole.n})."
        )
    return (
        f"It takes {part.bytes:,} bytes; {smallest.bytes:,} would do ({made(smallest)}): "
        f"{wording.change(smallest.change.value, smallest.change.interval)} points "
        f"(n = {part.whole.n}; sure to lose less than 5)."
    )


def changes_found(part: Changes) -> str:
    """How many problems flipped, both ways."""
    return (
        f"{part.change.gained} of {part.after.n} problems became right and {part.change.lost} "
        f"became wrong ({wording.p_value(part.change.p_value)}); from one untrained prompt to "
        f"another, {part.control.gained} and {part.control.lost}."
    )


def listening_found(part: Listening) -> str:
    """How much of its attention goes to the soft prompt."""
    loudest = max(range(len(part.vectors)), key=lambda i: part.vectors[i])
    return (
        f"Before it answers, the model gives {part.trained[0]:.0%} of its attention to the soft "
        f"prompt, {part.untrained[0]:.0%} to the untrained one: "
        f"{wording.change(part.change, part.interval)} points, most of it to vector {loudest + 1} "
        f"(n = {part.problems})."
    )


def words_found(part: Words) -> str:
    """What the model says of it, and what its words are worth."""
    best, control = part.best, part.best_control
    return (
        f"Asked what it says, the model's best of {len(part.trained)} answers is “{best.text}”. "
        f"Put in its place, these words get {_accuracy(best.score)}, where it gets "
        f"{_accuracy(part.whole)}, the model alone {_accuracy(part.alone)}, and what the model "
        f"says of the untrained one {_accuracy(control.score)} (n = {part.whole.n})."
    )


def path_found(part: Path) -> str:
    """When accuracy came on the way that training took."""
    last = part.moments[-1][1]
    there = next(e for e, score in part.moments if score.accuracy >= 0.9 * last.accuracy)
    return (
        f"On the way that training took, nine tenths of the final accuracy were there after "
        f"{wording.count(there, 'episode')} (n = {last.n})."
    )


FOUND = {
    Strength: ("Strength", strength_found),
    Path: ("The way training took", path_found),
    Changes: ("What changed", changes_found),
    NearestWords: ("Nearest words, which mislead", nearest_found),
    Ranking: ("Acts like", likeness_found),
    Listening: ("Where it listens", listening_found),
    Vectors: ("Which vector matters", vectors_found),
    Size: ("How small it can be", size_found),
    Words: ("In words", words_found),
}


def found(part: Part) -> tuple[str, str]:
    """The heading of a part, and what was found."""
    heading, sentence = FOUND[type(part)]
    return heading, sentence(part)  # type: ignore[operator]


def markdown(parts: Parts, pictures: dict[str, str], about: str) -> str:
    """The report: a section for each part with its sentence, its picture and its table."""
    sections = [f"# Inside a soft prompt\n\n{about}"]
    for name, part in parts.items():
        heading, sentence = found(part)
        picture = f"![{heading}]({pictures[name]})" if name in pictures else ""
        body = "\n\n".join(text for text in (sentence, picture, _table(part)) if text)
        sections.append(f"## {heading}\n\n{body}")
    return "\n\n".join(sections) + "\n"


def made(one: Smaller) -> str:
    """How a smaller prompt was made."""
    rank = f" of rank {one.rank}" if one.rank < len(one.kept) else ""
    return f"{wording.count(len(one.kept), 'vector')}{rank} × {wording.count(one.bits, 'bit')}"


def shown(one: Likeness) -> str:
    """A candidate text in a few words."""
    if not one.tokens:
        return "nothing at all"
    if one.kind in (NONSENSE, LINE):
        return "random tokens" if one.kind == NONSENSE else "a line of random tokens"
    if examples := one.text.count("Question:"):
        blank = " left blank" if BLANK in one.text else ""
        return f"{wording.count(examples, 'worked example')}{blank}"
    text = " ".join(one.text.split())
    return f"“{text if len(text) <= 44 else text[:43] + '…'}”"


def _table(part: Part) -> str:
    rows: list[list[str]] = []
    if isinstance(part, Strength):
        rows = [["place", "accuracy"]]
        rows += [
            [f"{place:.0%}", _accuracy(score)]
            for place, score in zip(part.places, part.scores, strict=True)
        ]
        rows += [
            [f"random direction, {place:.0%}", _accuracy(score)]
            for place, score in zip(part.control_places, part.control, strict=True)
        ]
    elif isinstance(part, Path):
        rows = [["episodes", "accuracy"]]
        rows += [[str(episodes), _accuracy(score)] for episodes, score in part.moments]
    elif isinstance(part, Vectors):
        rows = [["vector", "share of the gain (Shapley)", "put back", "trained alone"]]
        for i, (share, back, alone) in enumerate(
            zip(part.shares, part.put_back, part.alone, strict=True)
        ):
            value = wording.change(share.value, share.interval)
            rows.append(
                [
                    str(i + 1),
                    f"{value}, {wording.p_value(share.p_value)}",
                    _effect(back),
                    _effect(alone),
                ]
            )
    elif isinstance(part, Ranking):
        control = {one.text: one for one in part.untrained}
        rows = [["text", "kind", "nats an answer", "as a plain prefix", "nats, untrained"]]
        for one in part.trained:
            rows.append(
                [
                    f"{shown(one)}{' *' if one.first else ''}",
                    one.kind,
                    wording.quantity(one.divergence, one.interval),
                    _accuracy(one.score),
                    f"{control[one.text].divergence:.2f}",
                ]
            )
    elif isinstance(part, NearestWords):
        rows = [["vector", "nearest words", "untrained"]]
        for i, (now, then) in enumerate(zip(part.trained, part.untrained, strict=True)):
            rows.append([str(i + 1), _cosines(now), _cosines(then)])
    elif isinstance(part, Size):
        rows = [["made so", "bytes", "accuracy", "change", "sure to lose less than 5 points"]]
        for smaller in (*part.bits, *part.rank, *part.vectors, *part.both):
            rows.append(
                [
                    made(smaller),
                    f"{smaller.bytes:,}",
                    _accuracy(smaller.score),
                    _change(smaller.change),
                    "yes" if smaller.loses_nothing else "no",
                ]
            )
    elif isinstance(part, Words):
        rows = [["of", "the model says", "as a plain prefix"]]
        for name, group in (("trained", part.trained), ("untrained", part.untrained)):
            rows += [[name, one.text, _accuracy(one.score)] for one in group]
    elif isinstance(part, Changes):
        rows = [["problems", "became right", "became wrong", "n"]]
        groups = {**part.families, **{f"difficulty {k}": v for k, v in part.difficulties.items()}}
        rows += [[name, *map(str, counts)] for name, counts in groups.items()]
    else:
        heads = range(1, len(part.heads[0]) + 1)
        rows = [["layer", *(f"head {head}" for head in heads)]]
        for layer, shares in enumerate(part.heads):
            rows.append([str(layer + 1), *(f"{share * 100:+.1f}" for share in shares)])
    return wording.table(rows)


def _accuracy(score: Tally) -> str:
    return wording.accuracy(score.accuracy, score.interval)


def _change(change: Change) -> str:
    return wording.change(change.value, change.interval)


def _effect(one: Effect) -> str:
    return f"{_accuracy(one.score)}, {wording.p_value(one.p_value)}"


def _harms(one: Effect) -> bool:
    return one.p_value < SIGNIFICANT and one.change.value < 0


def _helps(one: Effect) -> bool:
    return one.p_value < SIGNIFICANT and one.change.value > 0


def _named(numbers: list[int]) -> str:
    if not numbers:
        return "none is"
    if len(numbers) == 1:
        return f"vector {numbers[0]} is"
    return f"vectors {', '.join(map(str, numbers[:-1]))} and {numbers[-1]} are"


def _words(words: Nearest) -> str:
    return ", ".join(f"“{own[0].text}”" for own in words)


def _cosines(own: tuple) -> str:
    return ", ".join(f"“{word.text}” {word.cosine:.2f}" for word in own)
