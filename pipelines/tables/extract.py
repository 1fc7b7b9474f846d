"""The way of a table into the store: source -> raw -> contract -> catalogues -> valid rows and quarantine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from pipelines.delivery.errors import TableError
from pipelines.tables import catalogues, sources
from pipelines.tables.catalogues import Catalogue
from pipelines.tables.compute import pc
from pipelines.tables.contracts import Contract, for_areas, for_readings
from pipelines.tables.convert import convert
from pipelines.tables.failures import Broken
from pipelines.tables.frames import printable, shown
from pipelines.tables.grains import SNAPSHOT, Calendar
from pipelines.tables.names import quarantine_of, suspects_of, valid_of
from pipelines.tables.sources.wanted import Undated, Wanted
from pipelines.tables.spec import AREA_CANONICAL, CANONICAL, AnyTable, TableSpec
from pipelines.tables.store import PartitionStore
from pipelines.tables.validate import Validated, quarantine_name, validate

QUARANTINE_SHOWN = 10
"""Rows of a partition's quarantine that are shown where it is told of; the store has all of them."""


@dataclass(frozen=True, slots=True)
class PartitionFacts:
    """What became of a partition's rows; `extracted` is always `valid` + `quarantined`.

    `quarantine` are the first of the quarantined rows: their number, the mapped columns as the source has them, and the
    `reasons`.
    `failed` says why a partition was not stored; it has no rows then, and what the store held before is untouched.
    """

    partition: str
    extracted: int = 0
    valid: int = 0
    quarantined: int = 0
    broken: Sequence[Broken] = ()
    quarantine: Sequence[Mapping[str, str]] = ()
    failed: TableError | None = None


@dataclass(frozen=True, slots=True)
class Extracted:
    """What an extract did: per partition in order, beside rows without a date and the catalogues' bad rows.

    `columns`: those of each stored asset, with their types. `joined`: names of valid columns that came from a
    catalogue -> catalogue and column.
    """

    partitions: Mapping[str, PartitionFacts]
    undated: Undated
    catalogues: Mapping[str, Catalogue]
    columns: Mapping[str, pa.Schema] = field(default_factory=dict)
    joined: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def failed(self) -> dict[str, TableError]:
        """The partitions that were not stored, and why."""
        return {key: facts.failed for key, facts in self.partitions.items() if facts.failed is not None}


def extract(
    spec: AnyTable,
    partitions: Sequence[str],
    *,
    base: Path,
    store: PartitionStore,
    environ: Mapping[str, str],
    now: datetime,
) -> Extracted:
    """Read, validate, join and store partitions of a table; `now` (aware) is the time of the extract.

    Raises:
        TableError: the source or a catalogue cannot be used at all; nothing was stored.
        ConfigurationError: a key is no partition of the table, or a setting is wrong or missing.
    """
    calendar = Calendar.of(spec)
    keys = sorted({calendar.check(key) for key in partitions})
    loaded = load_catalogues(spec, base=base, environ=environ)
    harvest = sources.read(spec.source, wanted_of(spec, keys), base=base, environ=environ)
    validated = validate(harvest.table, contract_of(spec))
    unjoined = completed(validated.valid, spec, now)
    valid = catalogues.join_all(unjoined, loaded)
    suspects = catalogues.join_all(completed(validated.suspects, spec, now), loaded)
    failed = {**harvest.failed, **_empty_days(spec, keys, harvest)}
    good = [key for key in keys if key not in failed]
    parts = Validated(valid, validated.quarantine, suspects, validated.broken)
    stored = _store(spec, good, harvest.table, parts, store)
    facts = {key: stored[key] if key in stored else PartitionFacts(key, failed=failed[key]) for key in keys}
    kept = {spec.name: harvest.table, valid_of(spec.name): valid, quarantine_of(spec.name): validated.quarantine}
    labels = catalogues.joined_names(unjoined.column_names, loaded)
    return Extracted(
        facts,
        harvest.undated,
        {item.name: item for item in loaded},
        {asset: table.schema for asset, table in kept.items()},
        {label: origin for origin, label in labels.items()},
    )


def contract_of(spec: AnyTable) -> Contract:
    """What the table's rows must be."""
    return for_readings(spec) if isinstance(spec, TableSpec) else for_areas(spec)


def wanted_of(spec: AnyTable, keys: Sequence[str]) -> Wanted:
    """What is asked of the table's source for these partitions."""
    by_date = isinstance(spec, TableSpec) and spec.grain != SNAPSHOT and not spec.source.per_partition
    date = spec.columns.date if by_date and isinstance(spec, TableSpec) else None
    return Wanted(spec.name, Calendar.of(spec), tuple(keys), date, contract_of(spec).sources, spec.date_format)


def load_catalogues(spec: AnyTable, *, base: Path, environ: Mapping[str, str]) -> list[Catalogue]:
    """The table's catalogues, read and validated; areas have none."""
    if not isinstance(spec, TableSpec):
        return []
    return [catalogues.load(spec, name, base=base, environ=environ) for name in spec.catalogues]


def _empty_days(spec: AnyTable, keys: Sequence[str], harvest: sources.Harvest) -> dict[str, TableError]:
    if not isinstance(spec, TableSpec) or spec.empty_days == "allow":
        return {}
    filled = {*harvest.table["partition"].unique().to_pylist(), *harvest.failed}
    return {
        key: TableError(
            f"table {spec.name}: {spec.source} has no row for {key}",
            do="Load the source for this date, or set empty_days: allow.",
            table=spec.name,
            partitions=[key],
        )
        for key in keys
        if key not in filled
    }


def completed(valid: pa.Table, spec: AnyTable, now: datetime) -> pa.Table:
    """The valid rows with all canonical columns, in their order."""
    calendar = Calendar.of(spec)
    if "as_of" not in valid.column_names:
        taken = valid["partition"]
        if calendar.grain == SNAPSHOT:
            taken = pa.repeat(pa.scalar(calendar.as_of(SNAPSHOT, now)), valid.num_rows)
        valid = valid.append_column("as_of", taken)
    if isinstance(spec, TableSpec) and "date" not in valid.column_names:
        valid = valid.append_column("date", convert(valid["as_of"], "date", calendar.timezone).values)
    canonical = CANONICAL if isinstance(spec, TableSpec) else AREA_CANONICAL
    first = [name for name in canonical if name in valid.column_names]
    return valid.select([*first, *(name for name in valid.column_names if name not in first)])


def _store(
    spec: AnyTable, keys: Sequence[str], raw: pa.Table, validated: Validated, store: PartitionStore
) -> dict[str, PartitionFacts]:
    table = spec.name
    parts = {
        table: _by_partition(raw, keys),
        valid_of(table): _by_partition(validated.valid, keys),
        quarantine_of(table): _by_partition(validated.quarantine, keys),
    }
    for asset, tables in parts.items():
        store.write_all(asset, tables)
    extracted, valid, quarantined = parts.values()
    if validated.suspects.num_rows:  # looked at only where a partition's quarantine has rows
        store.write_all(suspects_of(table), _by_partition(validated.suspects, keys))
    return {
        key: PartitionFacts(
            key,
            extracted[key].num_rows,
            valid[key].num_rows,
            quarantined[key].num_rows,
            tuple(validated.broken.get(key, ())),
            _some_rows(quarantined[key], list(spec.columns.mapped.values())),
        )
        for key in keys
    }


def _some_rows(quarantine: pa.Table, mapped: Sequence[str]) -> list[Mapping[str, str]]:
    names = [name for name in (quarantine_name(column) for column in mapped) if name in quarantine.column_names]
    rows = quarantine.slice(0, QUARANTINE_SHOWN).select(["row", *names, "reasons"])
    texts = pa.table([printable(shown(column)) for column in rows.columns[:-1]], names=rows.column_names[:-1])
    return [
        {**{name: text or "" for name, text in row.items()}, "reasons": reasons}
        for row, reasons in zip(texts.to_pylist(), rows["reasons"].to_pylist(), strict=True)
    ]


def _by_partition(table: pa.Table, keys: Sequence[str]) -> dict[str, pa.Table]:
    """The rows of each partition; the table is in order of partition, so that these are slices of it."""
    found: dict[str, pa.Table] = {}
    start = 0
    for run in pc.value_counts(table["partition"]).to_pylist():
        found[run["values"]] = table.slice(start, run["counts"])
        start += run["counts"]
    return {key: found.get(key, table.slice(0, 0)) for key in keys}
