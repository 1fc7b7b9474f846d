"""The columns of a table's three assets: out of its contract, and after an extract out of what was really stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
import pyarrow as pa

from pipelines.components.columns import ColumnFacts, column_metadata, of
from pipelines.tables.contracts import Column, Contract, passed_name
from pipelines.tables.extract import Extracted, contract_of
from pipelines.tables.grains import SNAPSHOT
from pipelines.tables.names import quarantine_of, valid_of
from pipelines.tables.rules import rule_and_words
from pipelines.tables.sources.wanted import RESERVED, UNREADABLE, stored_name
from pipelines.tables.spec import AnyTable, TableSpec
from pipelines.tables.validate import QUARANTINE

_PARTITION = ColumnFacts("partition", "text", "The partition of the row.", nullable=False)
_ROW = ColumnFacts("row", "whole number", "Number of the row within the partition's extract.", nullable=False)
_AS_IT_IS = "as in the source"
"""The type of a column that the contract does not look at, before anything was extracted."""


def source_of(table: str, catalogue: str = "") -> dg.AssetKey:
    """What a table, or one of its catalogues, is read from."""
    return dg.AssetKey(["warehouse", f"{table}_{catalogue}" if catalogue else table])


@dataclass(frozen=True, slots=True)
class TableColumns:
    """`stored`: the columns of each asset after an extract; `joined`: which of them came from which catalogue."""

    table: AnyTable
    stored: Mapping[str, pa.Schema] = field(default_factory=dict)
    joined: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @classmethod
    def after(cls, table: AnyTable, extracted: Extracted) -> TableColumns:
        """The columns as an extract has stored them."""
        return cls(table, extracted.columns, extracted.joined)

    def metadata(self) -> dict[str, dict[str, Any]]:
        """Schema and lineage of the raw, the valid and the quarantined rows, by the asset's name."""
        contract = contract_of(self.table)
        unique = [f"unique within a partition: {', '.join(contract.key)}"] if len(contract.key) > 1 else []
        name = self.table.name
        return {
            name: column_metadata(self._raw(contract)),
            valid_of(name): column_metadata(self._valid(contract), unique),
            quarantine_of(name): column_metadata(self._quarantine(contract)),
        }

    def _raw(self, contract: Contract) -> Iterator[ColumnFacts]:
        source = source_of(self.table.name)
        meanings = {column.source: f"Becomes `{column.name}`." for column in contract.columns}
        yield _PARTITION
        yield _ROW
        yield ColumnFacts(UNREADABLE, "text", "Why the source's line could not be taken apart.")
        sources = {stored_name(one): one for one in contract.sources}
        for name, kind in self._types(self.table.name, sources).items():
            if name not in RESERVED:
                its_name = sources.get(name) or _unstored(name)
                yield ColumnFacts(name, kind, meanings.get(name, ""), origins=of(source, [its_name]))

    def _valid(self, contract: Contract) -> Iterator[ColumnFacts]:
        asset, raw = valid_of(self.table.name), dg.AssetKey(self.table.name)
        by_name = {column.name: column for column in contract.columns}
        yield ColumnFacts(**_shared(_PARTITION), origins=of(raw, ["partition"]))
        yield ColumnFacts(**_shared(_ROW), origins=of(raw, ["row"]))
        names = dict.fromkeys([*(("as_of",) if "as_of" not in by_name else ()), *self._dateless(by_name), *by_name])
        for name, kind in self._types(asset, names).items():
            if name in by_name:
                yield _contracted(by_name[name], contract, raw)
            elif name in self.joined:
                catalogue, column = self.joined[name]
                origins = of(source_of(self.table.name, catalogue), [column])
                yield ColumnFacts(name, kind, f"Joined from the catalogue `{catalogue}`.", origins=origins)
            elif name == "as_of":
                yield ColumnFacts(name, "text", "The time of what the row says.", False, origins=self._timed(raw))
            elif name == "date":
                yield ColumnFacts(name, "date", "The reading's date.", False, origins=self._timed(raw))
            elif name not in RESERVED:
                source = next((one for one in self._stored(raw) if passed_name(one, contract.reserved) == name), name)
                yield ColumnFacts(name, kind, "Passes as it is.", origins=of(raw, [source]))

    def _quarantine(self, contract: Contract) -> Iterator[ColumnFacts]:
        asset, raw = quarantine_of(self.table.name), dg.AssetKey(self.table.name)
        looked_at = of(raw, [column.source for column in contract.columns])
        yield ColumnFacts(**_shared(_PARTITION), origins=of(raw, ["partition"]))
        yield ColumnFacts(**_shared(_ROW), origins=of(raw, ["row"]))
        yield ColumnFacts("reasons", "text", "Every rule that the row broke, in words.", False, origins=looked_at)
        yield ColumnFacts("rules", "list of texts", "The same as column/rule.", False, origins=looked_at)
        named = {passed_name(stored_name(one), QUARANTINE): stored_name(one) for one in contract.sources}
        named |= {passed_name(one, QUARANTINE): one for one in self._stored(raw) if one not in RESERVED}
        for name in self._types(asset, named):
            if name not in QUARANTINE:
                yield ColumnFacts(name, "text", "As it stands in the source.", origins=of(raw, [named[name]]))

    def _types(self, asset: str, declared: Mapping[str, Any]) -> dict[str, str]:
        """The columns that were stored with their types, or those that are declared."""
        schema = self.stored.get(asset)
        return dict.fromkeys(declared, _AS_IT_IS) if schema is None else {one.name: str(one.type) for one in schema}

    def _stored(self, asset: dg.AssetKey) -> list[str]:
        schema = self.stored.get(asset.to_user_string())
        return [] if schema is None else schema.names

    def _dateless(self, contracted: Mapping[str, Column]) -> tuple[str, ...]:
        """The date, where readings have it from their partition's file or from `as_of`."""
        return ("date",) if isinstance(self.table, TableSpec) and "date" not in contracted else ()

    def _timed(self, raw: dg.AssetKey) -> tuple[tuple[dg.AssetKey, str], ...]:
        """What tells the time of a row: its partition, or in a snapshot its column, or the clock."""
        mapped = self.table.columns.mapped
        if "as_of" in mapped:
            return of(raw, [stored_name(mapped["as_of"])])
        snapshot = not isinstance(self.table, TableSpec) or self.table.grain == SNAPSHOT
        return () if snapshot else of(raw, ["partition"])


def _shared(one: ColumnFacts) -> dict[str, Any]:
    return {"name": one.name, "type": one.type, "meaning": one.meaning, "nullable": one.nullable}


def _unstored(name: str) -> str:
    """The source's name of a column of the raw extract."""
    source = name.removeprefix("source.")
    return source if source in RESERVED else name


def _contracted(column: Column, contract: Contract, raw: dg.AssetKey) -> ColumnFacts:
    checks = [rule_and_words(str(check.error))[1] for check in column.schema.checks]
    for rule in contract.conditional:
        if column.name in rule.schema.columns:
            where = " and ".join(f"{name} is {' or '.join(texts)}" for name, texts in rule.where.items())
            own = rule.schema.columns[column.name]
            said = [rule_and_words(str(check.error))[1] for check in own.checks]
            said += [] if own.nullable else ["is missing"]
            checks += [f"{words}, where {where}" if where else words for words in said]
    return ColumnFacts(
        column.name,
        column.kind,
        f"{column.schema.description}.",
        nullable=not column.required,
        unique=contract.key == (column.name,),
        must=tuple(f"quarantined if it {words}" for words in checks),
        origins=of(raw, [column.source]),
    )
