"""Learning from both at once: the answer key and a reward, whose losses are added."""

from learner.learning.answer import ANSWER
from learner.learning.reward import REWARD
from learner.learning.signal import Signal

MIX = Signal(
    "mix",
    "Both",
    rows=lambda config: ANSWER.rows(config) + REWARD.rows(config),
    loss=ANSWER.loss,
    right=ANSWER.right,
    told=ANSWER.told,
    earned=REWARD.earned,
)
