"""What was measured of a base model by itself, kept on disk: a restart has it at once."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from arena import Problem
from learner.checkpoint.atomic_folder import write_file
from learner.learning.learner import Learner
from learner.measuring import Score, score_of
from learner.model.base_model import ModelFacts

Baselines = Mapping[tuple[bool, bool], Score]
"""Scores by (behind the untrained soft prompt?, with the chat template?)."""


class KeptBaselines:
    """The baselines of one base model on one held-out set, in a file of ``folder``.

    The file's name is a hash of all that decides them: the weights, their precision, the problems
    and the untrained soft prompt.
    """

    def __init__(
        self, folder: Path, model: ModelFacts, problems: Sequence[Problem], untrained: Learner
    ) -> None:
        digest = hashlib.sha256(f"{model.revision} {model.dtype}".encode())
        for problem in problems:
            digest.update(problem.key.encode())
        digest.update(untrained.prompt.numpy().tobytes())
        self._path = folder / f"baselines-{digest.hexdigest()[:32]}.json"
        self._size = len(problems)

    def read(self) -> Baselines:
        """What is kept; nothing where there is nothing whole to read."""
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))
            scores = {
                (one["prompted"], one["chat_template"]): score_of(
                    one["outcomes"], one["chat_template"]
                )
                for one in kept
            }
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return {key: score for key, score in scores.items() if score.n == self._size}

    def write(self, baselines: Baselines) -> None:
        """Keep these. A disk that cannot be written keeps nobody from learning: then they are not.

        They are only measured again the next time.
        """
        kept = [
            {"prompted": key[0], "chat_template": key[1], "outcomes": score.outcomes}
            for key, score in baselines.items()
        ]
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_file(json.dumps(kept).encode(), self._path)
        except OSError:
            return
