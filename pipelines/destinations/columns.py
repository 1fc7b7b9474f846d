"""A frame as lists of plain Python values: what templates, rules and formats work on.

Rows are handled by position. A row that cannot become an upsert has a `Problem` at its position; nothing is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Generic, TypeVar, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.delivery.errors import ConfigurationError
from pipelines.delivery.upsert import Outcome
from pipelines.destinations.texts import shown

CODES = ("kpi", "team", "sub_tile", "area_code")
"""The columns with the codes that catalogues describe."""
READING = frozenset({"row", "partition", "as_of", "date", "actual", *CODES})
"""The columns of a row itself; any other may come from a catalogue, so that its null asks for the row's code."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a row becomes no upsert: `invalid` or `not_selected`, and the reason for people."""

    reason: str
    outcome: Outcome = Outcome.INVALID


@dataclass(frozen=True, slots=True)
class Cells(Generic[T]):
    """One value per row; where `problems` has the row's position, the value means nothing."""

    values: Sequence[T]
    problems: Mapping[int, Problem] = field(default_factory=dict)


class Columns:
    """The columns of a frame, converted once each; a null of whatever kind is None."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame
        self._lists: dict[str, list[Any]] = {}
        self._lacking: dict[str, dict[str, set[Any]]] = {}

    def __len__(self) -> int:
        return len(self._frame)

    def __contains__(self, name: str) -> bool:
        return name in self._frame.columns

    def values(self, name: str) -> list[Any]:
        """The column as a list; do not change it."""
        known = self._lists.get(name)
        if known is None:
            known = self._lists[name] = _listed(self._frame.loc[:, name])
        return known

    def nulls(self, name: str) -> dict[int, Problem]:
        """A problem for each row in which the column is null."""
        values = self.values(name)
        if None not in values:
            return {}
        return {at: Problem(self.why_null(name, at)) for at, value in enumerate(values) if value is None}

    def why_null(self, name: str, at: int) -> str:
        """What a null there means to the person who must fill it: for a joined column, which code has no entry."""
        if name in READING:
            return f"{name} is empty"
        lacking = self._lacking.get(name)
        if lacking is None:
            lacking = self._lacking[name] = self._codes_without(name)
        codes = {code: value for code in lacking if (value := self.values(code)[at]) is not None}
        guilty = {code: value for code, value in codes.items() if value in lacking[code]} or codes
        whose = ", ".join(f"{code} {shown(value)}" for code, value in guilty.items())
        return f"{name} is empty for {whose}" if whose else f"{name} is empty"

    def _codes_without(self, name: str) -> dict[str, set[Any]]:
        """Per column of codes, those that have the column empty in all of their rows: they explain a null."""
        lacking: dict[str, set[Any]] = {}
        for code in CODES:
            if code in self:
                rows = list(zip(self.values(code), self.values(name), strict=True))
                lacking[code] = {one for one, value in rows if value is None} - {
                    one for one, value in rows if value is not None
                }
        return lacking

    def derive(self, name: str, make: Callable[[Any], T | Problem], default: T) -> Cells[T]:
        """Map a column, each distinct value once; a null or a `Problem` that `make` returns is the row's problem."""
        return derive(self.values(name), make, default, self.nulls(name))


def _listed(series: pd.Series) -> list[Any]:
    if not isinstance(series.dtype, pd.ArrowDtype):
        values = [one.item() if isinstance(one, np.generic) else one for one in series.tolist()]
        null = series.isna()
        return [None if e else v for v, e in zip(values, null.tolist(), strict=True)] if null.any() else values
    column = pa.chunked_array(pa.array(series))
    if pa.types.is_floating(column.type):
        # Arrow, and pandas over it, tell a null from NaN; here both are no value.
        column = nan_to_null(column)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type) or pa.types.is_date(column.type):
        return _decoded(column)
    return column.to_pylist()


def _decoded(column: pa.ChunkedArray) -> list[Any]:
    """Texts and dates repeat: each distinct one is made once (a date costs 2 us), and the rows share it."""
    values: list[Any] = []
    for chunk in column.dictionary_encode().chunks:
        distinct = [*chunk.dictionary.to_pylist(), None]
        places = chunk.indices.fill_null(len(distinct) - 1).to_numpy()
        values += map(distinct.__getitem__, places.tolist())
    return values


def nan_to_null(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """A column of floats without NaN."""
    empty = pc.call_function("is_nan", [column])
    return pc.call_function("if_else", [empty, pa.scalar(None, column.type), column])


def derive(
    values: Sequence[Any], make: Callable[[Any], T | Problem], default: T, nulls: Mapping[int, Problem]
) -> Cells[T]:
    """Map values by position, each distinct one once; None becomes the default, and its problem is that in `nulls`."""

    def made(value: Any) -> T | Problem:
        return default if value is None else make(value)

    return _placed(_mapped(values, made, uniform=_uniform(values)), default, nulls)


def derive_by(
    cases: Sequence[Hashable],
    values: Sequence[Any],
    make: Callable[[Any, Any], T | Problem],
    default: T,
    nulls: Mapping[int, Problem],
) -> Cells[T]:
    """Like `derive`, where what becomes of a value also depends on the row's case, the first argument of `make`."""

    def made(pair: tuple[Any, Any]) -> T | Problem:
        return default if pair[1] is None else make(*pair)

    pairs = list(zip(cases, values, strict=True))
    return _placed(_mapped(pairs, made, uniform=_uniform(values)), default, nulls)


def _mapped(values: Sequence[Any], make: Callable[[Any], T | Problem], *, uniform: bool) -> list[T | Problem]:
    """Map values; where equal ones are alike, each distinct one once."""
    if not uniform:
        return [make(value) for value in values]
    try:
        table = {value: make(value) for value in set(values)}
    except TypeError:
        return [make(value) for value in values]
    return list(map(table.__getitem__, values))


def _uniform(values: Iterable[Any]) -> bool:
    """Whether equal values are of one type: 1 and True are one key of a dict, and yet not the same."""
    return len(set(map(type, values)) - {type(None)}) <= 1


def _placed(made: list[T | Problem], default: T, nulls: Mapping[int, Problem]) -> Cells[T]:
    """Tell values from problems."""
    if Problem not in set(map(type, made)):
        return Cells(cast("list[T]", made), nulls)
    values: list[T] = []
    problems = dict(nulls)
    for at, one in enumerate(made):
        if isinstance(one, Problem):
            problems.setdefault(at, one)
            values.append(default)
        else:
            values.append(one)
    return Cells(values, problems)


def merge(*problems: Mapping[int, Problem]) -> dict[int, Problem]:
    """The problems of several cells of the same rows; of two at one row the earlier argument's stands."""
    merged: dict[int, Problem] = {}
    for some in reversed(problems):
        merged.update(some)
    return merged


def require(known: Collection[str], used: Iterable[str], field_name: str) -> None:
    """Check that all columns which a field names exist.

    Raises:
        ConfigurationError: names the field, the column and the closest columns there are.
    """
    for name in used:
        if name not in known:
            raise unknown(field_name, "column", name, known)


def unknown(field_name: str, kind: str, name: str, known: Collection[str]) -> ConfigurationError:
    """The error for a name that does not exist, with the closest ones that do."""
    close = get_close_matches(name, list(known), n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(close)}? " if close else ""
    return ConfigurationError(
        f'{field_name}: there is no {kind} "{name}"',
        do=f"{hint}There are: {', '.join(known)}.",
        field=field_name,
        name=name,
    )
