"""In words: the model is asked what the soft prompt says, and its words are put to the test.

The soft prompt stands where a text would stand, in a frame that asks for a description of it
(Patchscopes, Ghandeharioun et al., 2024; InSPEcT, Ram et al., 2024), with the chat template where
there is one: so Qwen2.5-Coder-0.5B repeats a text that stands there, word for word. A model says
something whatever it is asked, so each description is *plugged in*: it takes the soft prompt's
place as plain text, and answers the problems. The control is what the model says of the untrained
prompt. The embedded model knows no words but its problems', so this is for others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter

import torch

from arena import Problem
from learner.inspection.looking import OnModel, text_ids, token_prompt
from learner.inspection.subject import Subject, scores
from learner.measuring import Answers, Score
from learner.model.base_model import BaseModel
from learner.model.completion import Ask

FRAMES = (
    ("Instruction: ", "\n", "What does the instruction above say, in one short sentence?"),
    ("", "\n", "What should one do with the questions that follow? Answer in one sentence."),
    ("The text “", "” means:\n", "Repeat what the text above means, in other words."),
)
"""What stands before and behind the soft prompt, and the question that is asked then."""


@dataclass(frozen=True)
class Description:
    """What the model said of a prompt, and how well its words do in the prompt's place."""

    text: str
    score: Score


@dataclass(frozen=True)
class Words:
    """Descriptions of the trained and of the untrained prompt, one a frame; and what they are
    compared with: the trained prompt itself, and the model alone."""

    trained: tuple[Description, ...]
    untrained: tuple[Description, ...]
    whole: Score
    alone: Score

    @property
    def best(self) -> Description:
        """The description of the trained prompt that does best."""
        return max(self.trained, key=lambda one: one.score.correct)

    @property
    def best_control(self) -> Description:
        """That of the untrained one."""
        return max(self.untrained, key=lambda one: one.score.correct)


def words(
    answers: Answers, on_model: OnModel, subject: Subject, problems: Sequence[Problem]
) -> Words:
    """Have both prompts described, and plug all descriptions in."""
    talks = on_model(attrgetter("has_chat_template"))
    said = {
        name: describe(answers, on_model, prompt, talks)
        for name, prompt in (("trained", subject.trained), ("untrained", subject.untrained))
    }
    texts = list(dict.fromkeys(text for group in said.values() for text in group))
    plugged = plug_in(answers, on_model, subject, texts, problems)
    known = scores(answers, subject, {"whole": subject.trained, "alone": None}, problems)
    groups = {
        name: tuple(Description(text, plugged[text]) for text in group)
        for name, group in said.items()
    }
    return Words(groups["trained"], groups["untrained"], known["whole"], known["alone"])


def describe(
    answers: Answers, on_model: OnModel, prompt: torch.Tensor, chat_template: bool
) -> list[str]:
    """What the model says of a prompt in each frame, in one line."""
    asks = []
    for before, after, question in FRAMES:
        framed = on_model(partial(in_frame, prompt=prompt, before=before, after=after))
        asks.append(Ask(question, chat_template, framed))
    *_, completions = answers(asks)
    return [" ".join(completion.text.split()) for completion in completions]


def in_frame(base_model: BaseModel, prompt: torch.Tensor, before: str, after: str) -> torch.Tensor:
    """The prompt with the embeddings of texts around it [tokens, hidden]."""
    texts = [
        token_prompt(base_model, text_ids(base_model, text)) if text else prompt[:0]
        for text in (before, after)
    ]
    return torch.cat((texts[0], prompt, texts[1]))


def plug_in(
    answers: Answers,
    on_model: OnModel,
    subject: Subject,
    texts: Sequence[str],
    problems: Sequence[Problem],
) -> dict[str, Score]:
    """How the problems are answered behind each text, as a line of its own; "" is no text."""
    prompts: dict[str, torch.Tensor | None] = {}
    for text in texts:
        prompts[text] = on_model(partial(_line, text=text)) if text else None
    return scores(answers, subject, prompts, problems)


def _line(base_model: BaseModel, text: str) -> torch.Tensor:
    return token_prompt(base_model, text_ids(base_model, f"{text}\n"))
