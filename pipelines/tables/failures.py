"""What is wrong with rows: positions, column, rule and words; put together into reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipelines.tables.compute import pc
from pipelines.tables.frames import printable, shown
from pipelines.tables.sources.engine import connect

SAMPLES = 5
"""Values shown per column and rule."""
_EMPTY = pa.table(
    {
        "position": pa.array([], pa.int64()),
        "column": pa.array([], pa.string()),
        "rule": pa.array([], pa.string()),
        "words": pa.array([], pa.string()),
        "value": pa.array([], pa.string()),
    }
)


@dataclass(frozen=True, slots=True)
class Failure:
    """One rule that rows break. `words` go on from the column's name: "is not a number".

    `values` overrides the texts shown; without it they are the column's own in the source. `column` may name
    several columns, for a rule about a key.
    """

    positions: np.ndarray
    column: str
    rule: str
    words: str
    values: Sequence[str | None] | None = None


@dataclass(frozen=True, slots=True)
class Broken:
    """How often a rule was broken in a partition, with some of the values."""

    column: str
    rule: str
    count: int
    samples: tuple[str, ...]


def table_of_failures(failures: Sequence[Failure], raw: pa.Table, sources: Mapping[str, str]) -> pa.Table:
    """One line per row and rule broken: position, column, rule, value, reason. `sources`: our names -> raw's."""
    table = pa.concat_tables([_EMPTY, *(_lines(failure, raw, sources) for failure in failures)])
    value = pc.binary_join_element_wise(" ('", table["value"], "')", "")
    said = pc.binary_join_element_wise(table["words"], pc.fill_null(value, ""), "")
    return table.append_column("reason", pc.binary_join_element_wise(table["column"], said, ": "))


def _lines(failure: Failure, raw: pa.Table, sources: Mapping[str, str]) -> pa.Table:
    count = len(failure.positions)
    if failure.values is not None:
        values = pa.array(failure.values, pa.string())
    elif failure.column in sources:
        values = shown(raw[sources[failure.column]].take(pa.array(failure.positions)))
    else:
        values = pa.nulls(count, pa.string())
    words = [pa.repeat(pa.scalar(text), count) for text in (failure.column, failure.rule, failure.words)]
    return pa.table([pa.array(failure.positions, pa.int64()), *words, printable(values)], schema=_EMPTY.schema)


def reasons_by_row(failures: pa.Table) -> pa.Table:
    """One line per row: position, reasons as one text, rules as a list of column/rule; in order of position."""
    if not failures.num_rows:
        rules = pa.array([], pa.list_(pa.string()))
        return pa.table({"position": _EMPTY["position"], "reasons": _EMPTY["words"], "rules": rules})
    with connect("UTC") as connection:
        connection.register("__failures", failures.append_column("nth", pa.array(np.arange(failures.num_rows))))
        return connection.sql("""
            SELECT position,
                   string_agg(reason, '; ' ORDER BY nth) AS reasons,
                   list("column" || '/' || rule ORDER BY nth) AS rules
            FROM __failures GROUP BY position ORDER BY position
        """).to_arrow_table()


def histogram(failures: pa.Table, partition: pa.ChunkedArray) -> dict[str, list[Broken]]:
    """Per partition, how often each rule was broken, the most frequent first."""
    if not failures.num_rows:
        return {}
    with connect("UTC") as connection:
        connection.register("__failures", failures.append_column("partition", partition.take(failures["position"])))
        query = """
            SELECT partition, "column", rule, count(*),
                   list_slice(list(DISTINCT value ORDER BY value) FILTER (value IS NOT NULL), 1, $most)
            FROM __failures GROUP BY ALL ORDER BY partition, count(*) DESC, "column", rule
        """
        rows = connection.sql(query, params={"most": SAMPLES}).fetchall()
    result: dict[str, list[Broken]] = {}
    for key, column, rule, count, samples in rows:
        result.setdefault(key, []).append(Broken(column, rule, count, tuple(samples or ())))
    return result
