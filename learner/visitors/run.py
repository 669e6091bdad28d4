"""One training run, step by step: the loop behind the Train button, without a page around it.

A run asks the service for the steps up to its next milestone, which come one by one. It yields the
learner after every step: whoever consumes it may keep any of these values and walk away. Learners
are values, so a milestone's exam is taken of a snapshot, in the background: training goes on
meanwhile, and scores come in as they grow.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from contextvars import copy_context
from dataclasses import dataclass, replace
from itertools import islice
from queue import Empty, Queue
from typing import Any

from learner.learning.learner import Learner
from learner.learning.step_report import StepReport
from learner.learning.training import Material
from learner.measuring import Answers, Score
from learner.service.protocol import ModelService
from learner.visitors.exam import FIRST_LOOK, Exam
from learner.visitors.own_list import OwnList

EXAMS_PER_RUN = 4
LOOK_SECONDS = 0.1  # while only exams are on, how often it is looked whether to stop


@dataclass(frozen=True)
class RunState:
    """Where a run is. ``learner`` is what has been learnt so far.

    ``rate`` is in episodes a second, over training time alone; ``seconds_left`` are those until all
    is learnt, and ``testing_left`` those that exams take after that: None until they can be known,
    for an exam takes beside training several times as long. ``milestone`` says that an exam of
    this very learner begins; ``examining`` that learning is over, and only exams go on. ``result``
    holds a held-out score where one has come or grown, and ``asked`` of how many problems it will
    be. ``report`` is that of the last step, ``taken`` how many steps were adopted; ``refused`` says
    why the last one was not, if something was wrong with it. ``own`` are the visitor's questions
    where they have just been answered.
    """

    learner: Learner
    done: int
    total: int
    rate: float | None = None
    seconds_left: float | None = None
    testing_left: float | None = None
    milestone: bool = False
    examining: bool = False
    result: Score | None = None
    asked: int = 0
    refused: str = ""
    report: StepReport | None = None
    taken: int = 0
    own: OwnList | None = None


def training_run(
    service: ModelService,
    exam: Exam,
    learner: Learner,
    material: Iterator[Material],
    episodes: int,
    exams: int,
    owner: str,
    stopped: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
    at_most: int | None = None,
) -> Iterator[RunState]:
    """Train ``learner`` on the next ``episodes`` of ``material``, with ``exams`` evenly spread.

    A step takes as many as the learner's settings say, or ``at_most`` so many if those are fewer.
    With no episodes it is measured as it is. Ends when all is learnt and measured; early, at a step
    boundary, once ``stopped()`` is true. Raises what the service raises.
    """
    step_size = min(learner.config.episodes_per_step, at_most or episodes)
    training_seconds = 0.0
    done = taken = milestones = 0
    report: StepReport | None = None

    def state(**extra: object) -> RunState:
        rate = done / training_seconds if training_seconds else None
        left = (episodes - done) / rate if rate else None
        testing = None if left is None else examiner.seconds_left(left, exams - milestones)
        told: dict[str, Any] = {"report": report, "taken": taken, **extra}
        return RunState(learner, done, episodes, rate, left, testing, **told)

    def exams_to_end() -> Iterator[RunState]:
        while not (examiner.idle or stopped()):
            for told in examiner.news(LOOK_SECONDS):
                yield state(examining=True, **told)
                if stopped():
                    return

    with exam.before_what_all_share(), closing(_Examiner(exam, stopped)) as examiner:
        if not episodes:
            examiner.examine(learner, whole=True)
            yield from exams_to_end()
        while done < episodes and not stopped():
            exam_at = math.ceil(episodes * (milestones + 1) / exams) if exams else episodes
            least = max(1, exam_at - done)
            steps = _steps(material, step_size, least, episodes - done)
            with closing(service.train_run(learner, steps, owner=owner)) as run:
                began = clock()
                for step, stepped in zip(steps, run, strict=True):
                    learner, report = stepped
                    training_seconds += clock() - began
                    done += len(step)
                    taken += report.accepted
                    yield state(refused="" if report.accepted or report.agreed else report.message)
                    if stopped():
                        return
                    for told in examiner.news():
                        yield state(**told)
                        if stopped():
                            return
                    began = clock()
            if exams:
                milestones += 1
                examiner.examine(learner, whole=done >= episodes)
                yield state(milestone=True, examining=done >= episodes)
            if done >= episodes or exam.visitors_only:
                yield from exams_to_end()


def asked_around(
    own: OwnList,
    state: RunState,
    run: Iterator[RunState],
    answers: Answers,
    stopped: Callable[[], bool],
) -> Iterator[RunState]:
    """A run from its first ``state`` on, with the visitor's questions asked before it and after it.

    They are not where it was ``stopped`` meanwhile.
    """
    if written := own.asked_of(state.learner, answers, stopped):
        chat_template, episodes = state.learner.config.chat_template, state.learner.episodes
        own = own.asked_before(written, chat_template, episodes)
        yield replace(state, own=own)
    for state in run:
        yield state
    if written := own.asked_of(state.learner, answers, stopped):
        own = own.asked_now(written, state.learner.episodes)
        yield replace(state, own=own, milestone=False, result=None)


@dataclass(eq=False)
class _Snapshot:
    """A learner to examine on ``size`` problems; is it the run's last? What is known so far."""

    learner: Learner
    size: int
    is_last: bool
    looks: tuple[int, ...]  # problems asked at first, then as many as these are more, and so on
    known: str = ""  # outcomes; touched by the thread that takes the exams alone
    told: int = 0  # how many of them whoever reads the run has heard of


class _Examiner:
    """Takes exams of snapshots on a thread of its own: in order, but the last before all others.

    It is the one that somebody waits for; the others are points on the way, and go on after it. The
    first of them begins with a few problems that are asked as a click is, so that there is a point.
    """

    def __init__(self, exam: Exam, stopped: Callable[[], bool]) -> None:
        self._exam = exam
        self._stopped = stopped
        self._changed = threading.Condition()  # guards the next two
        self._given: list[_Snapshot] = []
        self._closed = False
        self._alone = exam.visitors_only  # exams are taken beside no training, or no more
        self._news: Queue[tuple[_Snapshot, Score] | Exception] = Queue()
        self._waiting: list[_Snapshot] = []  # whose exams are not over
        # What a service counts against whoever asked goes along with the thread.
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._work,), name="exams", daemon=True
        )

    @property
    def idle(self) -> bool:
        """Whether all exams that were asked for are over, and have been told of.

        Also where nobody is left to take them, so that no run waits for ever.
        """
        return not self._waiting or (self._news.empty() and not self._thread.is_alive())

    def examine(self, learner: Learner, whole: bool) -> None:
        """Take an exam of ``learner``: over the ``whole`` set, or as much as time allows."""
        size = len(self._exam.problems) if whole else self._exam.milestone_size
        is_first = not self._thread.ident
        begins = is_first and not whole and not self._exam.visitors_only
        looks = (min(FIRST_LOOK, size), size) if begins else (size,)
        snapshot = _Snapshot(learner, size, whole, looks)
        self._waiting.append(snapshot)
        self._alone |= whole
        with self._changed:
            self._given.append(snapshot)
            self._changed.notify_all()
        if is_first:
            self._thread.start()

    def news(self, wait: float = 0.0) -> Iterator[dict[str, object]]:
        """What has come in; ``wait`` so many seconds for the first. Raises what an exam raised."""
        while True:
            try:
                news = self._news.get(timeout=wait) if wait else self._news.get_nowait()
            except Empty:
                return
            if isinstance(news, Exception):
                raise news
            snapshot, score = news
            snapshot.told = score.n
            if score.n == snapshot.size:
                self._waiting.remove(snapshot)
            yield {"result": score, "asked": snapshot.size}
            wait = 0.0

    def seconds_left(self, training: float, to_come: int) -> float | None:
        """What is left of exams, ``to_come`` more, once all is learnt in ``training`` seconds.

        By the pace of those beside no training, as the last one is taken; the others have been on
        until then, by the latest pace.
        """
        left: float = sum(one.size - one.told for one in self._waiting)
        if to_come:
            left += (to_come - 1) * self._exam.milestone_size
            beside = 0.0 if self._alone else min(left, (self._exam.pace or 0.0) * training)
            left += len(self._exam.problems) - beside
        if not left:
            return 0.0
        return left / self._exam.pace_alone if self._exam.pace_alone else None

    def close(self) -> None:
        """Have no further exams, and stop the one that is on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _work(self) -> None:
        try:
            while (snapshot := self._next()) is not None and not self._over():
                self._take(snapshot)
                self._exam.measure_left(self._over)
        except (ValueError, RuntimeError) as error:  # raised again where the run is read
            self._news.put(error)

    def _next(self) -> _Snapshot | None:
        """Whom to examine next; waits until there is somebody. None to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._given or self._closed)
            return None if self._closed else self._given.pop(-1 if self._given[-1].is_last else 0)

    def _take(self, snapshot: _Snapshot) -> None:
        """Go on with an exam until it is over, or has to make way for the last one."""
        chat_template = snapshot.learner.config.chat_template
        for size in snapshot.looks:
            if size <= len(snapshot.known):
                continue
            beside_training = not self._alone
            for grown in self._exam.grow(
                snapshot.learner, chat_template, size, snapshot.known, beside_training
            ):
                if self._over():
                    return
                if grown.n > len(snapshot.known):
                    snapshot.known = grown.outcomes
                    self._news.put((snapshot, grown))
                with self._changed:
                    if self._given and self._given[-1].is_last:
                        self._given.insert(0, snapshot)
                        return

    def _over(self) -> bool:
        return self._closed or self._stopped()


def _steps(
    material: Iterator[Material], size: int, least: int, most: int
) -> list[tuple[Material, ...]]:
    """Steps of ``size`` episodes each, until they are ``least`` together; at most ``most``."""
    steps: list[tuple[Material, ...]] = []
    taken = 0
    while taken < least and (step := tuple(islice(material, min(size, most - taken)))):
        steps.append(step)
        taken += len(step)
    return steps
