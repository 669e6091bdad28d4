"""Rooms: people with phones who predict, vote, and rate what the model tried.

A room lives in memory, under a code that nobody can guess, for hours at most. Of a phone it knows a
random name, an address and what it voted, and forgets them when it ends. Whoever has the room's key
presents; a phone can vote, and nothing else.

No address gets all places, and whoever only came and went makes room for others of their address.
"""

import csv
import io
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from learner.service.protocol import GROUP

LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that looks like another
CODE_LETTERS = 8  # some 40 bits: a thousand guesses a second would take years
MAX_ROOMS = 20
ROOMS_OF_ONE = 5  # address
MAX_PHONES = 2000
PHONES_OF_ONE = 1000  # address: a large lecture hall, and half of the places
MAX_ROUNDS = 200
LIFE_SECONDS = 3 * 3600.0
UNUSED_SECONDS = 45 * 60.0  # since its presenter was last heard of
VOTE_SECONDS = 0.4  # between two votes of one phone, at least
FEW = 5  # people; what fewer say is told to be little

Vote = tuple[int, ...]
"""A number; or the options chosen; or +1, −1 or 0 for each of them."""


class RoomError(ValueError):
    """A room cannot do what was asked; the message is one sentence."""


class TooOften(RoomError):
    """A phone votes more often than a person does."""


class RoomEnded(RoomError):
    """There is no such room, or not any more."""

    def __init__(self) -> None:
        super().__init__("This room has ended, or its code was mistyped.")


@dataclass(frozen=True)
class Poll:
    """A question to all phones. ``kind`` is number (0 to ``most``), choice (any) or thumbs.

    ``about`` is what it is about, where the stage shows that and a phone does not; ``number`` is
    that of the set of tries that gets the thumbs.
    """

    name: str
    kind: str
    title: str
    options: tuple[str, ...] = ()
    most: int = 0
    about: str = ""
    number: int = 0


def checked_vote(ask: Poll, value: object) -> Vote:
    """What a phone sent, if it answers the question. Raises RoomError otherwise."""
    given = value if isinstance(value, list) else [value]
    if not all(isinstance(one, int) and not isinstance(one, bool) for one in given):
        raise RoomError("A vote is made of whole numbers.")
    vote = tuple(given)
    options = len(ask.options)
    fits = {
        "number": len(vote) == 1 and all(0 <= one <= ask.most for one in vote),
        "choice": len(set(vote)) == len(vote) and all(0 <= one < options for one in vote),
        "thumbs": len(vote) == options and set(vote) <= {1, 0, -1},
    }
    if not fits[ask.kind]:
        raise RoomError("That is no answer to what is asked now.")
    return vote


def tally(ask: Poll, votes: Collection[Vote]) -> list[Any]:
    """What came in: all numbers, in order; how many chose each option; or (up, down) for each."""
    if ask.kind == "number":
        return sorted(vote[0] for vote in votes)
    if ask.kind == "choice":
        chosen = Counter(option for vote in votes for option in vote)
        return [chosen[i] for i in range(len(ask.options))]
    return [
        (sum(vote[i] > 0 for vote in votes), sum(vote[i] < 0 for vote in votes))
        for i in range(len(ask.options))
    ]


def mean_rewards(thumbs: Sequence[tuple[int, int]]) -> list[float]:
    """From (up, down) of each try its mean mark, −1 to 1; 0 where nobody marked it, or as many."""
    return [(up - down) / (up + down) if up + down else 0.0 for up, down in thumbs]


def said_of(thumbs: Sequence[tuple[int, int]], people: int) -> str:
    """What is learnt from, in a sentence; ties, and few votes, are told."""
    marks = mean_rewards(thumbs)
    liked, disliked = sum(mark > 0 for mark in marks), sum(mark < 0 for mark in marks)
    tied = sum(not mark and up + down > 0 for mark, (up, down) in zip(marks, thumbs, strict=True))
    words = f"From the thumbs of {people}: {liked} liked, {disliked} disliked"
    if tied:
        words += f", {tied} tied and left out"
    return f"{words}.{' That is few.' if people < FEW else ''}"


@dataclass
class _Phone:
    address: str
    number: int  # that stands for it in the table of votes
    voted: float = float("-inf")  # when it did last
    hearing: int = 0  # on so many streams


@dataclass
class _Round:
    asks: tuple[Poll, ...]
    votes: dict[str, dict[str, Vote]] = field(default_factory=dict)  # by ask, by phone


class Room:
    """One room. Thread-safe. ``key`` is its presenter's, ``code`` everybody's."""

    def __init__(self, owner: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.owner = owner
        self.group = GROUP.get()  # the address that it was opened from
        self.code = "".join(secrets.choice(LETTERS) for _ in range(CODE_LETTERS))
        self.key = secrets.token_urlsafe(24)
        self._clock = clock
        self._began = self._heard = clock()
        self._ended = False
        self._phones: dict[str, _Phone] = {}  # by name; whoever left last at the end
        self._joined = 0  # phones, so far
        self._rounds: list[_Round] = [_Round(())]
        self._number = 0  # of the latest round
        self._asked: dict[object, Callable[[], None]] = {}  # told of every question
        self._counting: dict[object, Callable[[], None]] = {}  # and of every vote
        self._lock = threading.RLock()

    @property
    def ended(self) -> bool:
        """Whether it is over: its presenter said so, or was not heard of for long."""
        now = self._clock()
        late = now - self._began > LIFE_SECONDS or now - self._heard > UNUSED_SECONDS
        return self._ended or late

    @property
    def people(self) -> int:
        """How many phones are there: they hear what is asked."""
        with self._lock:
            return sum(phone.hearing > 0 for phone in self._phones.values())

    def heard(self) -> None:
        """The presenter is there."""
        self._heard = self._clock()

    def join(self, address: str = "", known_as: str = "") -> str:
        """The name of a phone, which nobody else knows: the one it is ``known_as``, or a new one.

        Raises RoomError if all places are taken by phones that are there, or all of its address.
        """
        with self._lock:
            if known_as in self._phones:
                return known_as
            same = [name for name, one in self._phones.items() if one.address == address]
            for names, most in ((same, PHONES_OF_ONE), ([*self._phones], MAX_PHONES)):
                if len(names) >= most:
                    self._make_room(names)
                    break
            name = secrets.token_urlsafe(12)
            self._joined += 1
            self._phones[name] = _Phone(address, self._joined)
            return name

    def _make_room(self, names: Sequence[str]) -> None:
        """Forget the one of these phones that has been away for longest, and what it voted."""
        gone = next((name for name in names if not self._phones[name].hearing), None)
        if gone is None:
            raise RoomError("This room is full.")
        del self._phones[gone]
        for one in self._rounds:
            for votes in one.votes.values():
                votes.pop(gone, None)

    def ask(self, asks: Sequence[Poll]) -> None:
        """Poll all phones this, and no more what was asked before."""
        with self._lock:
            self.heard()
            self._rounds = [*self._rounds[-MAX_ROUNDS:], _Round(tuple(asks))]
            self._number += 1
            self._tell()

    def vote(self, phone: str, number: int, name: str, value: object) -> None:
        """Count a phone's vote in this round, in place of the one that it had."""
        with self._lock:
            now = self._clock()
            known = self._known(phone)
            if now - known.voted < VOTE_SECONDS:
                raise TooOften("One vote at a time.")
            latest = self._rounds[-1]
            found = [ask for ask in latest.asks if ask.name == name]
            if number != self._number or not found:
                raise RoomError("Something else is asked now.")
            vote = checked_vote(found[0], value)
            known.voted = now
            latest.votes.setdefault(name, {})[phone] = vote
            self._tell(votes=True)

    def asked(self, phone: str) -> dict[str, Any]:
        """What is asked now, and what this phone said to it, for its page.

        Raises RoomError if it has not joined.
        """
        with self._lock:
            self._known(phone)
            latest = self._rounds[-1]
            mine = {name: votes[phone] for name, votes in latest.votes.items() if phone in votes}
            asks = [vars(ask) for ask in latest.asks]
            return {"round": self._number, "asks": asks, "mine": mine}

    def counted(self) -> dict[str, Any]:
        """What is asked now and what came in, for its presenter."""
        with self._lock:
            latest = self._rounds[-1]
            asks = [
                {
                    **vars(ask),
                    "tally": tally(ask, latest.votes.get(ask.name, {}).values()),
                    "voters": len(latest.votes.get(ask.name, {})),
                }
                for ask in latest.asks
            ]
            return {"people": self.people, "round": self._number, "asks": asks}

    def thumbs(self) -> tuple[int, list[tuple[int, int]], int]:
        """The set of tries that is rated now, (up, down) of each, and by how many people."""
        with self._lock:
            latest = self._rounds[-1]
            for ask in latest.asks:
                if ask.kind == "thumbs":
                    votes = latest.votes.get(ask.name, {})
                    return ask.number, tally(ask, votes.values()), len(votes)
        raise RoomError("No tries are being rated; show four tries to the room first.")

    def csv(self) -> str:
        """Every vote: round, question, option, a number that stands for the phone, and the vote."""
        out = io.StringIO()
        table = csv.writer(out)
        table.writerow(["round", "asked", "option", "phone", "vote"])
        with self._lock:
            first = self._number - len(self._rounds) + 1
            for number, one in enumerate(self._rounds, first):
                for ask in one.asks:
                    for phone, vote in one.votes.get(ask.name, {}).items():
                        for option, value in _spelt(ask, vote):
                            of = self._phones[phone].number
                            row = [number, _cell(ask.title), _cell(option), of, value]
                            table.writerow(row)
        return out.getvalue()

    def end(self) -> None:
        """Over, and forgotten."""
        with self._lock:
            self._ended = True
            self._phones.clear()
            self._rounds = [_Round(())]
            self._tell()

    @contextmanager
    def heeded(self, tell: Callable[[], None], phone: str = "") -> Iterator[None]:
        """Meanwhile a ``phone`` is there, and ``tell`` is called at every new question.

        Without one it is called at every vote, and whenever a phone comes or goes, too.
        """
        listener, listeners = object(), self._asked if phone else self._counting
        with self._lock:
            listeners[listener] = tell
            self._hears(phone, 1)
        try:
            yield
        finally:
            with self._lock:
                del listeners[listener]
                self._hears(phone, -1)

    def _known(self, name: str) -> _Phone:
        if name not in self._phones:
            raise RoomError("This phone has not joined; open the room's page again.")
        return self._phones[name]

    def _hears(self, name: str, more: int) -> None:
        if name in self._phones:
            phone = self._phones[name] = self._phones.pop(name)
            phone.hearing += more
            self._tell(votes=True)

    def _tell(self, votes: bool = False) -> None:
        for tell in [*self._counting.values(), *(() if votes else self._asked.values())]:
            tell()


class Rooms:
    """The rooms that are open. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: dict[str, Room] = {}
        self._lock = threading.Lock()

    def open(self, owner: str) -> Room:
        """A new room, or the one that this owner has open. Raises RoomError if there are many."""
        with self._lock:
            self._sweep()
            for room in self._open.values():
                if room.owner == owner:
                    return room
            group = GROUP.get()
            same = [room.group for room in self._open.values()].count(group)
            if len(self._open) >= MAX_ROOMS or (group and same >= ROOMS_OF_ONE):
                raise RoomError("There are as many rooms open here as can be; try again later.")
            room = Room(owner, self._clock)
            self._open[room.code] = room
            return room

    def of(self, owner: str) -> Room | None:
        """The room that this owner has open."""
        with self._lock:
            self._sweep()
            return next((room for room in self._open.values() if room.owner == owner), None)

    def find(self, code: str) -> Room:
        """The room of this code. Raises RoomEnded if there is none."""
        with self._lock:
            self._sweep()
            room = self._open.get(code.lower().replace("-", ""))
        if room is None:
            raise RoomEnded
        return room

    def presented(self, code: str, key: str) -> Room:
        """The room, for whoever has its key. Raises RoomEnded otherwise."""
        room = self.find(code)
        if not secrets.compare_digest(room.key.encode(), key.encode()):
            raise RoomEnded
        room.heard()
        return room

    def _sweep(self) -> None:
        for code in [code for code, room in self._open.items() if room.ended]:
            self._open.pop(code).end()


def _spelt(ask: Poll, vote: Vote) -> Iterator[tuple[str, int]]:
    """(option, value) of a vote; a number has no option."""
    if ask.kind == "number":
        yield "", vote[0]
    elif ask.kind == "choice":
        yield from ((ask.options[i], 1) for i in vote)
    else:
        yield from ((option, mark) for option, mark in zip(ask.options, vote, strict=True) if mark)


def _cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in "=+-@\t\r" and text else text
