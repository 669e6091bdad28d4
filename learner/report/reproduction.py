"""The reproduction: experiments 1 and 2, the comparison, every technique, in one report.

Each part is a chapter: it runs what it needs (once a study) and returns its Markdown. What
has been run into the folder before is read, not run again.
"""

from collections.abc import Callable, Collection, Mapping
from statistics import median

from learner import wording
from learner.checkpoint.atomic_folder import write_file
from learner.experiments.estimates import Arm, alone, final, initial, kept, versus
from learner.experiments.figures import comparison, effects, learning_curves
from learner.experiments.original import PUBLISHED
from learner.experiments.results import Results
from learner.report.repetition import repetition_arms, repetition_text
from learner.report.signals import NEAR, reached_text, samples_text, signal_arms, signals_text
from learner.report.study import Study, in_format
from learner.report.sweep import sweep, sweep_text
from learner.report.tables import markdown
from learner.report.techniques import default_arm, findings, findings_table
from learner.report.transfer import (
    learn_unseen,
    sequence_arm,
    sequence_experiment,
    sequence_text,
    unseen_text,
)

REPORT = "report.md"


def experiments_chapter(study: Study) -> str:
    """Experiments 1 and 2, each beside the original's settings, and what came of the targets."""
    parts = []
    for chat in study.formats:
        number, where = (1, "with the chat template") if chat else (2, "without the template")
        best = default_arm(study, chat)
        original = study.arm(f"{in_format(chat)}, original settings", study.original(chat))
        figure = f"experiment-{number}.png"
        write_file(learning_curves(best.runs), study.folder / figure)
        rows = [["", "accuracy", "against the model alone"]]
        for name, arm, which in (
            ("model alone", best, alone),
            ("untrained soft prompt", best, initial),
            (f"after {study.scale.episodes} episodes", best, final),
            ("kept by validation", best, kept),
            ("original settings, untrained", original, initial),
            (f"original settings, after {study.scale.episodes}", original, final),
        ):
            estimate = arm.estimate(which)
            against = "–"
            if which is not alone:
                change = versus(arm, best, which, alone)
                against = change.words
            rows.append([name, estimate.words, against])
        parts.append(
            f"## Experiment {number}: {where}\n\n{wording.table(rows)}\n\n"
            f"{_targets(study, chat, best)}\n\n![Experiment {number}: loss and held-out accuracy "
            f"while it learns, accuracy by family and difficulty before and after]({figure})"
        )
    return "\n\n".join(parts)


def comparison_chapter(study: Study) -> str:
    """The four arms of experiments 1 and 2 in one table, beside what the original published."""
    arms = []
    for chat in study.formats:
        short = in_format(chat)
        arms.append(Arm(f"{short}, best settings", default_arm(study, chat).runs))
        name = f"{short}, original settings"
        arms.append(Arm(name, study.arm(name, study.original(chat)).runs))
    write_file(comparison({arm.name: arm.runs for arm in arms}), study.folder / "comparison.png")
    published = [Arm(run.name, (run,)) for run in PUBLISHED]
    return (
        f"## Comparison\n\n{markdown(arms)}\n\n![Accuracy of each as it learns](comparison.png)\n\n"
        "What the original experiments published, by its own grading and on its own problems:\n\n"
        f"{markdown(published)}"
    )


def settings_chapter(study: Study) -> str:
    """Which settings hold, and whether any gains something where the model answers well already."""
    return _in_each_format(
        study,
        "Settings: which hold, and what is there to gain?",
        lambda chat: sweep_text(sweep(study, chat)),
    )


def techniques_chapter(study: Study) -> str:
    """Each technique against the same learner without it, with a verdict."""
    found = findings(study, study.formats)
    rows = {
        f"{item.technique} ({'chat' if item.chat_template else 'plain'})": (
            item.effect.value,
            item.effect.interval,
        )
        for item in found
    }
    write_file(
        effects(rows, "What each technique changes, against the same without it"),
        study.folder / "techniques.png",
    )
    return (
        f"## Techniques\n\n{findings_table(found)}\n\n"
        "![The difference that each technique makes, with its interval](techniques.png)"
    )


def repetition_chapter(study: Study) -> str:
    """What few problems are worth that are learnt from again and again."""
    return _in_each_format(
        study,
        "The same problems again, or new ones",
        lambda chat: repetition_text(repetition_arms(study, chat), study.scale.episodes),
    )


def signals_chapter(study: Study) -> str:
    """What the learner is told: the answer, a reward, or both."""
    parts = ["## Answer key, reward, or both"]
    templated = _templated(study)
    for chat in study.formats:
        arms = signal_arms(study, chat)
        parts += [f"{in_format(chat)}:\n\n{signals_text(arms)}", samples_text(arms)]
        if templated is not None and not chat:
            parts.append(f"By reward alone, {reached_text(arms['reward'], templated)}")
    return "\n\n".join(parts)


def sequence_chapter(study: Study) -> str:
    """What is forgotten when families are learnt one after another."""
    return _in_each_format(
        study,
        "Families in sequence",
        lambda chat: sequence_text(sequence_arm(study, chat), default_arm(study, chat)),
    )


def unseen_chapter(study: Study) -> str:
    """Whether a start that was learnt on other families helps on one that was not seen.

    Without the template, where there is something to learn.
    """
    text = unseen_text(learn_unseen(study, chat=False))
    return f"## A start from other families, without the template\n\n{text}"


CHAPTERS: Mapping[str, Callable[[Study], str]] = {
    "experiments": experiments_chapter,
    "comparison": comparison_chapter,
    "settings": settings_chapter,
    "techniques": techniques_chapter,
    "repetition": repetition_chapter,
    "signals": signals_chapter,
    "sequence": sequence_chapter,
    "unseen": unseen_chapter,
}

_CHOOSING = ("settings", "techniques")  # the chapters that choose in validation


def require_enough(study: Study, chapters: Collection[str]) -> None:
    """Refuse now what a chapter would find too small after the hours that others take.

    Raises ValueError.
    """
    chat = study.formats[0]
    study.best(chat)
    for name in _CHOOSING:
        if name in chapters and study.scale.validation < 1:
            raise ValueError(
                f"The chapter {name} chooses in validation; give it at least 1 of "
                "--validation-problems, or leave it out of --chapters."
            )
    if "techniques" in chapters:
        study.best(chat, per_family=True)
    if "sequence" in chapters:
        sequence_experiment(study, chat)


def _in_each_format(study: Study, title: str, text: Callable[[bool], str]) -> str:
    """A chapter that says the same of each format: with the chat template (True), without it."""
    parts = [f"### {in_format(chat).capitalize()}\n\n{text(chat)}" for chat in study.formats]
    return "\n\n".join([f"## {title}", *parts])


def _targets(study: Study, chat: bool, arm: Arm) -> str:
    """What came of what was aimed for."""
    end = arm.estimate(final)
    if chat:
        change = versus(arm, arm, final, alone)
        if change.interval.high < 0:
            return "Learning with the template loses accuracy, significantly."
        gained = change.interval.low > 0
        return (
            "Learning with the template gains accuracy, significantly."
            if gained
            else "Learning with the template neither gains nor loses significantly: a loss of more "
            f"than {-change.interval.low * 100:.1f} points, or a gain of more than "
            f"{change.interval.high * 100:.1f}, is unlikely."
        )
    templated = _templated(study)
    if not templated:
        return ""
    first = [_episodes_to(run, NEAR * templated) for run in arm.runs]
    there = [episodes for episodes in first if episodes is not None]
    words = (
        f"After {study.scale.episodes} episodes it reaches {end.value / templated * 100:.0f} % of "
        f"the templated accuracy of the model alone ({templated * 100:.1f} %). "
        f"{len(there)} of {len(first)} seeds came to {NEAR:.0%} of it"
    )
    if len(there) == len(first):
        return f"{words}, after a median of {median(there):g} episodes."
    return f"{words}{' (after ' + ', '.join(map(str, there)) + ' episodes)' if there else ''}."


def _templated(study: Study) -> float | None:
    """The accuracy of the model alone with its template, if that format is run too."""
    if True not in study.formats:
        return None
    return default_arm(study, True).estimate(alone).value


def _episodes_to(run: Results, accuracy: float) -> int | None:
    """After how many episodes a run was there for good, or at two milestones in a row."""
    there = [score.accuracy >= accuracy for score in run.curve]
    for i, score in enumerate(run.curve):
        if all(there[i : i + 2]):
            return score.episodes
    return None
