"""An asset's columns as Dagster shows them: its schema, and where each column comes from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

Origin = tuple[dg.AssetKey, str]
"""A column of another asset."""


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """A column: its type in words, what it means, what its values must be, and the columns that it comes from."""

    name: str
    type: str
    meaning: str = ""
    nullable: bool = True
    unique: bool = False
    must: tuple[str, ...] = ()
    origins: tuple[Origin, ...] = ()


def column_metadata(columns: Iterable[ColumnFacts], constraints: Sequence[str] = ()) -> dict[str, Any]:
    """Schema and lineage under the names by which Dagster's catalog finds them; `constraints`: of the whole table."""
    columns = list(columns)
    schema = dg.TableSchema(
        columns=[
            dg.TableColumn(
                one.name,
                one.type,
                description=one.meaning or None,
                constraints=dg.TableColumnConstraints(nullable=one.nullable, unique=one.unique, other=list(one.must)),
            )
            for one in columns
        ],
        constraints=dg.TableConstraints(other=list(constraints)) if constraints else None,
    )
    lineage = {
        one.name: [dg.TableColumnDep(asset_key=key, column_name=column) for key, column in one.origins]
        for one in columns
        if one.origins
    }
    return {
        "dagster/column_schema": schema,
        "dagster/column_lineage": dg.TableColumnLineage(deps_by_column=lineage),
    }


def of(asset: dg.AssetKey, columns: Iterable[str]) -> tuple[Origin, ...]:
    """The columns of one asset, each once, as origins."""
    return tuple((asset, column) for column in dict.fromkeys(columns))
