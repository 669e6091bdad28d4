"""From a lesson to what the page shows: every picture, line and button state, as plain values."""

from dataclasses import dataclass

from learner.learning.learner import Learner
from learner.learning.signals import RECORDED, SIGNALS
from learner.model.base_model import ModelFacts
from learner.view import cards, charts
from learner.view.hints import told
from learner.view.samples_chart import samples_chart
from learner.view.strip import strip
from learner.view.thumb_cards import thumbs_panel
from learner.visitors.exam import Exam
from learner.visitors.lesson import Lesson

STRIP_SCALE = 2.0  # standard deviations of the word embeddings at which a cell is fully coloured


@dataclass(frozen=True)
class Choice:
    """A choice as it stands, and whether it can be changed now."""

    value: bool | str
    enabled: bool


@dataclass(frozen=True)
class Picture:
    """What the page shows of a lesson: HTML strings, choices, which buttons can be pressed."""

    strip: str
    problem: str
    answers: str
    hint: str
    progress: str
    accuracy: str
    loss: str
    families: str
    chat_template: Choice
    signal: Choice
    thumbs: str
    can_try: bool
    can_learn_thumbs: bool
    can_train: bool
    can_stop: bool
    can_train_one: bool
    can_undo: bool
    can_reset: bool


class Painter:
    """Paints lessons in front of one base model, scored by one exam."""

    def __init__(self, base_model: ModelFacts, exam: Exam) -> None:
        self._base_model = base_model
        self._exam = exam
        self._scale = STRIP_SCALE * base_model.embedding_spread

    def paint(self, lesson: Lesson) -> Picture:
        """The page as it should look now."""
        learner, comparison, run = lesson.learner, lesson.comparison, lesson.run
        chat_template = lesson.chat_template
        watching = run is not None or not learner.episodes
        problem = comparison.problem
        answers = cards.answer_grid(comparison.completions, chat_template if watching else None)
        return Picture(
            strip=self.strip(learner),
            problem=cards.problem_card(problem, lesson.learnt_from_shown) if problem else "",
            answers=answers,
            hint=cards.hint(*self._hint(lesson)),
            progress=_progress(lesson),
            accuracy=self._accuracy(lesson),
            loss=_loss(lesson),
            families=self._families(lesson),
            chat_template=Choice(chat_template, enabled=run is None),
            signal=Choice(lesson.signal, enabled=run is None),
            thumbs=thumbs_panel(lesson.samples.shown, enabled=run is None),
            can_try=run is None and problem is not None and not lesson.samples.shown.drawing,
            can_learn_thumbs=run is None and any(one.thumb for one in lesson.samples.shown.samples),
            can_train=run is None,
            can_stop=run is not None,
            can_train_one=run is None and problem is not None and bool(problem.answer),
            can_undo=run is None and lesson.session.undo_depth > 0,
            can_reset=run is None and learner.episodes > 0,
        )

    def strip(self, learner: Learner) -> str:
        """The soft prompt's numbers in front of the frozen model."""
        return strip(
            learner.prompt.tolist(),
            self._scale,
            self._base_model.name,
            self._base_model.parameter_count,
            learner.episodes,
        )

    def _accuracy(self, lesson: Lesson) -> str:
        chat_template = lesson.chat_template
        points = [charts.CurvePoint(score.episodes, score) for score in lesson.results()]
        until = max(80, lesson.learner.episodes)
        if lesson.run is not None:
            until = max(until, lesson.learner.episodes + lesson.run.total - lesson.run.done)
        missing = self._exam.error or "measuring the model alone …"
        rewards = [
            (step.episodes, step.reward)
            for step in lesson.learner.history
            if step.samples and RECORDED[step.signal].earned and step.chat_template is chat_template
        ]
        return charts.accuracy_chart(
            points, self._exam.baselines, chat_template, until, missing, rewards
        )

    def _families(self, lesson: Lesson) -> str:
        chat_template = lesson.chat_template
        alone = self._exam.alone(chat_template)
        trained = [marks for marks in lesson.results() if marks.episodes]
        problems = self._exam.problems
        return charts.family_chart(
            alone.by_family(problems) if alone else {},
            trained[-1].by_family(problems) if trained and alone else {},
            chat_template,
        )

    def _hint(self, lesson: Lesson) -> tuple[str, str]:
        if lesson.run is not None:
            what = charts.FORMAT_WORDS[lesson.chat_template]
            if not SIGNALS[lesson.signal].told:
                return f"Trying {what}, and told only right or wrong. Watch the ✓ grow.", "working"
            return f"Learning {what}. Watch the ☞ answer, and the curve rise.", "working"
        if lesson.latest_event is not None:
            return told(lesson.latest_event, lesson.learner.episodes, self._exam), "done"
        if not lesson.learner.episodes:
            return "Press **Train 80 episodes** and watch the ☞ answer change.", "next"
        return (
            "Try a **New problem**: neither the model nor your soft prompt has seen it.",
            "next",
        )


def _loss(lesson: Lesson) -> str:
    """The loss by step; in its place, where the learner tries by itself, how its tries went."""
    learner = lesson.learner
    if not SIGNALS[lesson.signal].earned:
        steps = [step for step in learner.history if RECORDED[step.signal].told]
        return charts.loss_chart([(step.episodes, step.loss) for step in steps])
    config = learner.config
    if lesson.graded is None:
        return samples_chart((), 0, config.samples_per_problem, config.episodes_per_step)
    episodes, report = lesson.graded
    return samples_chart(
        report.groups, episodes, config.samples_per_problem, config.episodes_per_step
    )


def _progress(lesson: Lesson) -> str:
    run, event = lesson.run, lesson.latest_event
    if run is not None:
        doing = "testing on held-out problems" if run.examining else ""
        return cards.progress(run.done, run.total, run.rate, run.seconds_left, doing or run.refused)
    if event is None or not event.episodes:
        return cards.progress(0, 0, None, None)
    quick = event.kind == "run" and event.rate is not None and event.rate >= 1
    speed = f" · {event.rate:.0f} a second" if quick else ""
    return cards.progress(
        0, 0, None, None, f"{cards.count(event.episodes, 'episode')} learnt{speed}"
    )
