"""The words of a delivery: payload, upsert, outcome, verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

Payload = Mapping[str, Any]
"""A JSON object: str, int, finite float, bool, None, lists and objects of these."""


class Outcome(StrEnum):
    """What became of a source row. Together they account for every extracted row of a partition."""

    QUARANTINED = "quarantined"
    NOT_SELECTED = "not_selected"
    INVALID = "invalid"
    UNCHANGED = "unchanged"
    SUPERSEDED = "superseded"
    CREATED = "created"
    UPDATED = "updated"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_SENT = "not_sent"


ACCEPTED = frozenset({Outcome.CREATED, Outcome.UPDATED, Outcome.ACCEPTED})
"""The API has taken the upsert."""
UNDELIVERED = (Outcome.FAILED, Outcome.UNKNOWN, Outcome.NOT_SENT)
"""A partition with such rows is not green."""
OPEN = frozenset({*UNDELIVERED, Outcome.REJECTED})
"""Somebody or some later run has to come back to it."""


class Upsert(NamedTuple):
    """One keyed write. A tuple, since there are millions: a frozen dataclass takes four times as long to make.

    `key` identifies it within its account. `as_of` is the time of what it says, as sortable ISO text.
    `payload` holds all that the request needs, `fingerprint` the hash of its normalised form.
    `rows` are the numbers of its source rows in the partition's stored extract.
    """

    key: str
    as_of: str
    payload: Payload
    fingerprint: str
    partition: str
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Dropped:
    """Source rows that nothing is sent for: no upsert was made of them, or it is not to be sent; and why."""

    outcome: Outcome
    partition: str
    rows: tuple[int, ...]
    reason: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Built:
    """What a sync made of its rows: each source row stands in exactly one upsert or one dropped record."""

    upserts: list[Upsert] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the API made of one upsert. `reason` holds its words, shortened and without secrets."""

    outcome: Outcome
    reason: str = ""
    status: int | None = None
    remote_id: str | None = None
