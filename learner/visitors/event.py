"""What just happened in a lesson, as a value; what is said of it is the page's."""

from dataclasses import dataclass

from learner.learning.step_report import StepReport
from learner.measuring import Score
from learner.visitors.run import RunState


@dataclass(frozen=True)
class Event:
    """What just happened.

    ``kind`` is the end of a run (`end_of`), or undone, redone, reset or loaded, or kept or back (of
    a snapshot, by its ``name``), or drawn or own (of the problem shown), or format or signal (of
    what was chosen), or cut (a run, by a restart, with so many episodes ``left``). ``episodes``
    were learnt just now, at ``rate`` a second; ``report`` is that of the last step and ``refused``
    says why it was none; ``result`` is the last held-out result, of what is there now.
    """

    kind: str
    episodes: int = 0
    rate: float | None = None
    result: Score | None = None
    report: StepReport | None = None
    refused: str = ""
    name: str = ""
    left: int = 0


def end_of(run: RunState, result: Score | None) -> Event:
    """The end of a run, of which ``result`` is the last held-out result.

    Its kind is run, one, thumbs, measured, refused or stopped.
    """
    if not run.total:
        return Event("measured" if result and result.n == run.asked else "stopped", result=result)
    if run.done < run.total:
        return Event(
            "stopped", run.done, run.rate, None, run.report
        )  # what is kept is measured next
    if not run.taken:
        return Event("refused", report=run.report, refused=run.refused)
    if result is None:
        kind = "thumbs" if run.report and run.report.marked else "one"
        return Event(kind, run.done, run.rate, None, run.report)
    return Event("run", run.done, run.rate, result, run.report)
