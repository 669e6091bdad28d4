"""Driving experiments from a terminal: a bar, a line at every milestone, and Ctrl-C to stop."""

import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from types import FrameType, TracebackType

from tqdm import tqdm

from arena.crossed import crossed_accuracy
from learner import wording
from learner.experiments.engine import Engine, Run
from learner.experiments.results import Results
from learner.experiments.results_file import read_results
from learner.experiments.running import MEASURING, STARTING, Progress, finish, run_to_end
from learner.experiments.settings import Experiment
from learner.measuring import Stopped

_PHASES = {STARTING: "learning where to start,", MEASURING: "measuring"}


class CtrlC:
    """While this context lasts, Ctrl-C takes effect in `check`.

    Python raises KeyboardInterrupt wherever the program is at that moment, which may be a place
    that swallows it: a destructor, or a callback out of a library. So the first one is only noted,
    and raised at the next step; a second one is raised at once, as ever. Off the main thread this
    does nothing, since signals come to the main thread alone.
    """

    def __init__(self) -> None:
        self._pressed = False
        self._before: signal._HANDLER = None

    def __enter__(self) -> "CtrlC":
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def check(self) -> None:
        """Raises KeyboardInterrupt if Ctrl-C was pressed."""
        if self._pressed:
            self._pressed = False
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._pressed = True
        signal.signal(signal.SIGINT, self._before)


def drive(
    engine: Engine,
    experiments: Sequence[Experiment],
    folders: Sequence[Path],
    title: str = "",
    curves: bool = True,
) -> tuple[Results, ...]:
    """Run the experiments side by side, one folder each; go on where the folders hold them already.

    ``curves`` draws into each folder, at the end, what happened. Raises CheckpointError if a folder
    holds a run of something else, or cannot be written; Stopped on Ctrl-C, when everything has been
    saved.
    """
    runs: tuple[Run, ...] = ()
    with CtrlC() as ctrl_c, tqdm(desc=title or None, unit="episode", total=0, leave=False) as bar:
        if title:
            bar.write(title)

        def watch(progress: Progress) -> None:
            nonlocal runs
            before, runs = runs, progress.runs
            if not progress.finished:
                ctrl_c.check()
            if progress.phase in _PHASES:
                words = _PHASES[progress.phase]
                bar.set_postfix_str(f"{words} {progress.part} of {progress.whole}")
                return
            bar.total = progress.total
            bar.update(progress.done - bar.n)
            fresh = [
                run
                for then, run in zip(before or runs, runs, strict=True)
                if run.measured and not then.measured
            ]
            if fresh:
                bar.write(milestone(fresh))
            elif runs[0].past and (loss := runs[0].past[-1].loss) == loss:
                bar.set_postfix(loss=f"{loss:.3f}", refresh=False)

        try:
            runs = run_to_end(engine, experiments, folders, watch)
        except KeyboardInterrupt:
            if not runs:
                raise
            done, total = runs[0].done, runs[0].experiment.episodes
            raise Stopped(f"Stopped after {done} of {total} episodes, and saved.") from None
    if curves:
        finish(runs, folders, engine.base_model)
    return tuple(read_results(folder) for folder in folders)


def milestone(runs: Sequence[Run]) -> str:
    """The line for runs that have just been measured: seeds of one experiment, or several."""
    scores = [run.held_out[-1] for run in runs]
    if len({run.experiment.problems() for run in runs}) > 1:
        mean = fmean(score.accuracy for score in scores)
        return f"{scores[0].episodes:>5} episodes  {mean * 100:.1f} %, mean of {len(runs)} runs"
    estimate = crossed_accuracy([score.right for score in scores])
    silent = sum(score.no_answer for score in scores)
    asked = sum(score.n for score in scores)
    line = (
        f"{scores[0].episodes:>5} episodes  {wording.accuracy(estimate.mean, estimate.interval)} "
        f"of {wording.count(estimate.problems, 'problem')}"
    )
    if len(runs) > 1:
        line += f", {len(runs)} seeds"
    return f"{line}; no answer read in {silent} of {asked}"
