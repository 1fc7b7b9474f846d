"""Catalogues: tables that describe the codes of the readings, validated and joined to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipelines.delivery.errors import ConfigurationError
from pipelines.tables import sources
from pipelines.tables.compute import pc
from pipelines.tables.contracts import for_catalogue
from pipelines.tables.failures import Broken
from pipelines.tables.frames import shown
from pipelines.tables.grains import SNAPSHOT, Calendar
from pipelines.tables.sources.wanted import RESERVED, Wanted, closest
from pipelines.tables.spec import CANONICAL, TableSpec
from pipelines.tables.validate import validate

_DAY_SPAN = 1 << 32
_VALID_FROM = "valid_from"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """A catalogue's valid rows, how they are joined, and what was wrong with the others.

    `rows` has the catalogue's columns; `key` is text and unique, per `valid_from` where there is one.
    `quarantine` has the shape of every quarantine.
    """

    name: str
    join: str
    key: str
    valid_from: str | None
    rows: pa.Table
    quarantine: pa.Table
    broken: Sequence[Broken]

    @property
    def joined_columns(self) -> list[str]:
        """The columns that come to the readings: all but the key and the beginning of validity."""
        return [name for name in self.rows.column_names if name not in {self.key, self.valid_from}]


def load(spec: TableSpec, name: str, *, base: Path, environ: Mapping[str, str]) -> Catalogue:
    """Read and validate one of the table's catalogues.

    Raises:
        TableError: the catalogue cannot be used at all.
        MissingSetting: the environment variable of its database is not set.
    """
    catalogue = spec.catalogue(name)
    join = catalogue.join or name
    key = catalogue.key or getattr(spec.columns, join, None) or join
    needed = tuple(dict.fromkeys(filter(None, [str(key), catalogue.valid_from, *catalogue.types])))
    calendar = Calendar(SNAPSHOT, spec.timezone)
    wanted = Wanted(f"{spec.name}, catalogue {name}", calendar, (SNAPSHOT,), None, needed)
    raw = sources.read(catalogue, wanted, base=base, environ=environ).table
    columns = [column for column in raw.column_names if column not in RESERVED]
    valid_from = catalogue.valid_from or (_VALID_FROM if _VALID_FROM in columns else None)
    contract = for_catalogue(catalogue, key=key, valid_from=valid_from, found=columns, calendar=calendar)
    validated = validate(raw, contract)
    rows = validated.valid.select(columns)
    broken = validated.broken.get(SNAPSHOT, ())
    unique = (*contract.key, None)
    return Catalogue(name, join, unique[0] or key, unique[1], rows, validated.quarantine, broken)


def join_all(readings: pa.Table, catalogues: Sequence[Catalogue]) -> pa.Table:
    """The readings with the columns of all catalogues; a code that a catalogue does not know gets empty values.

    A joined column has its own name where that is unique among readings and catalogues, else `<catalogue>.<name>`.

    Raises:
        ConfigurationError: the readings have no such column to join.
    """
    labels = joined_names(readings.column_names, catalogues)
    joined = readings
    for catalogue in catalogues:
        if catalogue.join not in readings.column_names:
            raise ConfigurationError(
                f"catalogue {catalogue.name}: the readings have no column {catalogue.join!r} to join it to",
                do=f"{closest(catalogue.join, readings.column_names)}Set `join` to one of the readings' columns.",
            )
        found = catalogue.rows.select(catalogue.joined_columns).take(_lines(readings, catalogue))
        for name in found.column_names:
            joined = joined.append_column(labels[catalogue.name, name], found[name])
    return joined


def joined_names(readings: Sequence[str], catalogues: Sequence[Catalogue]) -> dict[tuple[str, str], str]:
    """Catalogue and column -> the name of the joined column, beside the readings' own columns."""
    columns = [(item.name, name) for item in catalogues for name in item.joined_columns]
    taken = Counter([*{*readings, *CANONICAL}, *(name for _, name in columns)])
    return {(item, name): name if taken[name] == 1 else f"{item}.{name}" for item, name in columns}


def _lines(readings: pa.Table, catalogue: Catalogue) -> pa.Array:
    """For each reading the position of its line in the catalogue, empty where there is none.

    Code and day are packed into one number, so that one binary search finds the newest line that has begun.
    """
    keys = catalogue.rows[catalogue.key]
    codes = pc.unique(keys)
    packed = _packed(keys, codes, catalogue.rows[catalogue.valid_from] if catalogue.valid_from else None)
    order = np.argsort(packed, kind="stable")
    wanted = _packed(shown(readings[catalogue.join]), codes, readings["date"])
    at = np.searchsorted(packed[order], wanted, side="right") - 1
    same = (at >= 0) & (wanted >= 0)
    same[same] = packed[order][at[same]] // _DAY_SPAN == wanted[same] // _DAY_SPAN
    return pa.array(np.where(same, order[at] if len(order) else 0, 0), pa.int64(), mask=~same)


def _packed(keys: pa.Array | pa.ChunkedArray, codes: pa.Array, days: pa.ChunkedArray | None) -> np.ndarray:
    """Code number and day as one sortable number; -1 for an unknown code. Without a beginning: since ever."""
    code = pc.fill_null(pc.index_in(keys, codes), -1).to_numpy(zero_copy_only=False).astype(np.int64)
    day = np.zeros(len(code), np.int64)
    if days is not None:
        ordinal = pc.fill_null(pc.cast(days, pa.int32()), -(2**31)).to_numpy(zero_copy_only=False).astype(np.int64)
        day = ordinal + 2**31
    return np.where(code < 0, -1, code * _DAY_SPAN + day)
