"""Rows against a contract: the valid ones converted, the others in quarantine with every reason. None is lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from pandera.errors import SchemaErrors
from pandera.pandas import DataFrameSchema

from pipelines.tables.compute import pc
from pipelines.tables.contracts import Column, Contract, passed_name
from pipelines.tables.convert import Converted, blank_to_empty, convert
from pipelines.tables.failures import Broken, Failure, histogram, reasons_by_row, table_of_failures
from pipelines.tables.frames import frame_of, shown, table_of
from pipelines.tables.grains import SNAPSHOT, partition_of
from pipelines.tables.rules import Conditional, rule_and_words
from pipelines.tables.sources.wanted import RESERVED, UNREADABLE

NOT_A = {
    "text": "is not a text",
    "number": "is not a number",
    "boolean": "is neither true nor false",
    "date": "is not a date",
    "instant": "is not a date or time",
}
"""What is said of a value that is not of its column's type."""
ROW_RULES = {
    "line:unreadable": ("a line of a CSV file", "cannot be taken apart"),
    "date:window": ("`date`", "is outside the partition"),
    "key:duplicate": ("`date`, `team`, `kpi`, `sub_tile`; `area_code`", "stands in several rows"),
}
"""The rules that a schema of columns cannot say: what they are about, and their words."""


QUARANTINE = ("partition", "row", "reasons", "rules")
"""The columns that a quarantine has beside the source's own."""


def quarantine_name(source: str) -> str:
    """The name of a source's column in the quarantine."""
    return passed_name(source, QUARANTINE)


@dataclass(frozen=True, slots=True)
class Validated:
    """Every row stands in one of the first two tables.

    `valid`: `partition`, `row`, the contract's columns converted, then the source's further columns as they are.
    `quarantine`: `partition`, `row`, `reasons` (one text), `rules` (a list of column/rule), then all of the source's
    columns as text. `suspects`: the quarantine's rows in the form of `valid`, empty where they cannot be converted.
    `broken`: per partition, how often each rule was broken.
    """

    valid: pa.Table
    quarantine: pa.Table
    suspects: pa.Table
    broken: Mapping[str, Sequence[Broken]]


def validate(raw: pa.Table | pd.DataFrame, contract: Contract) -> Validated:
    """Validate a raw extract of any number of partitions: `partition`, `row`, `unreadable`, the source's columns."""
    raw = raw if isinstance(raw, pa.Table) else table_of(raw)
    converted = {column.name: _converted(raw, column, contract) for column in contract.columns}
    typed = pa.table({name: column.values for name, column in converted.items()})
    found = [
        *_type_failures(contract, converted),
        *_schema_failures(contract, typed, raw, converted),
        *_window_failures(contract, typed, raw["partition"]),
        *_key_failures(contract, typed, raw["partition"]),
        *contract.whole(typed),
    ]
    unreadable = pc.is_valid(raw[UNREADABLE]).to_numpy()
    failures = [*_line_failures(raw, unreadable), *(_only(failure, ~unreadable) for failure in found)]
    return _split(raw, typed, [failure for failure in failures if len(failure.positions)], contract)


def _converted(raw: pa.Table, column: Column, contract: Contract) -> Converted:
    result = convert(
        raw[column.source], column.kind, contract.calendar.timezone, contract.date_format, contract.notation
    )
    if column.kind != "text" or column.required:
        return result
    return Converted(blank_to_empty(result.values), result.bad)


def _line_failures(raw: pa.Table, unreadable: np.ndarray) -> list[Failure]:
    at = np.flatnonzero(unreadable)
    lines = raw[UNREADABLE].take(pa.array(at)).to_pylist()
    return [Failure(at, "line", "line:unreadable", ROW_RULES["line:unreadable"][1], lines)]


def _only(failure: Failure, readable: np.ndarray) -> Failure:
    """The failure without the rows of which nothing is known but that they are unreadable."""
    keep = readable[failure.positions]
    if keep.all():
        return failure
    values = (
        None if failure.values is None else [value for value, kept in zip(failure.values, keep, strict=True) if kept]
    )
    return Failure(failure.positions[keep], failure.column, failure.rule, failure.words, values)


def _type_failures(contract: Contract, converted: Mapping[str, Converted]) -> list[Failure]:
    return [
        Failure(converted[column.name].bad, column.name, f"type:{column.kind}", NOT_A[column.kind])
        for column in contract.columns
    ]


def _schema_failures(
    contract: Contract, typed: pa.Table, raw: pa.Table, converted: Mapping[str, Converted]
) -> list[Failure]:
    frame = frame_of(typed)
    cases = [_cases(contract.schema, frame)]
    cases += [_cases(rule.schema, frame.loc[_meant(rule, typed, raw)]) for rule in contract.conditional]
    found = pd.concat(cases, ignore_index=True)
    failures = []
    for name, check in found[["column", "check"]].drop_duplicates().itertuples(index=False):
        rule, words = rule_and_words(check)
        positions = np.unique(found.loc[(found["column"] == name) & (found["check"] == check), "index"])
        if rule == "null":  # a value that could not be converted is not missing, it is only not what it should be
            positions = np.setdiff1d(positions, converted[name].bad)
        failures.append(Failure(positions, name, rule, words))
    return failures


def _meant(rule: Conditional, typed: pa.Table, raw: pa.Table) -> np.ndarray:
    """Which rows a conditional schema is about."""
    meant = np.ones(typed.num_rows, bool)
    for name, texts in rule.where.items():
        column = shown(typed[name] if name in rule.typed else raw[name])
        meant &= pc.is_in(column, pa.array(list(texts), pa.string())).to_numpy(zero_copy_only=False)
    return meant


def _cases(schema: DataFrameSchema, frame: pd.DataFrame) -> pd.DataFrame:
    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases
        unplaced = cases[cases["index"].isna()]
        if len(unplaced):  # a schema that does not fit its own conversion is our mistake, not the table's
            raise
        return cases[["column", "check", "index"]].astype({"index": "int64"})
    return pd.DataFrame({"column": [], "check": [], "index": np.array([], np.int64)})


def _window_failures(contract: Contract, typed: pa.Table, partition: pa.ChunkedArray) -> list[Failure]:
    """Dates outside their partition: only a file of one partition can hold such a row."""
    if "date" not in typed.column_names or contract.calendar.grain == SNAPSHOT:
        return []
    outside = pc.not_equal(partition_of(typed["date"], contract.calendar), pc.cast(partition, pa.string()))
    at = np.flatnonzero(pc.fill_null(outside, fill_value=False).to_numpy())
    return [Failure(at, "date", "date:window", ROW_RULES["date:window"][1])]


def _key_failures(contract: Contract, typed: pa.Table, partition: pa.ChunkedArray) -> list[Failure]:
    """All rows of a key that occurs more than once in a partition; a row whose key is incomplete has none."""
    complete = np.ones(typed.num_rows, bool)
    packed = np.zeros(typed.num_rows, np.int64)
    for name in ("partition", *contract.key):
        codes, size = _codes(partition if name == "partition" else typed[name])
        if name in {column.name for column in contract.columns if column.required}:
            complete &= codes > 0
        packed, _ = pd.factorize(packed * size + codes)
    at = np.flatnonzero(complete)
    at = at[pd.Series(packed[at]).duplicated(keep=False).to_numpy()]
    if not len(at):
        return []
    rows = typed.select(list(contract.key)).take(pa.array(at))
    texts = [pc.fill_null(shown(rows[name]), "") for name in contract.key]
    values = pc.binary_join_element_wise(*texts, ", ").to_pylist() if len(texts) > 1 else texts[0].to_pylist()
    return [Failure(at, ", ".join(contract.key), "key:duplicate", ROW_RULES["key:duplicate"][1], values)]


def _codes(column: pa.ChunkedArray) -> tuple[np.ndarray, int]:
    """A small number for each different value, 0 for an empty one, and how many numbers there are."""
    encoded = column.combine_chunks().dictionary_encode()
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64) + 1
    return codes, len(encoded.dictionary) + 1


def _split(raw: pa.Table, typed: pa.Table, failures: Sequence[Failure], contract: Contract) -> Validated:
    sources = {column.name: column.source for column in contract.columns}
    listed = table_of_failures(failures, raw, sources)
    reasons = reasons_by_row(listed)
    good = np.ones(raw.num_rows, bool)
    good[reasons["position"].to_numpy()] = False
    further = [name for name in raw.column_names if name not in RESERVED and name not in sources.values()]
    columns = {
        "partition": raw["partition"],
        "row": raw["row"],
        **dict(zip(typed.column_names, typed.columns, strict=True)),
    }
    columns |= {passed_name(name, contract.reserved): raw[name] for name in further}
    whole = pa.table(columns)
    taken = raw.take(reasons["position"])
    texts = {quarantine_name(name): shown(taken[name]) for name in raw.column_names if name not in RESERVED}
    own = {
        "partition": taken["partition"],
        "row": taken["row"],
        "reasons": reasons["reasons"],
        "rules": reasons["rules"],
    }
    return Validated(
        whole if good.all() else whole.filter(pa.array(good)),
        pa.table({**own, **texts}),
        whole.take(reasons["position"]),
        histogram(listed, raw["partition"]),
    )
