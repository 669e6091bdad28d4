"""Learning from reward alone: the learner tries, and is told only *right* or *wrong*.

For each problem K completions are sampled from the learner's own policy and graded. Their advantage
is their reward less the mean over the K, and the step descends

    loss = − Σ advantage(completion) · log p(token | what stands before it)  /  all sampled tokens

which is REINFORCE (Williams, 1992, "Simple statistical gradient-following algorithms for
connectionist reinforcement learning") with the group's mean as its baseline, as in GRPO (Shao et
al., 2024, "DeepSeekMath"). A mean that contains the completion's own reward makes this (K − 1) / K
times the unbiased leave-one-out estimate (Kool et al., 2019, "Buy 4 REINFORCE samples, get a
baseline for free!"), and a learning rate takes that up. What GRPO has besides is left out:

* no critic: the baseline needs none, and a value network would be larger than what is learnt;
* no clipped ratio (PPO; Schulman et al., 2017): every sample is used for one step, taken from the
  very policy that drew it, so the ratio is 1;
* no KL penalty: it would hold the policy near the untrained prompt, and away from that is where
  it should go; what could drift is a few vectors, and the base model cannot change at all;
* no division by the group's standard deviation, which favours problems that are nearly always or
  nearly never solved, nor by each completion's length, which spares long wrong ones (Liu et al.,
  2025, "Understanding R1-Zero-like training"): every token counts alike, as in DAPO (Yu et al.,
  2025).

A group whose completions all earned the same has advantages of zero, so it is not run at all; where
all groups agree there is no gradient, and no step. The gold answer is seen by the grader alone.
"""

import hashlib
from collections.abc import Sequence
from itertools import islice

from arena import Problem, grade
from learner.learning.learner import Learner
from learner.learning.signal import Signal
from learner.learning.step_report import Group, Sample
from learner.learning.targets import Target, check_fits, completion_targets, encode_for
from learner.learning.worked_examples import worked_examples
from learner.model.base_model import BaseModel
from learner.model.completion import Ask, Completion, complete_in_turns
from learner.model.pace import Paces
from learner.model.turns import Turns

MAX_SAMPLE_TOKENS = 48  # as long as an answer may be wherever it is measured


def check_samples(base_model: BaseModel, learner: Learner, problems: Sequence[Problem]) -> None:
    """Raise ValueError if a problem cannot be sampled and graded: no answer, no room to write."""
    for problem in problems:
        if not problem.answer.strip():
            raise ValueError("The problem has no answer to grade by.")
        encoded = encode_for(base_model, learner, problem.question, None)
        text = len(encoded.head) + len(encoded.question)
        check_fits(base_model, len(learner.prompt) + text + MAX_SAMPLE_TOKENS)


def draw_groups(
    base_model: BaseModel,
    requests: Sequence[tuple[Learner, Sequence[Problem]]],
    paces: Paces | None = None,
) -> Turns[list[tuple[Group, ...]]]:
    """Samples of every problem of every request, merged; those of each follow from its learner.

    Pauses after each token. The requests must have passed `check_samples`.
    """
    asked = [
        (problem, _asks(learner, number, problem))
        for learner, problems in requests
        for number, problem in enumerate(problems)
    ]
    asks = [ask for _, group in asked for ask in group]
    written = iter((yield from complete_in_turns(base_model, asks, MAX_SAMPLE_TOKENS, paces)))
    groups = (
        Group(problem, tuple(_graded(problem, done) for done in islice(written, len(group))))
        for problem, group in asked
    )
    return [tuple(islice(groups, len(problems))) for _, problems in requests]


def policy_targets(
    base_model: BaseModel, learner: Learner, groups: Sequence[Group]
) -> tuple[Target, ...]:
    """The distinct completions of the groups with signal, weighed by their summed advantage.

    Normalised by the tokens of all groups: one that agrees has a gradient of zero, it is not
    absent.
    """
    tokens = sum(len(sample.completion.ids) for group in groups for sample in group.samples)
    targets: list[Target] = []
    for group in groups:
        if group.agrees:
            continue
        weights: dict[tuple[int, ...], float] = {}
        for sample, advantage in zip(group.samples, group.advantages, strict=True):
            ids = sample.completion.ids
            weights[ids] = weights.get(ids, 0.0) + advantage / tokens
        targets += completion_targets(
            base_model, learner, group.problem.question, list(weights.items())
        )
    return tuple(targets)


def nothing_to_learn(groups: Sequence[Group]) -> str:
    """The sentence for a step in which all groups agree."""
    right = sum(group.samples[0].grade.correct for group in groups)
    tries = len(groups[0].samples)
    if len(groups) == 1:
        what = f"all {tries} tries were {'right' if right else 'wrong'}"
    elif right in (0, len(groups)):
        what = f"all tries at all {len(groups)} problems were {'right' if right else 'wrong'}"
    else:
        what = f"all {tries} tries were right at {right} of {len(groups)} problems, wrong elsewhere"
    return f"Nothing to tell apart: {what}, so no step was taken."


def _graded(problem: Problem, completion: Completion) -> Sample:
    return Sample(completion, grade(problem, completion.text))


def _asks(learner: Learner, number: int, problem: Problem) -> list[Ask]:
    config = learner.config
    examples = worked_examples(config.shots)
    return [
        Ask(
            problem.question,
            config.chat_template,
            learner.prompt,
            examples,
            sample_seed(config.seed, learner.episodes, number, problem.key, sample),
        )
        for sample in range(config.samples_per_problem)
    ]


def sample_seed(*what: object) -> int:
    """A 63-bit seed that follows from what is sampled, and from nothing else."""
    digest = hashlib.sha256("\n".join(map(str, what)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


REWARD = Signal(
    "reward",
    "Only say right or wrong",
    rows=lambda config: config.samples_per_problem,
    loss="1 − mean reward",
    right="of its own samples right",
    earned=policy_targets,
)
