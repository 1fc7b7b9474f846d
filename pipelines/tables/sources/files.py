"""Parquet and CSV files, in the deployment's folder or at any fsspec address, read through DuckDB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from pipelines.delivery.errors import ConfigurationError, TableError
from pipelines.tables.frames import concat
from pipelines.tables.grains import SNAPSHOT
from pipelines.tables.source_spec import SourceSpec
from pipelines.tables.sources import duck
from pipelines.tables.sources.engine import short
from pipelines.tables.sources.file_reader import BROKEN, FileReader
from pipelines.tables.sources.formats import Head, UnclosedQuote, check_quotes, rejects, scan, without_file
from pipelines.tables.sources.places import Place
from pipelines.tables.sources.wanted import UNDATED_SAMPLE, Extent, Harvest, Undated, Wanted, no_rows


def read(source: SourceSpec, wanted: Wanted, base: Path) -> Harvest:
    """Read the wanted partitions of files.

    Raises:
        TableError: no file, an unreadable one, a missing column, no row. With {date} in the name, what is wrong
            with a partition's own files fails that partition alone.
        ConfigurationError: the address or the pattern cannot be used.
    """
    reader = FileReader(source, wanted, Place.of(str(source.files), base))
    if source.per_partition:
        return _read_per_partition(reader)
    try:
        return _read_whole(reader, _all_heads(reader, reader.place.find()))
    except UnclosedQuote as error:
        raise reader.unreadable(error.file, str(error), error) from error
    except BROKEN as error:
        raise reader.unreadable(str(source.files), f"cannot be read ({short(error)})", error) from error


def columns(source: SourceSpec, wanted: Wanted, base: Path) -> list[str]:
    """The columns of the files; of files per partition, those of the newest one. Raises as `read`."""
    reader = FileReader(source, wanted, Place.of(str(source.files), base))
    heads = _all_heads(reader, reader.place.any_day()[-1:] if source.per_partition else reader.place.find())
    return list(dict.fromkeys(name for head in heads for name in head.columns))


def _all_heads(reader: FileReader, names: Sequence[str]) -> list[Head]:
    if not names:
        raise reader.no_file(there=reader.place.there(str(reader.source.files)))
    heads = []
    for outcome in reader.heads(names).values():
        if isinstance(outcome, TableError):
            raise outcome
        heads.append(outcome)
    return heads


def _read_whole(reader: FileReader, heads: Sequence[Head]) -> Harvest:
    """Files whose rows are told apart by their date column, or a snapshot."""
    wanted, where = reader.wanted, str(reader.source.files)
    relation = without_file(scan(reader.source, reader.place, heads))
    with reader.place.connected(wanted.calendar.timezone) as connection:
        harvest = duck.harvest(connection, relation, wanted, where)
        lines = rejects(connection)
        check_quotes(lines)
        if wanted.calendar.grain == SNAPSHOT:
            partition = pa.repeat(pa.scalar(SNAPSHOT), lines.num_rows)
            harvest = Harvest(reader.with_lines(harvest.table, lines, partition))
        if not harvest.table.num_rows:
            raise no_rows(wanted, where, _extent(connection, relation, wanted, where))
    return Harvest(harvest.table, undated=harvest.undated + _dateless(lines))


def dates(source: SourceSpec, wanted: Wanted, base: Path) -> Extent:
    """The dates of files whose rows are told apart by their date column. Raises as `read`."""
    reader, where = FileReader(source, wanted, Place.of(str(source.files), base)), str(source.files)
    try:
        relation = without_file(scan(source, reader.place, _all_heads(reader, reader.place.find())))
        with reader.place.connected(wanted.calendar.timezone) as connection:
            found = _extent(connection, relation, wanted, where)
            check_quotes(rejects(connection))
            return found
    except UnclosedQuote as error:
        raise reader.unreadable(error.file, str(error), error) from error
    except BROKEN as error:
        raise reader.unreadable(where, f"cannot be read ({short(error)})", error) from error


def _extent(connection: duckdb.DuckDBPyConnection, relation: str, wanted: Wanted, where: str) -> Extent:
    found = duck.extent(connection, relation, wanted, where)
    return Extent(found.first, found.last, found.undated + _dateless(rejects(connection)))


def _dateless(lines: pa.Table) -> Undated:
    """Lines that could not be taken apart: nobody knows their date."""
    return Undated(lines.num_rows, duck.as_sample(lines.slice(0, UNDATED_SAMPLE)))


def _read_per_partition(reader: FileReader) -> Harvest:
    """Files of one partition each: only the wanted partitions' files are opened, all in one query."""
    wanted = reader.wanted
    owners, failed = _owners(reader)
    good: dict[Head, str] = {}
    for name, outcome in reader.heads(list(owners)).items():
        if isinstance(outcome, TableError):
            failed.setdefault(owners[name], outcome)
        else:
            good[outcome] = owners[name]
    table, broken = _load(reader, {head: key for head, key in good.items() if key not in failed})
    failed |= broken
    if not table.num_rows:
        error = no_rows(wanted, str(reader.source.files))
        if not failed:
            raise error
        failed = {partition: failed.get(partition, error) for partition in wanted.partitions}
    return Harvest(table, failed)


def _owners(reader: FileReader) -> tuple[dict[str, str], dict[str, TableError]]:
    """The partition of each file, and the partitions without one."""
    owners: dict[str, str] = {}
    missing: list[str] = []
    for partition in reader.wanted.partitions:
        names = reader.place.find(reader.wanted.calendar.first_day(partition))
        if not names and reader.source.missing_files == "fail":
            missing.append(partition)
        for name in names:
            if name in owners:
                raise ConfigurationError(
                    f"table {reader.wanted.table}: {name} would be the file of {owners[name]} and of {partition}",
                    do="Leave {date} out of `files` where a file holds several; columns.date then tells them apart.",
                    table=reader.wanted.table,
                )
            owners[name] = partition
    day = reader.place.named(reader.wanted.calendar.first_day(missing[-1])) if missing else ""
    there = reader.place.there(day) if missing else ""
    return owners, {partition: reader.no_file(partition, there) for partition in missing}


def _load(reader: FileReader, owners: Mapping[Head, str]) -> tuple[pa.Table, dict[str, TableError]]:
    """The rows of all files; where one cannot be read, all but its partition's, one partition after another."""
    try:
        return reader.load(owners), {}
    except (UnclosedQuote, *BROKEN):
        tables, failed = [reader.load({})], dict[str, TableError]()
    for partition in sorted(set(owners.values())):
        own = {head: key for head, key in owners.items() if key == partition}
        try:
            tables.append(reader.load(own))
        except UnclosedQuote as error:
            failed[partition] = reader.unreadable(error.file, str(error), error)
        except BROKEN as error:
            failed[partition] = reader.unreadable(next(iter(own)).name, f"cannot be read ({short(error)})", error)
    return concat(tables), failed
