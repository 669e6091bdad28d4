"""A problem: a question in plain words and its one right answer."""

import hashlib
from dataclasses import dataclass

ANSWER_KINDS = ("number", "yes/no", "name", "colour", "thing", "text")


@dataclass(frozen=True)
class Problem:
    """One question with exactly one right answer.

    ``answer_kind`` is one of ``ANSWER_KINDS`` and tells the grader what to look for;
    ``choices`` lists every possible answer where the set is closed (the people of a comparison,
    the colours of a grid) and is empty where it is open (numbers). ``explanation`` is one line
    that a person can follow from the question to the answer. A problem that a person typed in has
    family ``"own"`` and difficulty 0; its ``answer`` may be empty, when nobody knows it.
    """

    family: str
    difficulty: int
    question: str
    answer: str
    answer_kind: str
    choices: tuple[str, ...] = ()
    explanation: str = ""

    @property
    def key(self) -> str:
        """Content hash of the question (hex SHA-256), blind to case and spacing.

        Splits are cut by this key, so the same question can never be on both sides.
        """
        return hashlib.sha256(" ".join(self.question.lower().split()).encode()).hexdigest()
