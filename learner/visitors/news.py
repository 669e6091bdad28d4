"""What just happened in a lesson, and the sentence that tells it."""

from dataclasses import dataclass

from learner.learning.step_report import StepReport
from learner.view import cards, charts
from learner.view.chart_parts import share
from learner.visitors.exam import Exam, Marks
from learner.visitors.run import RunState


@dataclass(frozen=True)
class News:
    """What just happened. ``kind`` is run, one, thumbs, refused, stopped, undone, reset or loaded.

    ``episodes`` were learnt just now, at ``rate`` a second; ``report`` is that of the last step and
    ``refused`` says why it was none; ``marks`` are the last held-out result.
    """

    kind: str
    episodes: int = 0
    rate: float | None = None
    marks: Marks | None = None
    report: StepReport | None = None
    refused: str = ""


def news_of(end: RunState, marks: Marks | None) -> News:
    """The news at the end of a run, of which ``marks`` are the last held-out result."""
    if end.done < end.total:
        return News("stopped", end.done, end.rate, marks, end.report)
    if not end.taken:
        return News("refused", report=end.report, refused=end.refused)
    if marks is None:
        kind = "thumbs" if end.report and end.report.marked else "one"
        return News(kind, end.done, end.rate, None, end.report)
    return News("run", end.done, end.rate, marks, end.report)


def told(news: News, episodes: int, exam: Exam) -> str:
    """The sentence; ``**bold**`` marks controls. ``episodes`` is what was learnt from in all."""
    if news.kind == "run" and news.marks is not None:
        return _result(news.marks, exam)
    if news.kind == "one":
        return _one(news.report)
    if news.kind == "thumbs" and news.report is not None:
        return _thumbs(news.report)
    if news.kind == "refused":
        return _refused(news)
    learnt = cards.count(news.episodes, "episode")
    return {
        "run": f"Learnt from {learnt}. Try a **New problem**.",
        "stopped": f"Stopped after {learnt}; what was learnt is kept.",
        "undone": f"Undone. Your soft prompt has learnt from {episodes} episodes.",
        "reset": "A fresh soft prompt. **Undo** brings the old one back.",
        "loaded": f"Loaded: learnt from {episodes} episodes. Try a **New problem**.",
    }[news.kind]


def _result(marks: Marks, exam: Exam) -> str:
    score = marks.tally
    low, high = score.interval.low, score.interval.high
    words = (
        f"**{charts.percent(score.accuracy)} right** on {score.n} held-out problems "
        f"({100 * low:.0f}–{charts.percent(high)})"
    )
    alone, gain = exam.alone(marks.chat_template), exam.gain(marks)
    if alone is not None and gain is not None:
        p = "p < 0.0001" if gain.p_value < 1e-4 else f"p = {gain.p_value:.2g}"
        words += f", {charts.percent(alone.tally.accuracy)} without your soft prompt: "
        words += f"+{gain.gained} −{gain.lost}, {p}"
    return f"{words}. Try a **New problem**."


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
        marked = [one for one in report.marked if one.mark == mark]
        if marked:
            before, after = sum(one.before for one in marked), sum(one.after for one in marked)
            now = f"**{share(after)}** of the time, {share(before)} before"
            parts.append(f"what {what} {now}")
    return f"It now says {'; '.join(parts)}. **Undo** takes that back."


def _refused(news: News) -> str:
    """Why nothing was learnt, and what to do about it."""
    report = news.report
    if report is None or not report.agreed:
        return news.refused
    right = report.samples.correct if report.samples else 0
    if right:
        return f"{report.message} Try a harder **New problem**."
    return f"{report.message} **Tell it the answer**, and it has something to go by."
