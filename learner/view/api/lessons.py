"""What programs can do through the app's API: the page's actions, typed and documented.

A session id is the key to one learner; whoever has it can use it. Every call checks all it is
given and answers with one sentence where it cannot be done.
"""

from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr
from anyio import CapacityLimiter

from arena.statistics import McNemar
from learner.measuring import Score, Tally
from learner.view.api.endpoint import endpoint
from learner.view.cards import VERDICTS, verdict
from learner.view.screen import QUICK, SLOW, in_thread, measuring_thread, said
from learner.view.server.origin import address_behind
from learner.visitors.checked_input import (
    checked_difficulty,
    checked_episodes,
    checked_families,
    checked_format,
    checked_name,
    checked_problem,
    checked_signal,
    checked_thumbs,
    checked_times,
    own_problem,
)
from learner.visitors.comparison import CONDITIONS
from learner.visitors.exam import Exam
from learner.visitors.followed import MOST_MEASURING, TooMuchAtOnce
from learner.visitors.lesson import Lesson
from learner.visitors.models import Offer
from learner.visitors.open_lessons import OpenLessons
from learner.visitors.own_list import read_list

Json = dict[str, Any]


def add_api(lessons: OpenLessons) -> None:
    """Register the public endpoints; call inside ``with gr.Blocks()``."""
    models = lessons.models

    def find(session: str) -> Lesson:
        return lessons.get(session)

    def begin(lesson: Lesson, episodes: object, chat_template: object, signal: object) -> None:
        number, told = checked_episodes(episodes), checked_signal(signal)
        lesson.choose_format(checked_format(chat_template))
        lesson.choose_signal(told)
        lesson.train(number)

    async def done(
        session: str, action: Callable[[Lesson], None], limiter: CapacityLimiter = QUICK
    ) -> Lesson:
        """The lesson when the action, and what goes on since then, is over."""

        def act() -> Lesson:
            lesson = find(session)
            with lesson.acting():
                action(lesson)
            return lesson

        lesson = await in_thread(act, limiter=limiter)
        async for _ in lesson.follow(lambda: lesson.busy):
            pass
        if lesson.busy:
            raise TooMuchAtOnce
        return lesson

    async def told(lesson: Lesson) -> Json:
        return await in_thread(_learner, lesson)

    def new_session(request: gr.Request) -> str:
        """Start a new, untrained learner; returns the session id that all other calls take."""
        with said(markup=False):
            return lessons.open(address=address_behind(request)).session.id

    def list_models() -> list[Json]:
        """The base models that there are to choose from, and how far those are that still load."""
        return [_offer(offer) for offer in models.offers]

    def choose_model(session: str, model: str) -> Json:
        """Go over to another base model, where this session has a learner of its own.

        The one that it leaves is kept, and goes on with what it does.
        """
        with said(markup=False):
            return _learner(lessons.change(session, models.find(model)))

    async def new_problem(session: str, family: str = "any", difficulty: int = 0) -> Json:
        """Draw a held-out problem and answer it with and without template and soft prompt.

        Returns the problem and four answers with their grades.
        """

        def draw(lesson: Lesson) -> None:
            lesson.draw(checked_families(family), checked_difficulty(difficulty))

        with said(markup=False):
            return _shown(await done(session, draw))

    async def ask(session: str, question: str, answer: str = "") -> Json:
        """Ask a question of your own: four answers, graded if you give the right one."""
        with said(markup=False):
            return _shown(
                await done(session, lambda lesson: lesson.show(own_problem(question, answer)))
            )

    async def train(
        session: str, episodes: int = 80, chat_template: bool = False, signal: str = "answer"
    ) -> Json:
        """Train on fresh problems and score on the held-out set.

        Returns, when it is done, the learner's counts and its latest held-out result. Ends early
        if stopped.
        """
        with said(markup=False):
            asked = episodes, chat_template, signal
            return await told(await done(session, lambda lesson: begin(lesson, *asked)))

    def start_training(
        session: str, episodes: int = 80, chat_template: bool = False, signal: str = "answer"
    ) -> Json:
        """As `train`, but returns at once: `progress` tells how far it is, `stop` ends it."""
        with said(markup=False):
            lesson = find(session)
            begin(lesson, episodes, chat_template, signal)
            return _progress(lesson)

    def progress(session: str) -> Json:
        """How the run is going, at once: episodes done and in all, and the learner so far."""
        with said(markup=False):
            return _progress(find(session))

    async def train_on_problem(session: str, times: int = 1) -> Json:
        """Train on the problem shown last, once or more often; returns its four answers then."""
        with said(markup=False):
            number = checked_times(times)
            return _shown(await done(session, lambda lesson: lesson.train_one(number)))

    async def train_on_list(session: str, questions: str = "", times: int = 10) -> Json:
        """Train on up to 50 questions of your own; without any, on those that were given before.

        Returns how many of them, and of the held-out problems, are right before and afterwards:
        where only the former rises, it learns the answers by heart.
        """

        def begin_list(lesson: Lesson) -> None:
            number = checked_times(times)
            if questions:
                lesson.keep_list(read_list(questions))
            lesson.train_list(number)

        with said(markup=False):
            return _own_list(await done(session, begin_list))

    async def tries(session: str) -> Json:
        """Sample up to four different answers to the problem shown last, in the format learnt in.

        They can be marked and learnt from with `thumbs`; no right answer is needed.
        """
        with said(markup=False):
            return _tries(await done(session, Lesson.draw_samples))

    async def thumbs(session: str, marks: list[int]) -> Json:
        """Learn from your marks on the tries drawn last.

        Returns how likely the learner was, and is, to say just that. `undo` takes it back.
        """

        def learn(lesson: Lesson) -> None:
            lesson.rate_all(checked_thumbs(marks))
            lesson.learn_from_thumbs()

        with said(markup=False):
            return _tries(await done(session, learn))

    async def evaluate(session: str, chat_template: bool = False) -> Json:
        """Score the soft prompt as it is on the held-out set, paired with the model alone."""

        def measure() -> Json:
            lesson = find(session)
            with lesson.acting(MOST_MEASURING):
                score = lesson.exam.take(lesson.learner, checked_format(chat_template))
                return _result(score, lesson.exam)

        with said(markup=False):
            return await measuring_thread(measure)

    def held_out(session: str) -> list[Json]:
        """The problems that all learners are scored on, and what became of each, by its number.

        alone is of the model alone, learnt of the newest score since something was learnt; both in
        the format that is learnt in, and empty for what has not been asked so far.
        """
        with said(markup=False):
            return _held_out(find(session))

    async def ask_held_out(session: str, number: int) -> Json:
        """Answer a held-out problem, by its number, with and without template and soft prompt."""
        with said(markup=False):
            pressed = checked_problem({"problem": number})
            return _shown(await done(session, lambda lesson: lesson.show_scored(pressed)))

    async def undo(session: str) -> Json:
        """Go back to the learner before the last run, reset or load."""
        with said(markup=False):
            return await told(await done(session, Lesson.undo, SLOW))

    async def redo(session: str) -> Json:
        """Go forth again to the learner that the latest undo left."""
        with said(markup=False):
            return await told(await done(session, Lesson.redo, SLOW))

    async def reset(session: str) -> Json:
        """Start again from an untrained soft prompt."""
        with said(markup=False):
            return await told(await done(session, Lesson.reset, SLOW))

    async def stop(session: str) -> Json:
        """Stop the run at its next step; what was learnt is kept, and measured."""

        def halt() -> Lesson:
            lesson = find(session)
            lesson.stop()
            return lesson

        with said(markup=False):
            lesson = await in_thread(halt)
            async for _ in lesson.follow(lambda: lesson.busy):
                pass
            return await told(lesson)

    def learner(session: str) -> Json:
        """The learner's counts and latest held-out result, as they are now."""
        with said(markup=False):
            return _learner(find(session))

    def keep_snapshot(session: str, snapshot: str = "") -> list[Json]:
        """Keep the learner as it is under a name; returns all that are kept."""
        with said(markup=False):
            lesson = find(session)
            lesson.keep_snapshot(checked_name(snapshot))
            return _snapshots(lesson)

    def snapshots(session: str) -> list[Json]:
        """The learners kept under a name, with their scores in the format learnt in."""
        with said(markup=False):
            return _snapshots(find(session))

    async def go_to_snapshot(session: str, snapshot: str) -> Json:
        """Go on with a learner that was kept; `undo` leads back. Returns its counts and result."""

        def go(lesson: Lesson) -> None:
            lesson.go_to_snapshot(checked_name(snapshot))

        with said(markup=False):
            return await told(await done(session, go, SLOW))

    def remove_snapshot(session: str, snapshot: str) -> list[Json]:
        """Forget a learner that was kept; returns those that are left."""
        with said(markup=False):
            lesson = find(session)
            lesson.remove_snapshot(checked_name(snapshot))
            return _snapshots(lesson)

    def status() -> Json:
        """What the service of the first model is doing.

        waiting: requests in no pass yet. busy: whether a pass runs. rows, seconds: of the latest
        pass; training_rows, answering_rows: of the latest of each kind. median_wait, p95_wait:
        seconds from request to pass, over the latest 256. passes, steps, completions: so far.
        trouble: why nothing can be run now, or empty.
        """
        return dict(vars(models.first.service.status()))

    for function in (
        *(new_session, new_problem, ask, train, start_training, progress, train_on_problem),
        *(train_on_list, tries, thumbs, evaluate, held_out, ask_held_out, stop, undo, redo, reset),
        *(learner, status),
        *(list_models, choose_model),
        *(keep_snapshot, snapshots, go_to_snapshot, remove_snapshot),
    ):
        endpoint(function)


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


def _held_out(lesson: Lesson) -> list[Json]:
    alone, learnt = lesson.exam.alone(lesson.chat_template), lesson.latest_score

    def outcome(score: Score | None, number: int) -> str:
        return VERDICTS[score.outcomes[number]][2] if score and number < score.n else ""

    return [
        {
            "number": number,
            "family": problem.family,
            "difficulty": problem.difficulty,
            "question": problem.question,
            "answer": problem.answer,
            "alone": outcome(alone, number),
            "learnt": outcome(learnt, number),
        }
        for number, problem in enumerate(lesson.exam.problems)
    ]


def _own_list(lesson: Lesson) -> Json:
    own = lesson.own_list
    sides = {"own": own.scores, "held_out": lesson.own_held_out}
    return {
        **{
            name: {
                when: _score(score) if score else None
                for when, score in zip(("before", "after"), scores, strict=True)
            }
            for name, scores in sides.items()
        },
        "answers": [
            {
                "question": problem.question,
                "answer": problem.answer,
                "text": text,
                "verdict": VERDICTS[outcome][2],
            }
            for problem, text, outcome in zip(own.problems, own.said, own.now, strict=False)
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
        "testing_seconds_left": run.testing_left if run else None,
        "learner": _learner(lesson),
    }


def _learner(lesson: Lesson) -> Json:
    learner = lesson.learner
    latest = learner.history[-1] if learner.history else None
    held_out = lesson.latest_score
    return {
        "model": lesson.base_model.name,
        "episodes": learner.episodes,
        "steps": learner.steps,
        "loss": latest.loss if latest else None,
        "reward": latest.reward if latest and latest.samples else None,
        "signal": lesson.signal,
        "chat_template": lesson.chat_template,
        "undo": lesson.session.undo_depth,
        "redo": lesson.session.redo_depth,
        "held_out": _result(held_out, lesson.exam) if held_out else None,
    }


def _snapshots(lesson: Lesson) -> list[Json]:
    """All snapshots; what was ``gained`` and ``lost`` is the present learner's against each."""
    listed, now = [], lesson.score
    for snapshot in lesson.session.snapshots:
        then = snapshot.score(lesson.chat_template)
        change = now.since(then) if now else None
        listed.append(
            {
                "name": snapshot.name,
                "episodes": snapshot.learner.episodes,
                "held_out": _score(then) if then else None,
                **_change(change),
            }
        )
    return listed


def _change(change: McNemar | None) -> Json:
    return {
        "gained": change.gained if change else None,
        "lost": change.lost if change else None,
        "p_value": change.p_value if change else None,
    }


def _offer(offer: Offer) -> Json:
    return {
        "model": offer.source.name,
        "ready": offer.taught is not None,
        "doing": offer.doing if offer.is_loading else "",
        "refused": offer.refused,
    }


def _result(result: Score, exam: Exam) -> Json:
    gain, alone = exam.gain(result), exam.alone(result.chat_template)
    return {
        **_score(result),
        "episodes": result.episodes,
        "chat_template": result.chat_template,
        "families": _scores(result.by_family(exam.problems)),
        "model_alone": _score(alone) if alone else None,
        **_change(gain),
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
