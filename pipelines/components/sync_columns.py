"""The columns of a sync's two assets: its upserts, and the fields that the API is sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg

from pipelines.components.columns import ColumnFacts, column_metadata, of
from pipelines.destinations.base import SyncSpec
from pipelines.destinations.sent import Sent, given, key_columns


def upsert_metadata(sync: SyncSpec, valid: dg.AssetKey) -> dict[str, Any]:
    """Schema and lineage of the upserts, whose key and payload are told part by part."""
    return column_metadata(_upserts(sync, valid), [f"unique per as_of: key, within account {sync.account}"])


def delivered_metadata(sync: SyncSpec, upserts: dg.AssetKey) -> dict[str, Any]:
    """Schema and lineage of the API's fields."""
    fields = sync.sent()
    return column_metadata(
        ColumnFacts(
            field.name,
            field.type,
            field.meaning,
            nullable=field.optional,
            must=field.must,
            origins=of(upserts, [_part(field, fields)] if field.columns else []),
        )
        for field in fields
    )


def _upserts(sync: SyncSpec, valid: dg.AssetKey) -> Iterator[ColumnFacts]:
    fields = sync.sent()
    said = given(*(column for field in fields if not field.key for column in field.columns))
    identity = "Identifies the entry within its account."
    yield ColumnFacts("key", "text", identity, nullable=False, origins=of(valid, key_columns(fields)))
    for field in fields:
        part = _part(field, fields)
        if field.key and part != "key":
            yield _facts(part, field, valid)
    when = "The time of what it says: an older one never takes the place of a newer one."
    yield ColumnFacts("as_of", "text", when, nullable=False, origins=of(valid, ["as_of"]))
    whole = "All that the request needs, as JSON."
    yield ColumnFacts("payload", "JSON", whole, nullable=False, origins=of(valid, said))
    for field in fields:
        if not field.key:
            yield _facts(_part(field, fields), field, valid)
    compared = "Hash of the payload in the form in which it is compared."
    yield ColumnFacts("fingerprint", "text", compared, nullable=False, origins=of(valid, said))
    rows = "Numbers of its source rows."
    yield ColumnFacts("rows", "list of whole numbers", rows, nullable=False, origins=of(valid, ["row"]))


def _facts(name: str, field: Sent, valid: dg.AssetKey) -> ColumnFacts:
    origins = of(valid, field.columns)
    return ColumnFacts(name, field.type, field.meaning, nullable=field.optional, must=field.must, origins=origins)


def _part(field: Sent, fields: Sequence[Sent]) -> str:
    """The upserts' column, or part of one, that holds a field."""
    if not field.key:
        return f"payload.{field.name}"
    return f"key.{field.name}" if sum(one.key for one in fields) > 1 else "key"
