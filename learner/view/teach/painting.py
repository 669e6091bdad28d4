"""From a lesson to what the page shows of it: every picture and line, as HTML strings."""

from learner import wording
from learner.learning.signals import RECORDED, SIGNALS
from learner.view import cards, charts
from learner.view.teach.hints import hint_of
from learner.view.teach.problem_map import problem_map
from learner.view.teach.samples_chart import samples_chart
from learner.view.teach.thumb_cards import thumbs_panel
from learner.visitors.comparison import CONDITIONS
from learner.visitors.lesson import Lesson

REPAINTED = 20  # answers more that the map of the held-out set is painted anew for


def problem(lesson: Lesson) -> str:
    """The problem that is shown."""
    shown = lesson.comparison.problem
    return cards.problem_card(shown, lesson.learnt_from_shown) if shown else ""


def answers(lesson: Lesson) -> str:
    """The four answers, with a sign on the one that learning is about to change."""
    return cards.answer_grid(lesson.comparison.completions, watched(lesson))


def watched(lesson: Lesson) -> bool | None:
    """The format whose soft-prompt answer is to be watched; None for neither."""
    watching = lesson.run is not None or not lesson.learner.episodes
    return lesson.chat_template if watching else None


def live(lesson: Lesson) -> str:
    """What to watch, in two lines, where the rest is out of sight; "" when nothing is."""
    event = lesson.latest_event
    if lesson.run is None and (event is None or event.kind not in ("run", "stopped")):
        return ""
    at = CONDITIONS.index((lesson.chat_template, True))
    results, alone = lesson.results(), lesson.exam.alone(lesson.chat_template)
    return cards.live(
        lesson.comparison.completions[at],
        [(score.episodes, score.accuracy) for score in results],
        results[-1].n if results else 0,
        alone.accuracy if alone else None,
        until(lesson),
    )


def hint(lesson: Lesson) -> str:
    """What happens, what happened, or what to do now."""
    return cards.hint(*hint_of(lesson))


def thumbs(lesson: Lesson) -> str:
    """The samples that a person can rate."""
    return thumbs_panel(lesson.samples.shown, enabled=lesson.run is None)


def accuracy(lesson: Lesson) -> str:
    """Held-out accuracy over episodes, beside the model alone."""
    points = [charts.CurvePoint(score.episodes, score) for score in lesson.results()]
    if lesson.run:
        empty = "its first answers are being graded …"
    elif lesson.exam.baselines:
        empty = "train to draw the curve"
    else:
        empty = lesson.exam.error or "measuring the model alone …"
    return charts.accuracy_chart(
        points,
        lesson.exam.baselines,
        lesson.chat_template,
        until(lesson),
        empty,
        rewards(lesson),
        len(lesson.exam.problems),
    )


def until(lesson: Lesson) -> int:
    """The episodes that the axis of the accuracy reaches at least."""
    left = lesson.run.total - lesson.run.done if lesson.run else 0
    return max(80, lesson.learner.episodes + left)


def rewards(lesson: Lesson) -> list[tuple[int, float]]:
    """(episodes, share of right tries) of each step that tried, in the format learnt in."""
    return [
        (step.episodes, step.reward)
        for step in lesson.learner.history
        if step.samples
        and RECORDED[step.signal].earned
        and step.chat_template is lesson.chat_template
    ]


def families(lesson: Lesson) -> str:
    """Accuracy by family, before and after."""
    chat_template = lesson.chat_template
    alone = lesson.exam.alone(chat_template)
    problems, after = lesson.exam.problems, lesson.latest_score
    if alone and after:  # on the problems that both have been asked
        both = min(alone.n, after.n)
        alone, after = alone.first(both), after.first(both)
    return charts.family_chart(
        alone.by_family(problems) if alone else {},
        after.by_family(problems) if after and alone else {},
        chat_template,
    )


def held_out(lesson: Lesson) -> str:
    """What became of each held-out problem."""
    alone, after = lesson.exam.alone(lesson.chat_template), lesson.latest_score
    return problem_map(
        lesson.exam.problems, alone.outcomes if alone else "", after.outcomes if after else ""
    )


def held_out_changes(lesson: Lesson) -> object:
    """What the map is painted for: some answers more, not each, since it is large."""
    alone, after = lesson.exam.alone(lesson.chat_template), lesson.latest_score
    known = [score and (score.episodes, score.n // REPAINTED) for score in (alone, after)]
    return known, lesson.chat_template, lesson.run is None, lesson.exam.ready


def loss(lesson: Lesson) -> str:
    """The loss by step; in its place, where the learner tries by itself, how its tries went."""
    learner = lesson.learner
    if not SIGNALS[lesson.signal].earned:
        steps = [step for step in learner.history if RECORDED[step.signal].told]
        return charts.loss_chart([(step.episodes, step.loss) for step in steps])
    config = learner.config
    if lesson.graded is None:
        return samples_chart((), 0, config.samples_per_problem, config.episodes_per_step)
    episodes, report = lesson.graded
    return samples_chart(
        report.groups, episodes, config.samples_per_problem, config.episodes_per_step
    )


def progress(lesson: Lesson) -> str:
    """How far the run is, or how far the last one went."""
    run, event = lesson.run, lesson.latest_event
    if run is not None:
        testing = run.testing_left
        then = "then a test" if testing is None else ""
        if testing:
            then = f"then {wording.duration(testing)} of testing"
        doing = ""
        if run.examining:
            so_far = f", {run.result.n} of {run.asked} so far" if run.result else ""
            left = f" · {wording.duration(testing)} left" if testing else ""
            doing = f"testing on held-out problems{so_far}{left}"
        note = doing or run.refused
        return cards.progress(run.done, run.total, run.rate, run.seconds_left, note, then=then)
    if event is None or not event.episodes:
        return cards.progress(0, 0, None, None)
    quick = event.kind == "run" and event.rate is not None and event.rate >= 1
    speed = f" · {event.rate:.0f} a second" if quick else ""
    return cards.progress(
        0, 0, None, None, f"{wording.count(event.episodes, 'episode')} learnt{speed}"
    )
