"""The held-out results of one visitor's learner, and of those that Undo can bring back."""

from weakref import WeakKeyDictionary

from learner.learning.learner import Learner, LearnerConfig
from learner.measuring import Score
from learner.visitors.exam import Exam

KEPT = 200


class Scores:
    """Results of the learner as it is now; ``results`` are all of them, the newest last."""

    def __init__(self, exam: Exam, results: tuple[Score, ...]) -> None:
        self.results = results
        self._exam = exam
        self._then: WeakKeyDictionary[Learner, tuple[Score, ...]] = WeakKeyDictionary()

    def add(self, result: Score) -> None:
        """One more result, in place of what there was of the same exam before it grew."""
        at = result.episodes, result.chat_template
        others = (one for one in self.results if (one.episodes, one.chat_template) != at)
        self.results = (*others, result)[-KEPT:]

    def keep_for(self, learner: Learner) -> None:
        """Note that these are the results of ``learner``, which something is about to replace."""
        self._then[learner] = self.results

    def go_to(self, learner: Learner, otherwise: tuple[Score, ...] = ()) -> None:
        """Go on with the results that were kept for ``learner``, or ``otherwise`` with these."""
        self.results = self._then.get(learner, otherwise)

    def of(self, learner: Learner, chat_template: bool) -> list[Score]:
        """The results in this format, by episodes; that of the untrained prompt first."""
        known = {m.episodes: m for m in self.results if m.chat_template is chat_template}
        untrained = self._exam.untrained(chat_template)
        config, shared = learner.config, LearnerConfig()
        if untrained and (config.start, config.shots) == (shared.start, shared.shots):
            known.setdefault(0, untrained)
        return [known[episodes] for episodes in sorted(known)]
