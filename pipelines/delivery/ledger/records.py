"""The words of the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pipelines.delivery import fingerprint
from pipelines.delivery.upsert import Payload, Upsert, Verdict


@dataclass(frozen=True, slots=True)
class Scope:
    """One account in one mode at one address; `id` is its number in the ledger."""

    id: int
    account: str
    mode: str


@dataclass(frozen=True, slots=True)
class Run:
    """Who writes: a run of a sync. `config` is the hash of the sync's configuration, kept with every delivery.

    `partitions` are those that it has read, `read_at` when it began to: by the ledger's clock (`Database.now`).
    """

    id: str
    sync: str
    config: str
    read_at: float = 0.0
    partitions: Sequence[str] = ()


class State(NamedTuple):
    """What was last accepted at a key, at Unix time `accepted_at`; `removed`: it was taken away since.

    The fingerprint is empty where something else may stand there by now.
    """

    sync: str
    as_of: str
    fingerprint: str
    version: int
    payload: Payload | None = None
    accepted_at: float = 0.0
    removed: bool = False

    def is_marked(self, mark: str) -> bool:
        """Whether the fingerprint is this one, made by this release; if not, payloads may still be the same."""
        return self.fingerprint == mark and self.version == fingerprint.VERSION


@dataclass(frozen=True, slots=True)
class Attempt:
    """An upsert that was committed as attempted and has no answer."""

    upsert: Upsert
    sync: str
    run: str


@dataclass(frozen=True, slots=True)
class Record:
    """An upsert with what became of it, as it is written down. `old` is the payload that stood there before."""

    upsert: Upsert
    verdict: Verdict
    old: Payload | None = None


@dataclass(frozen=True, slots=True)
class Parked:
    """What was rejected so often that it waits for another payload; `fingerprint` is of the rejected one."""

    fingerprint: str
    times: int
    reason: str


@dataclass(frozen=True, slots=True)
class Known:
    """A key that the sync has delivered and not removed, with the partition it came from."""

    key: str
    partition: str


@dataclass(frozen=True, slots=True)
class Hold:
    """A sync that sends nothing until it is released; `since` is Unix time."""

    since: float
    who: str
    reason: str


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A partition whose trouble somebody puts up with, since that Unix time; `tried` as in the table's comment."""

    partition: str
    tried: str
    since: float
    who: str
    reason: str
