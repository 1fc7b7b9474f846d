"""Readers of sources: files, DuckDB databases, and every database that SQLAlchemy reaches."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipelines.delivery.errors import SourceUnavailable
from pipelines.tables.source_spec import SourceSpec
from pipelines.tables.sources import database, duck, files
from pipelines.tables.sources.away import is_away
from pipelines.tables.sources.engine import short
from pipelines.tables.sources.wanted import WRITTEN, Extent, Harvest, Undated, Wanted, no_dates

__all__ = ["Extent", "Harvest", "Undated", "Wanted", "columns", "dates", "read"]


def read(source: SourceSpec, wanted: Wanted, *, base: Path, environ: Mapping[str, str]) -> Harvest:
    """Read the wanted partitions of a source, and nothing else of it.

    `base` is the folder to which file names relate; `environ` holds the databases' URLs.

    Raises:
        TableError: the source cannot be used at all; what concerns single partitions is in `Harvest.failed`.
        SourceUnavailable: it cannot be reached, or somebody else holds it.
        MissingSetting: the environment variable of a database is not set.
    """
    if source.files:
        try:
            return files.read(source, wanted, base)
        except OSError as error:  # while files are looked for
            if not is_away(error):
                raise
            raise SourceUnavailable(
                f"table {wanted.table}: {source} cannot be reached ({short(error)})",
                do="Look whether the place of the files can be reached, and materialize again.",
                table=wanted.table,
            ) from error
    if source.duckdb:
        return duck.read(source, wanted, base)
    return database.read(source, wanted, environ)


def columns(source: SourceSpec, wanted: Wanted, *, base: Path, environ: Mapping[str, str]) -> list[str]:
    """The columns of a source, without reading its rows; of files per partition, those of the newest one.

    Raises:
        TableError: the source is not there, or lacks a wanted column.
        MissingSetting: the environment variable of a database is not set.
    """
    if source.files:
        return files.columns(source, wanted, base)
    if source.duckdb:
        return duck.columns(source, wanted, base)
    return database.columns(source, wanted, environ)


def dates(source: SourceSpec, wanted: Wanted, *, base: Path, environ: Mapping[str, str]) -> Extent:
    """The dates of a source whose rows are told apart by `wanted.date`, and its rows without one; reads that column.

    Raises:
        TableError: the source is not there, lacks a wanted column, or has rows of which none has a date.
        MissingSetting: the environment variable of a database is not set.
    """
    if source.files:
        found = files.dates(source, wanted, base)
    elif source.duckdb:
        found = duck.dates(source, wanted, base)
    else:
        found = database.dates(source, wanted, environ)
    if found.first is None and found.undated.count:
        mend = database.CONVERT if source.database_env else WRITTEN
        raise no_dates(wanted, str(source), found.undated, mend)
    return found
