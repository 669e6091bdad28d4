"""A model that a test holds by the hand: what a service runs, and when, is the test's to decide.

Two functions stand in the model's place. They run only when the test lets them, so that what waits
at the same moment is decided by the test and not by the clock.
"""

import threading

from learner.model.completion import Ask, Completion
from learner.service.in_process import Service

PATIENCE = 30.0  # seconds until a test that hangs fails instead


class Gate:
    """Lets passes through one at a time: a pass reports, then waits until it is let in."""

    def __init__(self):
        self._reached = threading.Semaphore(0)
        self._let_in = threading.Semaphore(0)
        self._open = False

    def pass_through(self):
        self._reached.release()
        if not self._open:
            assert self._let_in.acquire(timeout=PATIENCE), "nobody let the pass in"

    def wait_until_reached(self):
        assert self._reached.acquire(timeout=PATIENCE), "no pass came"

    def let_one_in(self):
        self._let_in.release()

    def open(self):
        self._open = True
        self._let_in.release()


class FakeModel:
    """Stands in for the two functions; notes what each pass held. Learners and problems are words.

    Training appends the problem to the learner; the answer to a question is its letters, one more
    at each token. The word "bad" raises.
    """

    def __init__(self):
        self.gate = Gate()
        self.passes = []

    def train(self, base_model, requests):
        self.gate.pass_through()
        self.passes.append([(learner, *problems) for learner, problems in requests])
        for _, problems in requests:
            if "bad" in problems:
                raise ValueError("That problem is bad.")
        return [(learner + "".join(problems), "report") for learner, problems in requests]

    def rows(self, learner, problems):
        return len(problems)

    def stream(self, base_model, asks, max_new_tokens):
        self.gate.pass_through()
        self.passes.append([ask.question for ask in asks])
        for length in range(1, max_new_tokens + 1):
            if length == 2 and any(ask.question == "bad" for ask in asks):
                raise ValueError("That question is bad.")
            yield tuple(
                Completion(
                    text=ask.question[:length],
                    tokens=length,
                    finished=length >= len(ask.question),
                    seconds=0.0,
                )
                for ask in asks
            )


def asks(*questions):
    return [Ask(question, chat_template=False) for question in questions]


def texts(completions):
    return [completion.text for completion in completions]


def started(fake, **options):
    functions = {"train": fake.train, "stream": fake.stream, "rows": fake.rows}
    return Service(None, **(functions | options))


def hold(service, fake):
    """Have the worker wait inside a pass, so that whatever is asked for next waits together."""
    held = service.train("held", [])
    fake.gate.wait_until_reached()
    return held
