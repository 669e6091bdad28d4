"""The line that says what just happened in a lesson, or what to do now."""

from learner import wording
from learner.learning.signals import SIGNALS
from learner.learning.step_report import StepReport
from learner.measuring import Score
from learner.view import charts
from learner.visitors.event import Event
from learner.visitors.exam import Exam
from learner.visitors.lesson import Lesson
from learner.wording import small_percent


def hint_of(lesson: Lesson) -> tuple[str, str]:
    """What to say, ``**bold**`` marking controls, and its kind: next, working or done."""
    if lesson.run is not None:
        what = charts.FORMAT_WORDS[lesson.chat_template]
        if not SIGNALS[lesson.signal].told:
            return f"Trying {what}, and told only right or wrong. Watch the ✓ grow.", "working"
        return f"Learning {what}. Watch the ☞ answer, and the curve rise.", "working"
    if lesson.latest_event is not None:
        return told(lesson.latest_event, lesson.learner.episodes, lesson.exam), "done"
    if not lesson.learner.episodes:
        return "Press **Train 80 episodes** and watch the ☞ answer change.", "next"
    return "Try a **New problem**: neither the model nor your soft prompt has seen it.", "next"


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
    learnt = wording.count(event.episodes, "episode")
    kept = f": {_score(event.result, exam)}" if event.result else ""
    return {
        "run": f"Learnt from {learnt}. Try a **New problem**.",
        "stopped": f"Stopped after {learnt}; what was learnt is kept{kept}.",
        "undone": f"Undone. Your soft prompt has learnt from {episodes} episodes.",
        "reset": "A fresh soft prompt. **Undo** brings the old one back.",
        "loaded": f"Loaded: learnt from {episodes} episodes. Try a **New problem**.",
    }[event.kind]


def _result(score: Score, exam: Exam) -> str:
    return f"{_score(score, exam)}. Try a **New problem**."


def _score(score: Score, exam: Exam) -> str:
    """How often it was right on how many problems, beside the model alone."""
    low, high = score.interval.low, score.interval.high
    words = (
        f"**{wording.percent(score.accuracy)} right** on {score.n} held-out problems "
        f"({100 * low:.0f}–{wording.percent(high)})"
    )
    alone, gain = exam.alone(score.chat_template), exam.gain(score)
    if alone is not None and gain is not None:
        words += f", {wording.percent(alone.accuracy)} without your soft prompt: "
        words += f"+{gain.gained} −{gain.lost}, {wording.p_value(gain.p_value)}"
    return words


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
