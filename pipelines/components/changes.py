"""The words of a plan: what would become of a key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pipelines.delivery.upsert import Payload


class Verb(StrEnum):
    """What would become of a key; those that people want to see first come first."""

    UPDATE = "update"
    REMOVE = "remove"
    CREATE = "create"
    SEND_AGAIN = "send_again"


@dataclass(frozen=True, slots=True)
class Change:
    """What a run would do with one key.

    `fields`: by path, old and new. An update without any is sent since nobody knows for certain what stands there. Old
    is what was last accepted. Where the API lets go of keys by deactivating them, a removal has the fields that say so.
    """

    key: str
    partition: str
    verb: Verb
    fields: Mapping[str, tuple[Any, Any]]
    old: Payload | None = None
    new: Payload | None = None


def in_lines(change: Change) -> Iterator[tuple[str, Any, Any]]:
    """Field, old and new, as people read it: what is new or gone as a whole takes one line, without a field's name."""
    if change.verb is Verb.CREATE:
        yield "", "", {name: new for name, (_, new) in change.fields.items()}
    elif change.verb is Verb.REMOVE and len(change.fields) > 1:
        yield "", {name: old for name, (old, _) in change.fields.items()}, ""
    elif not change.fields:
        yield "", "", "the same as before; something else may stand there"
    else:
        for name, (old, new) in change.fields.items():
            yield name, old, new


def of_partition(changes: Iterable[Change], partition: str) -> list[Change]:
    """The changes of one partition."""
    return [change for change in changes if change.partition == partition]
