"""The model card of a soft prompt on the Hub: found by tags, judged by its results, loaded by name.

The front matter is what the Hub reads: the base model that the prompt belongs to, the tags that
`learner.hub.soft_prompts.browse` looks for, and the held-out results as a ``model-index``.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from huggingface_hub import EvalResult, ModelCardData

from learner import wording
from learner.checkpoint.model_card import model_card
from learner.checkpoint.results import Change, HeldOutResults
from learner.learning.learner import Learner
from learner.model.source import ModelSource

APP_TAG = "soft-prompt-arena"
FINDING_PREFIX = "inside-"  # of the files with pictures of a look inside
AFTER, BEFORE = "accuracy with the soft prompt", "accuracy of the model alone"
_POCKET_TAG = f"{APP_TAG}-pocket"  # the embedded model has no page of its own to point to
_FORMATS = {True: "with the chat template", False: "without the chat template"}


def model_filters(source: ModelSource) -> list[str] | None:
    """The Hub's tags of soft prompts for this base model; None if it has no name there."""
    if source.is_embedded:
        return [APP_TAG, _POCKET_TAG]
    return [APP_TAG, f"base_model:{source.hub_id}"] if source.hub_id else None


@dataclass(frozen=True)
class Finding:
    """What a look inside found: a heading, a sentence, and a PNG under a ``name``."""

    name: str
    heading: str
    sentence: str
    picture: bytes

    @property
    def file(self) -> str:
        """The file that its picture is in."""
        return f"{FINDING_PREFIX}{self.name}.png"


def hub_card(
    learner: Learner,
    repo_id: str,
    results: HeldOutResults | None = None,
    curve_file: str | None = None,
    findings: Sequence[Finding] = (),
) -> str:
    """The README.md of ``repo_id``. ``curve_file`` names the picture of the training curve."""
    metadata = ModelCardData(
        base_model=learner.source.hub_id,
        library_name="peft",
        pipeline_tag="text-generation",
        tags=[
            "soft-prompt",
            "prompt-tuning",
            APP_TAG,
            *([_POCKET_TAG] if learner.source.is_embedded else []),
        ],
        model_name=repo_id.split("/")[-1],
        eval_results=_evaluations(results) if results else None,
    )
    return model_card(
        learner,
        repo_id=repo_id,
        front_matter=metadata.to_yaml(),
        sections="\n".join(
            [
                *([_results_section(results)] if results else []),
                *([_inside_section(findings)] if findings else []),
            ]
        ),
        curve_file=curve_file,
    )


def _evaluations(results: HeldOutResults) -> list[EvalResult]:
    """The ``model-index``: accuracy after and before, with all that is needed to judge it."""
    total = results.total
    return [
        EvalResult(
            task_type="text-generation",
            task_name=f"Answering {_FORMATS[results.chat_template]}",
            dataset_type=APP_TAG,
            dataset_name="Soft Prompt Arena",
            dataset_split="held-out",
            dataset_args={"seed": results.seed, "n": total.n},
            metric_type="accuracy",
            metric_name=name,
            metric_value=round(correct / total.n, 4),
            metric_args={
                "n": total.n,
                "correct": correct,
                "interval_95": [round(bound, 4) for bound in (interval.low, interval.high)],
            },
        )
        for name, correct in ((AFTER, total.after), (BEFORE, total.before))
        for interval in [total.interval(correct)]
    ]


def _results_section(results: HeldOutResults) -> str:
    test = results.test
    rows = "\n".join(map(_row, (results.total, *results.by_family)))
    return f"""\
## Results

Accuracy on {results.total.n} held-out problems (seed {results.seed}) that were never trained on, \
asked {_FORMATS[results.chat_template]}, greedy decoding, one exact answer each; in brackets the \
95 % Wilson interval.

| problems | n | model alone | with the soft prompt |
|---|---:|---:|---:|
{rows}

{test.gained} problems gained, {test.lost} lost; exact two-sided McNemar test: \
{wording.p_value(test.p_value)}.
"""


def _inside_section(findings: Sequence[Finding]) -> str:
    parts = [f"![{one.heading}]({one.file})\n\n{one.sentence}\n" for one in findings]
    return "## Inside\n\n" + "\n".join(parts)


def _row(change: Change) -> str:
    cells = [_cell(change, correct) for correct in (change.before, change.after)]
    return f"| {change.name.replace('_', ' ')} | {change.n} | {' | '.join(cells)} |"


def _cell(change: Change, correct: int) -> str:
    interval = change.interval(correct)
    return f"{correct / change.n:.1%} [{interval.low:.1%}, {interval.high:.1%}]"
