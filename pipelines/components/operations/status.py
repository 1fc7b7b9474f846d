"""The status of syncs: red, yellow or green, why, and what to do next. Words only; `screen` reads and judges.

red     the newest closed partition is missing when its table's `late_after` is over, and nothing works on it; any
        partition failed; rows failed, are unknown or were not sent; a hold, a first contact that nobody made or a
        ceiling keeps the sync from sending; the daemon is gone, or never came and something waits for it; the ledger
        cannot be read
yellow  rows are rejected, parked, invalid or in quarantine; the newest closed partition is late but under way: the run
        of its table or of the sync is queued or works; its schedule is switched off
green   everything else, also a sync in mode dry whose table is well: it is meant to send nothing

Red partitions may be acknowledged (`pipelines acknowledge`): they are listed, and no longer red, until a run tries one
of them again, whatever comes of it.

A snapshot has one partition, which is due anew at each tick of its schedule. Without a schedule nothing is due: then a
sync is judged by what was extracted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pipelines.delivery.ledger.records import Acknowledged
from pipelines.tables.grains import SNAPSHOT


class Colour(StrEnum):
    """How well something is."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"

    @property
    def rank(self) -> int:
        """The worse, the higher."""
        return list(Colour).index(self)


def worst(colours: Iterable[Colour]) -> Colour:
    """The worst of them; green where there are none."""
    return max(colours, key=lambda colour: colour.rank, default=Colour.GREEN)


def span(partitions: Sequence[str]) -> str:
    """Some partitions in a few words."""
    ordered = sorted(partitions)
    if len(ordered) == 1:
        return "the snapshot" if ordered[0] == SNAPSHOT else ordered[0]
    return f"{len(ordered)} partitions ({ordered[0]} to {ordered[-1]})"


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason for red or yellow.

    `kind` is the same for the same trouble, whatever its extent: alerts go by it. `count` is of keys, rows or
    partitions, as `what` says. `since`: when it began, where that is known. `next`: the command, or where to look.
    `partitions`: those that it is about, all of them; none where it is about the sync as a whole. `run`: the run that
    made it so; empty: there is none, or it is not known any more.
    """

    kind: str
    colour: Colour
    what: str
    next: str
    count: int = 0
    since: datetime | None = None
    partitions: Sequence[str] = ()
    run: str = ""


@dataclass(frozen=True, slots=True)
class Newest:
    """The partition that a sync is judged by: the newest one that has closed and is due.

    `state`: delivered, failed, in progress (of the sync, or of its table), expected (due, and `late_after` is not
    over), missing, not yet (nobody tried, and nothing is scheduled), or none (the table has no closed partition). `at`:
    when it was delivered last, as far as that is known. `delivered` of `expected` rows arrived, by the newest account
    of it; None: there is none. `run`: the one that failed at it, where one did, else the one that gave that account.
    """

    partition: str
    state: str
    at: datetime | None = None
    delivered: int | None = None
    expected: int | None = None
    run: str = ""


@dataclass(frozen=True, slots=True)
class History:
    """How many of the closed partitions are delivered or failed, and the newest delivered one; empty: none is."""

    delivered: int = 0
    failed: int = 0
    closed: int = 0
    up_to: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """A backfill, or a run, that works on a sync or its table now. `done` of `total` partitions, None: not known.

    `ends`: when it is expected to end if it goes on as it did so far; None: nothing to go by yet.
    """

    kind: str
    id: str
    since: datetime
    done: int | None = None
    total: int | None = None
    ends: datetime | None = None
    queued: bool = False


@dataclass(frozen=True, slots=True)
class SyncStatus:
    """How one sync does.

    `problems`: the worst first. `busy`: something works on it, or not all is known of it now. `acknowledged`:
    partitions whose trouble somebody puts up with, so that it is no problem until one of them is tried again.
    """

    sync: str
    table: str
    account: str
    mode: str
    owners: Sequence[str]
    newest: Newest
    history: History
    problems: Sequence[Problem] = ()
    progress: Sequence[Progress] = ()
    busy: bool = False
    acknowledged: Sequence[Acknowledged] = ()

    @property
    def colour(self) -> Colour:
        """The worst of its problems."""
        return worst(problem.colour for problem in self.problems)

    @property
    def next(self) -> str:
        """What to do first; empty: nothing."""
        return self.problems[0].next if self.problems else ""


@dataclass(frozen=True, slots=True)
class Daemon:
    """Dagster's daemon. `seen`: its last sign of life; None: never. `silent`: those of its parts that are silent."""

    seen: datetime | None = None
    silent: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Screen:
    """Everything at `now`. `problems` concern the whole deployment, the worst first. `ui_url`: empty: no links."""

    now: datetime
    syncs: Sequence[SyncStatus]
    daemon: Daemon
    problems: Sequence[Problem] = ()
    ui_url: str = ""

    @property
    def colour(self) -> Colour:
        """The worst of all."""
        return worst([*(one.colour for one in self.syncs), *(one.colour for one in self.problems)])

    def count(self, colour: Colour) -> int:
        """How many syncs have this colour."""
        return sum(one.colour is colour for one in self.syncs)
