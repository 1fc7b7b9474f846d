"""What a table will offer its syncs, found out without reading its rows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from pipelines.tables import sources
from pipelines.tables.catalogues import join_all
from pipelines.tables.extract import completed, contract_of, load_catalogues, wanted_of
from pipelines.tables.sources.wanted import Extent, by_partition
from pipelines.tables.spec import AnyTable
from pipelines.tables.validate import validate


def columns_of(spec: AnyTable, *, base: Path, environ: Mapping[str, str]) -> list[str]:
    """The columns of the table's valid rows, in order: canonical, the source's further ones, the catalogues'.

    They are those of an extract of no rows, so that they cannot differ from a real one's.

    Raises:
        TableError: the source or a catalogue is not there, or lacks a column.
        ConfigurationError: a setting is missing or wrong.
    """
    wanted = wanted_of(spec, ())
    found = sources.columns(spec.source, wanted, base=base, environ=environ)
    nothing = by_partition(pa.table({name: pa.nulls(0) for name in found}), pa.array([], pa.string()))
    validated = validate(nothing, contract_of(spec))
    valid = completed(validated.valid, spec, datetime.now(UTC))
    return join_all(valid, load_catalogues(spec, base=base, environ=environ)).column_names


def dates_of(spec: AnyTable, *, base: Path, environ: Mapping[str, str]) -> Extent | None:
    """The dates in the table's source, and its rows without one; None for a table whose rows need none of their own.

    Raises:
        TableError: the source is not there; no row has a date that can be read.
        ConfigurationError: a setting is missing or wrong.
    """
    wanted = wanted_of(spec, ())
    if wanted.date is None:
        return None
    return sources.dates(spec.source, wanted, base=base, environ=environ)
