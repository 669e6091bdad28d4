"""The same problems again: what are a few worth, gone through four times, beside as many new ones?

Language models that are trained on too little text gain from reading it up to four times almost as
much as from new text (Muennighoff et al., 2023, "Scaling Data-Constrained Language Models"). Here a
soft prompt learns from the same steps of either kind.
"""

from dataclasses import replace

from learner import wording
from learner.experiments.estimates import Arm, alone, final, milestone, versus
from learner.report.study import Study, in_format

TIMES = 4


def repetition_arms(study: Study, chat: bool) -> tuple[Arm, Arm]:
    """The same problems again and again, and always new ones; alike until all were met once."""
    episodes = study.scale.episodes
    new = study.best(chat, episodes=episodes * TIMES, eval_at=(episodes,), validation_problems=0)
    experiments = [replace(new, training_problems=episodes), new]
    again, fresh = study.together(f"{in_format(chat)}, again or new", experiments)
    return Arm("the same again", again), Arm("always new", fresh)


def repetition_text(arms: tuple[Arm, Arm], episodes: int) -> str:
    """The comparison in Markdown; ``episodes`` are those in which each problem is new."""
    again, new = arms
    once = milestone(1)
    rows = [["", "accuracy", "against the model alone", f"against {episodes} problems once"]]
    for name, arm, which in (
        ("model alone", again, alone),
        (f"{episodes} problems, once", again, once),
        (f"the same, {TIMES} times", again, final),
        (f"{episodes * TIMES} problems, once", new, final),
    ):
        beside = "–" if which is alone else versus(arm, again, which, alone).words
        gained = versus(arm, again, which, once).words if which is final else "–"
        rows.append([name, arm.estimate(which).words, beside, gained])
    ahead = versus(new, again, final)
    return f"{wording.table(rows)}\n\nNew problems in place of the same: {ahead.words}."
