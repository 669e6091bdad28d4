"""The line that says what just happened in a lesson, or what to do now."""

from arena.statistics import SIGNIFICANT
from learner import wording
from learner.learning.signals import SIGNALS
from learner.learning.step_report import StepReport
from learner.measuring import Score
from learner.view import charts
from learner.visitors.exam import Exam
from learner.visitors.lesson import Lesson
from learner.visitors.teaching import Event
from learner.wording import small_percent

_MEASURE = "**Measure**, under Snapshots"  # a fold, which may be closed


def hint_of(lesson: Lesson) -> tuple[str, str]:
    """What to say, ``**bold**`` marking controls, and its kind: next, working or done."""
    if lesson.run is not None:
        if not lesson.run.total:
            return (
                "Measuring it as it is: the more answers, the surer the score.",
                "working",
            )
        if lesson.run.examining:
            learnt = "All learnt. " if lesson.run.done == lesson.run.total else ""
            return f"{learnt}Now it answers problems that it has never seen.", "working"
        what = charts.FORMAT_WORDS[lesson.chat_template]
        if not SIGNALS[lesson.signal].told:
            return f"Trying {what}, and told only right or wrong. Watch the ✓ grow.", "working"
        return f"Learning {what}. Watch the ☞ answer, and the curve rise.", "working"
    event = lesson.latest_event
    if event is not None and event.kind in _CHOSEN:
        return _CHOSEN[event.kind](lesson), "next"
    if event is not None:
        words = told(event, lesson.learner.episodes, lesson.exam)
        unmeasured = event.kind == "one" and lesson.score is None
        return words + (_unmeasured(lesson) if unmeasured else ""), "done"
    if not lesson.learner.episodes:
        return "Press **Train** and watch the ☞ answer change.", "next"
    return "Try a **New problem**: neither the model nor your soft prompt has seen it.", "next"


def _drawn(lesson: Lesson) -> str:
    """After another problem was drawn."""
    if not lesson.learner.episodes:
        return "Another one. Press **Train** and watch the ☞ answer change."
    return (
        "Nobody has learnt from this one: compare the two rows. **Train on this problem** shows a "
        "single step."
    )


def _own(lesson: Lesson) -> str:
    """After a question of the visitor's own."""
    problem = lesson.comparison.problem
    if problem is None or not problem.answer:
        return (
            "Nobody said what is right, so nothing is graded. Type its answer to teach it, or "
            "**Show four tries** and mark them by thumbs."
        )
    return "**Train on this problem** teaches it just this; a few times over, and it sticks."


def _scored(lesson: Lesson) -> str:
    """After one of the held-out set was pressed."""
    return (
        "One of the problems that score it, so nothing is ever learnt from this one. **New "
        "problem** draws one to teach."
    )


def _format(lesson: Lesson) -> str:
    """After the format was changed."""
    what = charts.FORMAT_WORDS[lesson.chat_template]
    if not lesson.learner.episodes:
        return f"From now on it learns {what}; the ☞ answer is the one to watch."
    known = "" if lesson.score else f" What it knows there is not measured: {_MEASURE}."
    return f"From now on it learns, and is scored, {what}.{known}"


def _signal(lesson: Lesson) -> str:
    """After it was chosen what the learner is told."""
    return {
        "answer": "From now on each problem comes with its answer.",
        "reward": "From now on it tries by itself, and is told only which tries were right.",
        "mix": "From now on it is told the answer, and which of its own tries were right.",
    }[lesson.signal]


def _cut(lesson: Lesson) -> str:
    """After a restart of the app in the middle of a run."""
    event = lesson.latest_event
    assert event is not None, "it is what is told of"
    learnt = wording.count(event.episodes, "episode")
    if event.left > 0:
        return (
            f"The app was restarted in the middle of your run: {learnt} of "
            f"{event.episodes + event.left:,} were learnt, and are kept. **Go on** does the rest."
        )
    return (
        f"The app was restarted while it measured your run: all {learnt} are kept. **Go on** "
        "measures them."
    )


_CHOSEN = {
    "drawn": _drawn,
    "own": _own,
    "scored": _scored,
    "format": _format,
    "signal": _signal,
    "cut": _cut,
}


def _unmeasured(lesson: Lesson) -> str:
    """How far the latest score is behind, and what to do about it."""
    scored = [score.episodes for score in lesson.results()]
    since = lesson.learner.episodes - (scored[-1] if scored else 0)
    return f" Not measured for {wording.count(since, 'episode')}: {_MEASURE}."


def told(event: Event, episodes: int, exam: Exam) -> str:
    """What happened; ``**bold**`` marks controls. ``episodes`` is what was learnt from in all."""
    if event.kind == "run" and event.result is not None:
        return _result(event.result, exam)
    if event.kind == "one":
        return _one(event.report)
    if event.kind == "thumbs" and event.report is not None:
        return _thumbs(event.report)
    if event.kind == "refused":
        return _refused(event)
    if event.kind == "measured" and event.result is not None:
        return _result(event.result, exam)
    learnt, in_all = (wording.count(n, "episode") for n in (event.episodes, episodes))
    if event.kind == "stopped" and not event.episodes:
        return "Stopped."
    kept = f": {_score(event.result, exam)}" if event.result else ""
    return {
        "run": f"Learnt from {learnt}. Try a **New problem**.",
        "stopped": f"Stopped after {learnt}; what was learnt is kept{kept}.",
        "undone": f"Undone. Your soft prompt has learnt from {in_all}.",
        "redone": f"Redone. Your soft prompt has learnt from {in_all}.",
        "kept": f"Kept as “{event.name}”, under Snapshots: go on, and go back when you like.",
        "back": f"Back at “{event.name}”. **Undo** brings the other one back.",
        "reset": "A fresh soft prompt. **Undo** brings the old one back.",
        "loaded": f"Loaded: learnt from {in_all}. Try a **New problem**.",
    }[event.kind]


def _result(score: Score, exam: Exam) -> str:
    alone, gain = exam.alone(score.chat_template), exam.gain(score)
    nothing = gain and (gain.p_value >= SIGNIFICANT or gain.gained <= gain.lost)
    if alone and gain and alone.n >= score.n and nothing:
        return (
            f"{_right(score)}, {wording.percent(alone.accuracy)} alone: no gain shows "
            f"({wording.p_value(gain.p_value)}). {_instead(score, exam)}"
        )
    return f"{_score(score, exam)}. Try a **New problem**."


def _score(score: Score, exam: Exam) -> str:
    """How often it was right on how many problems, beside the model alone."""
    words = _right(score)
    alone, gain = exam.alone(score.chat_template), exam.gain(score)
    if alone is None or gain is None:
        return words
    beside = wording.percent(alone.accuracy)
    if alone.n < score.n:
        return f"{words}, {beside} of {alone.n} so far without your soft prompt"
    changed = f"+{gain.gained} −{gain.lost}, {wording.p_value(gain.p_value)}"
    return f"{words}, {beside} without your soft prompt: {changed}"


def _right(score: Score) -> str:
    """How often it was right on how many problems."""
    right = f"**{wording.percent(score.accuracy)} right** on {score.n} held-out problems"
    return f"{right} ({wording.between(score.interval)})"


def _instead(score: Score, exam: Exam) -> str:
    """What to do after a run that gained nothing: not the other format, if it is the better one."""
    plain, chat = exam.alone(False), exam.alone(True)
    better = plain is not None and chat is not None and plain.accuracy > chat.accuracy
    if score.chat_template and not better:
        return "Without the chat template there is more to learn."
    return "Train more, or change the learning rate, under More."


def _one(report: StepReport | None) -> str:
    """After one step on the problem shown."""
    drawn = report.samples if report else None
    if drawn is not None:
        return (
            f"{drawn.correct} of {drawn.samples} tries at this very problem were right; it learnt "
            "from the difference. The cards say what they said before."
        )
    loss = f" (loss {report.loss:.2f})" if report else ""
    return f"Learnt once from this very problem{loss}. The cards say what they said before."


def _thumbs(report: StepReport) -> str:
    """After a person's marks: how likely it says just that, before and now."""
    parts = []
    for mark, what in ((1, "you liked"), (-1, "you did not like")):
        marked = [one for one in report.marked if one.mark * mark > 0]
        if marked:
            before, after = sum(one.before for one in marked), sum(one.after for one in marked)
            now = f"**{small_percent(after)}** of the time, {small_percent(before)} before"
            parts.append(f"what {what} {now}")
    return f"It now says {'; '.join(parts)}. **Undo** takes that back."


def _refused(event: Event) -> str:
    """Why nothing was learnt, and what to do about it."""
    report = event.report
    if report is None or not report.agreed:
        return event.refused
    right = report.samples.correct if report.samples else 0
    if right:
        return f"{report.message} Try a harder **New problem**."
    return f"{report.message} **Tell it the answer**, and it has something to go by."
