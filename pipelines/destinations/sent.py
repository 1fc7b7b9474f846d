"""What a sync sends, field by field under the API's names, and the columns that each field is made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sent:
    """A field that the API is sent.

    `name` is the API's, `type` its JSON type; `columns` of the valid rows make it, none where it is the same for all
    rows. `key`: it is a part of the upsert's key. `must` says what its value is bound to, in words. `optional`: an
    upsert may be without it.
    """

    name: str
    type: str
    meaning: str
    columns: tuple[str, ...] = ()
    key: bool = False
    must: tuple[str, ...] = ()
    optional: bool = False


def given(*columns: str | None) -> tuple[str, ...]:
    """The columns that there are, each once."""
    return tuple(dict.fromkeys(column for column in columns if column is not None))


def key_columns(fields: Iterable[Sent]) -> tuple[str, ...]:
    """The columns that make the key."""
    return given(*(column for field in fields if field.key for column in field.columns))
