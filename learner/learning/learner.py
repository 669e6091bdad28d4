"""Soft prompts: what is learnt, where it starts from, and the learner that carries it.

A soft prompt is n vectors put in front of a frozen model's input embeddings (Lester et al., 2021,
"The Power of Scale for Parameter-Efficient Prompt Tuning"). A `Learner` is a value: a step makes a
new one and never changes the old one, so undo is keeping it and a bad step is not adopting it.

Its tensors are float32 and stay on the CPU whatever the model runs on. They are tens of kilobytes:
a pass uploads the prompts and downloads their gradients in one transfer each, and in exchange a
learner can be pickled to another process, saved, and kept by the thousand without device memory.
"""

import math
from dataclasses import dataclass

import torch

from learner.model.base_model import BaseModel
from learner.model.source import ModelSource

INITIALISERS = ("vocabulary", "text", "normal")
MAX_SOFT_TOKENS = 1000  # the longest in the literature have a few hundred
MAX_INIT_TEXT = 10_000
MAX_HISTORY = 2000
MAX_EPISODES_PER_STEP = 64
LOSSES = ("answer", "text")
MAX_SHOTS = 8
MAX_END_WEIGHT = 100
SIGNAL_NAMES = ("answer", "reward", "mix")  # what they are is in `learner.learning.signals`
MAX_SAMPLES_PER_PROBLEM = 64


@dataclass(frozen=True)
class LearnerConfig:
    """How a learner starts and how it learns. Raises ValueError, in a sentence, if out of range.

    ``initialiser`` is one of ``INITIALISERS``: ``init_text`` is for "text", ``init_std`` for
    "normal". ``episodes_per_step`` problems make one optimiser step; ``max_grad_norm`` clips the
    prompt's gradient by its norm; ``chat_template`` is the format it learns in. ``loss`` is over
    the tokens of the answer, or over the whole text as in the original experiments; the token that
    ends the answer counts ``end_weight`` times as much as each of the others. ``shots``
    worked examples (`learner.learning.worked_examples`) stand before every question it learns from.
    ``signal`` is what it is told: the "answer"; only the "reward" of ``samples_per_problem``
    completions that it samples (`learner.learning.reward`); or both, a "mix".
    """

    soft_tokens: int = 8
    initialiser: str = "vocabulary"
    init_text: str = "Answer each question correctly with just the answer."
    init_std: float = 0.1
    learning_rate: float = 1e-2
    episodes_per_step: int = 4
    max_grad_norm: float = 1.0
    chat_template: bool = False
    seed: int = 0
    loss: str = "answer"
    shots: int = 0
    signal: str = "answer"
    samples_per_problem: int = 8
    end_weight: float = 1.0

    @property
    def start(self) -> tuple[object, ...]:
        """What the untrained prompt follows from: configs that share it start from the same one."""
        return self.soft_tokens, self.initialiser, self.init_text, self.init_std, self.seed

    def __post_init__(self) -> None:
        require(
            -(2**63) <= self.seed < 2**64, "A seed has no more than 64 bits; choose a smaller one."
        )
        require(
            1 <= self.soft_tokens <= MAX_SOFT_TOKENS,
            f"A soft prompt has 1 to {MAX_SOFT_TOKENS} tokens, not {self.soft_tokens}.",
        )
        require(
            self.initialiser in INITIALISERS,
            f"There is no initialiser {self.initialiser!r}; choose {', '.join(INITIALISERS)}.",
        )
        require(
            self.initialiser != "text" or bool(self.init_text.strip()),
            "The text initialiser needs a text to start from.",
        )
        require(
            len(self.init_text) <= MAX_INIT_TEXT,
            f"A text to start from has at most {MAX_INIT_TEXT:,} characters.",
        )
        require(
            1 <= self.episodes_per_step <= MAX_EPISODES_PER_STEP,
            f"A step takes 1 to {MAX_EPISODES_PER_STEP} episodes, not {self.episodes_per_step}.",
        )
        require(
            self.loss in LOSSES,
            f"There is no loss over {self.loss!r}; choose {' or '.join(LOSSES)}.",
        )
        require(
            0 <= self.shots <= MAX_SHOTS,
            f"A question stands behind 0 to {MAX_SHOTS} worked examples, not {self.shots}.",
        )
        require(
            self.signal in SIGNAL_NAMES,
            f"There is no signal {self.signal!r}; choose {', '.join(SIGNAL_NAMES)}.",
        )
        require(
            2 <= self.samples_per_problem <= MAX_SAMPLES_PER_PROBLEM,
            f"A problem is sampled 2 to {MAX_SAMPLES_PER_PROBLEM} times, because samples are "
            f"compared with each other, not {self.samples_per_problem}.",
        )
        require(
            0 <= self.end_weight <= MAX_END_WEIGHT,
            f"The token that ends an answer counts 0 to {MAX_END_WEIGHT} times as much as another, "
            f"not {self.end_weight}.",
        )
        for name in ("init_std", "learning_rate", "max_grad_norm"):
            value = getattr(self, name)
            require(
                math.isfinite(value) and value > 0,
                f"The {name.replace('_', ' ')} is a positive number, not {value}.",
            )


@dataclass(frozen=True)
class StepRecord:
    """One adopted step. ``episodes`` counts all problems gone through so far.

    ``loss`` is the gold answers' cross-entropy in nats a token, or, where they were not told, one
    less the mean reward; ``correct`` of ``total`` problems would have been answered rightly before
    the step, or, where the answer was not told, samples were right; ``grad_norm`` is from before
    clipping. ``signal`` is the config's, or "thumbs": then a person marked the samples, ``correct``
    counts thumbs up, and ``loss`` and ``step`` are as in `learner.learning.thumbs`.

    Of a step that sampled: how many ``samples``, their mean ``reward``, how many gave ``no_answer``
    that could be read, the share of problems ``with_signal`` (at which some samples were right and
    some not), the policy's mean ``entropy`` in nats a token, and the samples' mean ``length`` in
    tokens. Raises ValueError, in a sentence, if these cannot be.
    """

    step: int
    episodes: int
    loss: float
    correct: int
    total: int
    grad_norm: float
    chat_template: bool
    signal: str = "answer"
    samples: int = 0
    reward: float = 0.0
    no_answer: int = 0
    with_signal: float = 0.0
    entropy: float = 0.0
    length: float = 0.0

    def __post_init__(self) -> None:
        require(
            self.signal in (*SIGNAL_NAMES, "thumbs"),
            f"There is no step from the signal {self.signal!r}.",
        )
        require(
            0 <= self.no_answer <= self.samples,
            f"{self.no_answer} of {self.samples} samples cannot be without an answer.",
        )
        for name, most in (
            ("reward", 1.0),
            ("with_signal", 1.0),
            ("entropy", 1e3),
            ("length", 1e6),
        ):
            value = getattr(self, name)
            require(0 <= value <= most, f"A step's {name} is from 0 to {most:g}, not {value}.")


@dataclass(frozen=True, eq=False)
class Learner:
    """A soft prompt with all that training needs to go on: an immutable value.

    ``prompt`` and Adam's ``first_moment`` and ``second_moment`` are float32 CPU tensors
    [soft_tokens, hidden_size] that are never changed in place. ``episodes`` counts the problems
    that it has gone through, ``steps`` those of its optimiser; ``history`` keeps the newest
    ``MAX_HISTORY`` records. ``source`` is the base model in front of which it was learnt,
    ``families`` (sorted) are those that its problems were of. ``stream_seed`` is the seed
    of the stream of training problems that it goes through, None for its config's; the next one to
    learn from is number ``episodes``, so a run that is continued elsewhere goes on with that.
    """

    config: LearnerConfig
    prompt: torch.Tensor
    first_moment: torch.Tensor
    second_moment: torch.Tensor
    steps: int
    episodes: int
    history: tuple[StepRecord, ...]
    source: ModelSource
    families: tuple[str, ...] = ()
    stream_seed: int | None = None


def new_learner(base_model: BaseModel, config: LearnerConfig) -> Learner:
    """A learner that has learnt nothing yet. The same config gives the same prompt everywhere."""
    starts = (_from_vocabulary, _from_text, _from_normal)
    start = dict(zip(INITIALISERS, starts, strict=True))[config.initialiser]
    prompt = start(base_model, config).float().cpu().contiguous()
    return untrained(base_model.source, config, prompt)


def untrained(source: ModelSource, config: LearnerConfig, prompt: torch.Tensor) -> Learner:
    """A learner that starts from this prompt, float32 [soft_tokens, hidden_size] on the CPU."""
    return Learner(
        config=config,
        prompt=prompt,
        first_moment=torch.zeros_like(prompt),
        second_moment=torch.zeros_like(prompt),
        steps=0,
        episodes=0,
        history=(),
        source=source,
    )


def _from_vocabulary(base_model: BaseModel, config: LearnerConfig) -> torch.Tensor:
    """Embeddings of tokens drawn from the ordinary vocabulary, without special or unused rows."""
    tokenizer = base_model.tokenizer
    added = set(tokenizer.added_tokens_decoder)
    known = min(len(tokenizer), base_model.vocabulary_size)
    ordinary = torch.tensor([token for token in range(known) if token not in added])
    drawn = torch.randint(len(ordinary), (config.soft_tokens,), generator=_generator(config.seed))
    return base_model.embed(ordinary[drawn])


def _from_text(base_model: BaseModel, config: LearnerConfig) -> torch.Tensor:
    """Embeddings of ``init_text``, cycled or cut to length, as in PEFT's TEXT initialiser."""
    encoding = base_model.tokenizer.backend_tokenizer.encode(
        config.init_text, add_special_tokens=False
    )
    ids = [encoding.ids[i % len(encoding.ids)] for i in range(config.soft_tokens)]
    return base_model.embed(torch.tensor(ids))


def _from_normal(base_model: BaseModel, config: LearnerConfig) -> torch.Tensor:
    """Gaussian noise of standard deviation ``init_std``: the original experiment's start."""
    shape = (config.soft_tokens, base_model.hidden_size)
    return torch.randn(shape, generator=_generator(config.seed)) * config.init_std


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def require(holds: bool, sentence: str) -> None:
    """Raise ValueError with this sentence unless it ``holds``."""
    if not holds:
        raise ValueError(sentence)
