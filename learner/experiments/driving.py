"""Driving: experiments from their start, or from where they were left, to their end, and saved.

What the commands have in common: a bar, a line at every milestone, and Ctrl-C to stop; what is
saved, and when, is `learner.experiments.keeping`'s.
"""

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from statistics import fmean

from tqdm import tqdm

from arena.crossed import crossed_accuracy
from learner import wording
from learner.experiments.ctrl_c import CtrlC
from learner.experiments.engine import Engine, Run
from learner.experiments.keeping import finish, keep_going
from learner.experiments.results import Results
from learner.experiments.results_file import read_results
from learner.experiments.settings import Experiment


class Stopped(Exception):
    """Somebody pressed Ctrl-C. What was learnt is saved; the message says where."""


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
    with CtrlC() as ctrl_c, tqdm(desc=title or None, unit="episode", total=0, leave=False) as bar:
        if title:
            bar.write(title)

        def progress(words: str, done: int, total: int) -> None:
            ctrl_c.check()
            bar.set_postfix_str(f"{words} {done} of {total}")

        starting = partial(progress, "learning where to start,")
        measuring = partial(progress, "measuring")
        kept = keep_going(engine, experiments, folders, starting, measuring)
        with closing(kept):
            runs = next(kept)
            bar.reset(total=sum(experiment.episodes for experiment in experiments))
            bar.update(sum(run.done for run in runs))
            try:
                for after in kept:
                    before, runs = runs, after
                    ctrl_c.check()
                    bar.update(sum(run.done for run in runs) - bar.n)
                    fresh = [
                        run
                        for then, run in zip(before, runs, strict=True)
                        if run.measured and not then.measured
                    ]
                    if fresh:
                        bar.write(milestone(fresh))
                    elif (loss := runs[0].past[-1].loss) == loss:
                        bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            except KeyboardInterrupt:
                done, total = runs[0].done, runs[0].experiment.episodes
                raise Stopped(f"Stopped after {done} of {total} episodes, and saved.") from None
    if curves:
        finish(runs, folders, engine.base_model)
    return tuple(read_results(folder) for folder in folders)


def milestone(runs: Sequence[Run]) -> str:
    """The line for runs that have just been measured: seeds of one experiment, or several."""
    scores = [run.held_out[-1] for run in runs]
    if len({run.experiment.problems() for run in runs}) > 1:
        mean = fmean(item.accuracy for item in scores)
        return f"{scores[0].episodes:>5} episodes  {mean * 100:.1f} %, mean of {len(runs)} runs"
    estimate = crossed_accuracy([[float(right) for right in item.right] for item in scores])
    silent = sum(item.no_answer for item in scores)
    asked = sum(item.n for item in scores)
    line = (
        f"{scores[0].episodes:>5} episodes  {wording.accuracy(estimate.mean, estimate.interval)} "
        f"of {wording.count(estimate.problems, 'problem')}"
    )
    if len(runs) > 1:
        line += f", {len(runs)} seeds"
    return f"{line}; no answer read in {silent} of {asked}"
