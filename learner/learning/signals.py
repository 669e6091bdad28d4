"""All signals by name: those that settings can choose, and all that a history can speak of."""

from collections.abc import Mapping

from learner.learning.answer import ANSWER
from learner.learning.mix import MIX
from learner.learning.reward import REWARD
from learner.learning.signal import Signal
from learner.learning.thumbs import THUMBS

SIGNALS: Mapping[str, Signal] = {signal.name: signal for signal in (ANSWER, REWARD, MIX)}
RECORDED: Mapping[str, Signal] = {**SIGNALS, THUMBS.name: THUMBS}
