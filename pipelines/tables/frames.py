"""Frames: pandas with Arrow-backed columns outside, Arrow tables inside. No value changes on the way."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pyarrow as pa

from pipelines.tables.compute import pc

_BATCH = 10_000
_VALUE_SHOWN = 80


def frame_of(table: pa.Table) -> pd.DataFrame:
    """A pandas frame over the same memory; every dtype is an ArrowDtype, every empty value pd.NA."""
    return table.to_pandas(types_mapper=pd.ArrowDtype)


def table_of(frame: pd.DataFrame) -> pa.Table:
    """The Arrow table of a frame. A column of mixed values becomes text, NaN in a float column stays NaN."""
    names = [str(name) for name in frame.columns]
    return pa.table([arrow_of(frame.iloc[:, at]) for at in range(len(names))], names=names)


def arrow_of(series: pd.Series) -> pa.Array:
    """The Arrow array of a series; mixed values become text."""
    if series.dtype == object:
        return array_of(series.tolist())
    array = pa.array(series)
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def array_of(values: Sequence[Any]) -> pa.Array:
    """Python values as one Arrow array: of their common type, else of their texts; objects as JSON, instants in UTC."""
    values = _in_utc(values)
    try:
        array = pa.array(values, from_pandas=True)
    except (pa.ArrowNotImplementedError, TypeError, OverflowError, ValueError):  # as Arrow's own are, but one
        array = None
    if array is not None and _is_storable(array.type):
        return array
    return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _in_utc(values: Sequence[Any]) -> Sequence[Any]:
    """Instants in UTC, which pyarrow cannot take amiss.

    `import pandera.pandas` sets PYARROW_IGNORE_TIMEZONE (pandera.external_config), and from then on `pa.array` takes
    the wall clock of any zone for UTC.
    """
    first = next((value for value in values if value is not None), None)
    if not isinstance(first, datetime) or first.tzinfo is None:
        return values
    try:
        return [value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo else value for value in values]
    except OverflowError:  # the first or last day of the calendar has no time in UTC
        return [None if value is None else str(value) for value in values]


def _text(value: Any) -> str:
    if isinstance(value, (dict, list)):
        value = json.dumps(value, default=str, ensure_ascii=False, separators=(",", ":"))
    return str(value).encode("utf-8", "replace").decode("utf-8")


def concat(tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of all tables under the union of their columns.

    Columns whose types differ take the common type; where there is none they become text.
    """
    if not tables:
        return pa.table({})
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return pa.concat_tables(_alike(tables), promote_options="permissive")


def _alike(tables: Sequence[pa.Table]) -> list[pa.Table]:
    kinds: dict[str, set[pa.DataType]] = {}
    for table in tables:
        for field in table.schema:
            kinds.setdefault(field.name, set()).add(field.type)
    clashing = {name for name, types in kinds.items() if not _unify(types)}
    return [_with_texts(table, clashing & set(table.column_names)) for table in tables]


def _with_texts(table: pa.Table, names: Iterable[str]) -> pa.Table:
    for name in names:
        table = table.set_column(table.column_names.index(name), name, shown(table[name]))
    return table


def _unify(types: set[pa.DataType]) -> bool:
    try:
        pa.unify_schemas([pa.schema([("x", kind)]) for kind in types], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return False
    return True


def records(frame: pd.DataFrame | pa.Table, batch: int = _BATCH) -> Iterator[dict[str, Any]]:
    """The rows as plain dicts: str, int, float, bool, date, datetime, None. Fast, and bounded in memory."""
    table = frame if isinstance(frame, pa.Table) else table_of(frame)
    for part in table.to_batches(max_chunksize=batch):
        yield from part.to_pylist()


def shown(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Each value as the text that a person would recognise (12.0 as 12); empty stays empty."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_string(array.type):
        return array
    try:
        return pc.cast(array, pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return pa.array([None if value is None else _text(value) for value in _listed(array)], pa.string())


def printable(texts: pa.Array) -> pa.Array:
    """Texts as a message shows them: on one line, and cut where they are long."""
    clean = pc.replace_substring_regex(texts, r"[\x00-\x1f\x7f]", "\N{REPLACEMENT CHARACTER}")
    cut = pc.binary_join_element_wise(pc.utf8_slice_codeunits(clean, 0, _VALUE_SHOWN), "…", "")
    return pc.if_else(pc.greater(pc.utf8_length(clean), _VALUE_SHOWN), cut, clean)


def _listed(array: pa.Array) -> list[Any]:
    try:
        return array.to_pylist()
    except (OverflowError, ValueError):  # a time that Python's calendar does not have
        return pc.cast(array, _of_texts(array.type)).to_pylist()


def _of_texts(kind: pa.DataType) -> pa.DataType:
    """The same nested type with texts at its ends."""
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _of_texts(field.type)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(_of_texts(kind.key_type), _of_texts(kind.item_type))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(_of_texts(kind.value_type))
    return pa.string()


def storable(table: pa.Table) -> pa.Table:
    """The table in types that every reader of Parquet, and Python, understands.

    Structs, maps and intervals become text, and columns with times outside of the years 1 to 9999. A float32 becomes
    the number that it is written as: 0.1, not 0.10000000149011612.
    """
    return pa.table([_storable(column) for column in table.columns], names=table.column_names)


def _storable(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    if pa.types.is_dictionary(column.type):
        return _storable(pc.cast(column, column.type.value_type))
    if pa.types.is_float32(column.type):
        return pc.cast(pc.cast(column, pa.string()), pa.float64())
    return column if _is_storable(column.type) and _in_calendar(column) else shown(column)


def _in_calendar(column: pa.ChunkedArray | pa.Array) -> bool:
    """Whether Python has all of the column's times: its calendar ends with the years 1 and 9999."""
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _in_calendar(pc.list_flatten(column))
    if not (pa.types.is_date(kind) or pa.types.is_timestamp(kind) or pa.types.is_duration(kind)):
        return True
    numbers = pc.cast(column, pa.int64()) if pa.types.is_duration(kind) else column  # of which there are no extremes
    try:
        for end in pc.min_max(numbers).values():
            pc.cast(end, kind).as_py()
    except (OverflowError, ValueError):
        return False
    return True


def _is_storable(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _is_storable(kind.value_type)
    return not (pa.types.is_nested(kind) or pa.types.is_interval(kind) or isinstance(kind, pa.BaseExtensionType))
