"""What programs can do through the app's API: the page's actions, typed and documented.

A session id is the key to one learner; whoever has it can use it. Every call checks all it is
given and answers with one sentence where it cannot be done.
"""

from collections.abc import Callable, Mapping
from typing import Any

from learner.measuring import Score, Tally
from learner.service.protocol import ModelService
from learner.view.cards import verdict
from learner.view.endpoint import endpoint
from learner.view.screen import said
from learner.visitors.checked_input import (
    checked_difficulty,
    checked_episodes,
    checked_families,
    checked_format,
    checked_signal,
    checked_thumbs,
    own_problem,
)
from learner.visitors.comparison import CONDITIONS
from learner.visitors.exam import Exam
from learner.visitors.lesson import Lesson
from learner.visitors.open_lessons import OpenLessons

Json = dict[str, Any]


def add_api(lessons: OpenLessons, service: ModelService) -> None:
    """Register the public endpoints; call inside ``with gr.Blocks()``."""

    def find(session: str) -> Lesson:
        return lessons.get(session)

    def begun(session: str, episodes: object, chat_template: object, signal: object) -> Lesson:
        lesson = find(session)
        number, told = checked_episodes(episodes), checked_signal(signal)
        lesson.choose_format(checked_format(chat_template))
        lesson.choose_signal(told)
        lesson.train(number)
        return lesson

    def new_session() -> str:
        """Start a new, untrained learner; returns the session id that all other calls take."""
        return lessons.open().session.id

    def new_problem(session: str, family: str = "any", difficulty: int = 0) -> Json:
        """Draw a held-out problem and answer it with and without template and soft prompt.

        Returns the problem and four answers with their grades.
        """
        with said(markup=False):
            lesson = find(session)
            lesson.draw(checked_families(family), checked_difficulty(difficulty))
            return _shown(_finished(lesson))

    def ask(session: str, question: str, answer: str = "") -> Json:
        """Ask a question of your own: four answers, graded if you give the right one."""
        with said(markup=False):
            lesson = find(session)
            lesson.show(own_problem(question, answer))
            return _shown(_finished(lesson))

    def train(
        session: str, episodes: int = 80, chat_template: bool = False, signal: str = "answer"
    ) -> Json:
        """Train on fresh problems and score on the held-out set.

        Returns, when it is done, the learner's counts and its latest held-out result. Ends early
        if stopped.
        """
        with said(markup=False):
            return _learner(_finished(begun(session, episodes, chat_template, signal)))

    def start_training(
        session: str, episodes: int = 80, chat_template: bool = False, signal: str = "answer"
    ) -> Json:
        """As `train`, but returns at once: `progress` tells how far it is, `stop` ends it."""
        with said(markup=False):
            return _progress(begun(session, episodes, chat_template, signal))

    def progress(session: str) -> Json:
        """How the run is going, at once: episodes done and in all, and the learner so far."""
        with said(markup=False):
            return _progress(find(session))

    def train_on_problem(session: str) -> Json:
        """Train once on the problem shown last; returns its four answers afterwards."""
        with said(markup=False):
            lesson = find(session)
            lesson.train_one()
            return _shown(_finished(lesson))

    def tries(session: str) -> Json:
        """Sample up to four different answers to the problem shown last, in the format learnt in.

        They can be marked and learnt from with `thumbs`; no right answer is needed.
        """
        with said(markup=False):
            lesson = find(session)
            lesson.draw_samples()
            return _tries(_finished(lesson))

    def thumbs(session: str, marks: list[int]) -> Json:
        """Learn from your marks on the tries drawn last.

        Returns how likely the learner was, and is, to say just that. `undo` takes it back.
        """
        with said(markup=False):
            lesson = find(session)
            lesson.rate_all(checked_thumbs(marks))
            lesson.learn_from_thumbs()
            return _tries(_finished(lesson))

    def evaluate(session: str, chat_template: bool = False) -> Json:
        """Score the soft prompt as it is on the held-out set, paired with the model alone."""
        with said(markup=False):
            lesson = find(session)
            score = lesson.exam.take(lesson.learner, checked_format(chat_template))
            return _result(score, lesson.exam)

    def act(action: Callable[[Lesson], None]) -> Callable[[str], Json]:
        def endpoint(session: str) -> Json:
            with said(markup=False):
                lesson = find(session)
                action(lesson)
                return _learner(_finished(lesson))

        return endpoint

    def status() -> Json:
        """What the service is doing.

        waiting: requests in no pass yet. busy: whether a pass runs. rows, seconds: of the latest
        pass; training_rows, answering_rows: of the latest of each kind. median_wait, p95_wait:
        seconds from request to pass, over the latest 256. passes, steps, completions: so far.
        trouble: why nothing can be run now, or empty.
        """
        return dict(vars(service.status()))

    for function in (
        *(new_session, new_problem, ask, train, start_training, progress, train_on_problem),
        *(tries, thumbs, evaluate, status),
    ):
        endpoint(function)
    for name, action, description in (
        (
            "stop",
            Lesson.stop,
            "Stop the run at its next step; what was learnt is kept, and measured.",
        ),
        ("undo", Lesson.undo, "Go back to the learner before the last run, reset or load."),
        ("reset", Lesson.reset, "Start again from an untrained soft prompt."),
        ("learner", lambda lesson: None, "The learner's counts and latest held-out result."),
    ):
        endpoint(act(action), name, description)


def _finished(lesson: Lesson) -> Lesson:
    """The lesson once its run and its answers are done."""
    for _ in lesson.follow(lambda: lesson.busy):
        pass
    return lesson


def _shown(lesson: Lesson) -> Json:
    comparison = lesson.comparison
    problem = comparison.problem
    assert problem is not None, "a lesson has a problem from its start"
    return {
        "family": problem.family,
        "difficulty": problem.difficulty,
        "question": problem.question,
        "answer": problem.answer,
        "explanation": problem.explanation,
        "answers": [
            {
                "chat_template": chat_template,
                "soft_prompt": soft_prompt,
                "text": answer.text,
                "verdict": verdict(answer.grade)[2],
                "extracted": answer.grade.extracted if answer.grade else None,
                "reason": answer.grade.reason if answer.grade else "",
                "tokens": answer.tokens,
                "seconds": answer.seconds,
            }
            for (chat_template, soft_prompt), answer in zip(
                CONDITIONS, comparison.completions, strict=True
            )
        ],
    }


def _tries(lesson: Lesson) -> Json:
    shown = lesson.samples.shown
    return {
        "question": shown.problem.question if shown.problem else None,
        "chat_template": shown.chat_template,
        "drawn": shown.drawn,
        "tries": [
            {
                "text": one.text,
                "tokens": len(one.ids),
                "mark": one.thumb,
                "before": one.moved.before if one.moved else None,
                "after": one.moved.after if one.moved else None,
            }
            for one in shown.samples
        ],
        "learner": {"episodes": lesson.learner.episodes, "undo": lesson.session.undo_depth},
    }


def _progress(lesson: Lesson) -> Json:
    run = lesson.run
    return {
        "running": run is not None,
        "done": run.done if run else None,
        "total": run.total if run else None,
        "seconds_left": run.seconds_left if run else None,
        "learner": _learner(lesson),
    }


def _learner(lesson: Lesson) -> Json:
    learner = lesson.learner
    latest = learner.history[-1] if learner.history else None
    trained = [marks for marks in lesson.results() if marks.episodes]
    return {
        "episodes": learner.episodes,
        "steps": learner.steps,
        "loss": latest.loss if latest else None,
        "reward": latest.reward if latest and latest.samples else None,
        "signal": lesson.signal,
        "chat_template": lesson.chat_template,
        "undo": lesson.session.undo_depth,
        "held_out": _result(trained[-1], lesson.exam) if trained else None,
    }


def _result(result: Score, exam: Exam) -> Json:
    gain, alone = exam.gain(result), exam.alone(result.chat_template)
    return {
        **_score(result),
        "episodes": result.episodes,
        "chat_template": result.chat_template,
        "families": _scores(result.by_family(exam.problems)),
        "model_alone": _score(alone) if alone else None,
        "gained": gain.gained if gain else None,
        "lost": gain.lost if gain else None,
        "p_value": gain.p_value if gain else None,
    }


def _scores(scores: Mapping[str, Tally]) -> Json:
    return {name: _score(score) for name, score in scores.items()}


def _score(score: Tally) -> Json:
    return {
        "correct": score.correct,
        "n": score.n,
        "no_answer": score.no_answer,
        "accuracy": score.accuracy,
        "interval": [score.interval.low, score.interval.high],
    }
