"""What rows must be: pandera schemas over converted columns, and the keys and rules that a schema cannot say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandera.pandas as pda
import pyarrow as pa

from pipelines.tables.areas import tree_failures
from pipelines.tables.compute import pc
from pipelines.tables.convert import PLAIN, AnyKind, Notation
from pipelines.tables.failures import Failure
from pipelines.tables.grains import Calendar
from pipelines.tables.rules import Conditional, code_checks, conditional, passing, schema_column
from pipelines.tables.source_spec import CatalogueSpec, Kind
from pipelines.tables.sources.wanted import RESERVED, stored_name
from pipelines.tables.spec import AREA_CANONICAL, CANONICAL, AnyTable, AreaTableSpec, TableSpec

CATALOGUE_TYPES: Mapping[str, Kind] = {"target": "number", "whole_number": "boolean"}
"""Columns of a catalogue whose type is known by their name, unless `types` says otherwise."""
MEANINGS: Mapping[str, tuple[AnyKind, str]] = {
    "date": ("date", "The reading's date"),
    "as_of": ("instant", "When it was true"),
    "team": ("text", "The team's code"),
    "kpi": ("text", "The KPI's code"),
    "sub_tile": ("text", "A further part of the key"),
    "actual": ("number", "The value"),
    "area_code": ("text", "The area's code"),
    "area_name": ("text", "The area's name"),
    "parent_code": ("text", "The code of the area above"),
    "active": ("boolean", "Whether the area is in use"),
    "tags": ("text", "Tags, with commas between them"),
}
"""The columns with a meaning of their own: type and meaning."""
_REQUIRED = frozenset({"date", "as_of", "team", "kpi", "area_code", "area_name"})
_CODES = frozenset({"team", "kpi", "sub_tile", "area_code", "area_name", "parent_code"})


def _nothing(_: pa.Table) -> list[Failure]:
    return []


@dataclass(frozen=True, slots=True)
class Column:
    """A column with a type: our name, its name in the raw extract, and whether it must be there."""

    name: str
    source: str
    kind: AnyKind
    required: bool
    schema: pda.Column


@dataclass(frozen=True, slots=True)
class Contract:
    """Everything that a table's rows must meet.

    `sources` are the columns that the source must have, under its own names. `key` is unique within a partition.
    `reserved` are names with a meaning in the valid rows: a further column of such a name becomes `source.<name>`.
    `whole` looks at all rows at once.
    """

    columns: tuple[Column, ...]
    key: tuple[str, ...]
    calendar: Calendar
    sources: tuple[str, ...]
    reserved: tuple[str, ...] = ()
    conditional: tuple[Conditional, ...] = ()
    date_format: str | None = None
    notation: Notation = PLAIN
    whole: Callable[[pa.Table], list[Failure]] = _nothing

    @property
    def schema(self) -> pda.DataFrameSchema:
        """The columns as a pandera schema, over the names of the valid rows."""
        return pda.DataFrameSchema({column.name: column.schema for column in self.columns})


def for_readings(spec: TableSpec) -> Contract:
    """The contract of a table of KPI readings."""
    mapped = spec.columns.mapped
    required = _REQUIRED | ({"actual"} if spec.nulls == "quarantine" else set())
    checks = {"date": _date_checks(spec.grain)}
    parts = [_column(name, source, required, checks.get(name, ())) for name, source in mapped.items()]
    dated = "date" if "date" in mapped else "as_of"
    key = tuple(name for name in (dated, "team", "kpi", "sub_tile") if name in mapped)
    return _assemble(spec, parts, key, CANONICAL)


def for_areas(spec: AreaTableSpec) -> Contract:
    """The contract of a table of areas: unique codes, and parents that exist and do not run in circles."""
    parts = [_column(name, source, _REQUIRED) for name, source in spec.columns.mapped.items()]
    return _assemble(spec, parts, ("area_code",), AREA_CANONICAL, whole=tree_failures)


def for_catalogue(
    spec: CatalogueSpec, *, key: str, valid_from: str | None, found: Sequence[str], calendar: Calendar
) -> Contract:
    """The contract of a catalogue: its key is there, and unique per beginning of validity. `found` are its columns."""
    kinds: dict[str, Kind] = {**CATALOGUE_TYPES, **spec.types}
    for name in kinds.keys() - set(found):
        del kinds[name]
    if valid_from:
        kinds[valid_from] = "date"
    kinds[key] = "text"
    columns = []
    for source, kind in kinds.items():
        required, checks = source == key, code_checks() if source == key else []
        schema = schema_column(kind, f"Declared as {kind}", required=required, checks=checks)
        name = passed_name(source, RESERVED)
        columns.append(Column(name, stored_name(source), kind, required, schema))
    unique = tuple(passed_name(name, RESERVED) for name in (key, valid_from) if name)
    return Contract(tuple(columns), unique, calendar, tuple(kinds), RESERVED, notation=Notation.of(spec))


def _column(name: str, source: str, required: frozenset[str], checks: Sequence[pda.Check] = ()) -> Column:
    kind, description = MEANINGS[name]
    own = [*(code_checks() if name in _CODES else []), *checks]
    schema = schema_column(kind, description, required=name in required, checks=own)
    return Column(name, stored_name(source), kind, name in required, schema)


def _date_checks(grain: str) -> list[pda.Check]:
    if grain == "weekly":
        return [passing(lambda days: pc.equal(pc.day_of_week(days), 0), "date:start", "is not a Monday")]
    if grain == "monthly":
        return [passing(lambda days: pc.equal(pc.day(days), 1), "date:start", "is not the 1st of a month")]
    return []


def _assemble(
    spec: AnyTable,
    parts: list[Column],
    key: tuple[str, ...],
    reserved: tuple[str, ...],
    *,
    whole: Callable[[pa.Table], list[Failure]] = _nothing,
) -> Contract:
    """A contract of mapped columns, declared types and users' rules."""
    kinds: dict[str, AnyKind] = {column.name: column.kind for column in parts}
    mapped = frozenset(kinds)
    further: dict[str, Kind] = dict(spec.types)
    for rule in spec.rules:
        if rule.column not in mapped:
            further.setdefault(rule.column, rule.kind or "text")
    for source, kind in further.items():
        name = passed_name(source, reserved)
        kinds[name] = kind
        parts.append(Column(name, stored_name(source), kind, False, schema_column(kind, f"Declared as {kind}")))
    rules = []
    for rule in spec.rules:
        name = rule.column if rule.column in mapped else passed_name(rule.column, reserved)
        rules.append(conditional(rule, name, kinds[name], mapped))
    where = [name for rule in spec.rules for name in rule.where if name not in mapped]
    sources = tuple(dict.fromkeys([*spec.columns.mapped.values(), *further, *where]))
    return Contract(
        tuple(parts),
        key,
        Calendar.of(spec),
        sources,
        reserved,
        tuple(rules),
        spec.date_format,
        Notation.of(spec.source),
        whole,
    )


def passed_name(source: str, reserved: Sequence[str]) -> str:
    """The name under which a column passes through: its own, unless that has a meaning here."""
    return f"source.{source}" if source in reserved else source
