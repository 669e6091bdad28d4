"""A model that a test holds by the hand: what a service runs, and when, is the test's to decide.

What stands in the model's place runs only when the test lets it, so that what waits at the same
moment is decided by the test and not by the clock.
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


class FakeRow:
    """A question whose answer is its letters, one more at each token."""

    def __init__(self, base_model, ask, max_new_tokens):
        self.ask = ask
        self.error = None
        self.written = []
        self._most = min(len(ask.question), max_new_tokens)

    @property
    def ended(self):
        return len(self.written) == self._most

    def completion(self):
        text, tokens = "".join(self.written), len(self.written)
        return Completion(text, tokens, finished=text == self.ask.question, seconds=0.0)


class FakeBatch:
    """Stands in for a running batch: reads all that waits, then writes a letter in every row.

    ``before`` is called before each letter, with the rows that are there. "bad" raises.
    """

    def __init__(self, fake, before=lambda rows: None):
        self._fake = fake
        self._before = before
        self._unread, self._rows = [], []

    def __len__(self):
        return len(self._unread) + len(self._rows)

    @property
    def unread(self):
        return len(self._unread)

    def add(self, rows):
        self._unread += rows

    def drop(self, rows):
        self._unread = [row for row in self._unread if row not in rows]
        self._rows = [row for row in self._rows if row not in rows]

    def clear(self):
        rows = self._rows + self._unread
        self._unread, self._rows = [], []
        return rows

    def advance(self):
        self._rows = [row for row in self._rows if not row.ended]
        if self._unread:
            self._fake.gate.pass_through()
            self._fake.passes.append([row.ask.question for row in self._unread])
            self._rows += self._unread
            self._unread = []
        self._before(self._rows)
        for row in self._rows:
            if row.ask.question == "bad" and row.written:
                raise ValueError("That question is bad.")
        for row in self._rows:
            row.written.append(row.ask.question[len(row.written)])
        return list(self._rows)


class FakeModel:
    """Stands in for what touches the model; notes what each pass held, or which rows joined.

    Learners and problems are words. Training appends the problem to the learner. "bad" raises.
    """

    def __init__(self):
        self.gate = Gate()
        self.passes = []

    def train(self, base_model, requests, paces):
        self.gate.pass_through()
        self.passes.append([(learner, *problems) for learner, problems in requests])
        for _, problems in requests:
            if "bad" in problems:
                raise ValueError("That problem is bad.")
        yield from ()
        return [(learner + "".join(problems), "report") for learner, problems in requests]

    def rows(self, learner, problems):
        return len(problems)

    def batch(self, *_):
        return FakeBatch(self)


def asks(*questions):
    return [Ask(question, chat_template=False) for question in questions]


def texts(completions):
    return [completion.text for completion in completions]


def started(fake, **options):
    functions = {"train": fake.train, "batch": fake.batch, "write": FakeRow, "rows": fake.rows}
    return Service(None, **(functions | options))


def hold(service, fake):
    """Have the worker wait inside a pass, so that whatever is asked for next waits together."""
    held = service.train("held", [])
    fake.gate.wait_until_reached()
    return held
