"""Problems to try, verdicts to give, and learners that are told no more than those."""

from arena import Grade, Problem
from learner.learning.learner import Learner, LearnerConfig, new_learner
from learner.learning.step_report import StepReport
from learner.model.base_model import BaseModel

PROBLEMS = (
    Problem("own", 0, "What comes next: 2, 4, 6, 8?", "10", "number"),
    Problem("own", 0, "Alice is taller than Bob. Who is the tallest?", "Alice", "text"),
    Problem("own", 0, "Which colour? red or blue?", "blue", "text"),
)

RIGHT, WRONG = Grade(True, "yes", ""), Grade(False, None, "")


def by_length(problem: Problem, text: str) -> Grade:
    """A verdict that a random model earns about half of the time, whatever the gold answer."""
    return RIGHT if len(text) % 2 else WRONG


def learner(base_model: BaseModel, seed: int = 0, **config: object) -> Learner:
    settings = {"signal": "reward", "samples_per_problem": 6, "max_grad_norm": 1e9, **config}
    return new_learner(base_model, LearnerConfig(seed=seed, **settings))


def texts(report: StepReport) -> list[list[tuple[int, ...]]]:
    return [[sample.completion.ids for sample in group.samples] for group in report.groups]
