"""Types, converted value by value: one that does not fit is marked and emptied, the others are not touched."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa

from pipelines.tables.compute import pc
from pipelines.tables.frames import shown
from pipelines.tables.source_spec import BOOLEANS, Kind, SourceSpec
from pipelines.tables.sources.dates import instants, local_days

_SPACES = "[ \u00a0\u202f]"
_NO_NUMBER = r"^\s*((?i:nan))?\s*$"
_BLANK = r"^\s*$"

AnyKind = Kind | Literal["instant"]
"""The types of columns; an instant is sortable ISO text, of a date or of a moment in UTC."""
TYPES: dict[AnyKind, pa.DataType] = {
    "text": pa.string(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "instant": pa.string(),
}
"""The Arrow type of each kind."""


@dataclass(frozen=True, slots=True)
class Notation:
    """How a source writes numbers and yes/no as text: see the fields of `SourceSpec`."""

    decimal: str = "."
    thousands: str | None = None
    booleans: Mapping[str, bool] = field(default_factory=lambda: BOOLEANS)

    @classmethod
    def of(cls, source: SourceSpec) -> Notation:
        """The notation of a source."""
        return cls(source.decimal, source.thousands, BOOLEANS | dict(source.words_of_booleans))

    @property
    def mark(self) -> str:
        """A pattern of the mark between groups of digits; of none where there is none."""
        if self.thousands is None:
            return ""
        return _SPACES if self.thousands == " " else re.escape(self.thousands)

    @property
    def number(self) -> str:
        """A pattern of numbers."""
        decimal = re.escape(self.decimal)
        whole = rf"(\d+|\d{{1,3}}({self.mark}\d{{3}})+)" if self.mark else r"\d+"
        return rf"^\s*[+-]?(({whole}({decimal}\d*)?|{decimal}\d+)([eE][+-]?\d+)?|(?i:inf|infinity))\s*$"

    def plain(self, numbers: pa.Array) -> pa.Array:
        """Texts of numbers as every computer reads them."""
        numbers = pc.utf8_trim_whitespace(numbers)
        if self.mark:
            numbers = pc.replace_substring_regex(numbers, self.mark, "")
        return numbers if self.decimal == "." else pc.replace_substring(numbers, self.decimal, ".")


PLAIN = Notation()
"""What every source may write."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A column of one type, and the positions whose value could not be converted (they are empty in `values`)."""

    values: pa.Array
    bad: np.ndarray


def convert(
    column: pa.Array | pa.ChunkedArray,
    kind: AnyKind,
    timezone: str = "UTC",
    date_format: str | None = None,
    notation: Notation = PLAIN,
) -> Converted:
    """A source's column as text, number (float64, NaN counts as empty), boolean, date (local to `timezone`) or instant.

    A blank text is no value, except among texts.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_large_string(array.type) or pa.types.is_string_view(array.type):
        array = array.cast(pa.string())
    array = _without_blanks(array, kind)
    if kind == "text":
        values = _texts(array)
    elif kind == "number":
        values = _numbers(array, notation)
    elif kind == "boolean":
        values = _booleans(array, notation.booleans)
    else:
        read = local_days if kind == "date" else instants
        values = read(array, timezone, date_format)
    if values is None:
        values = pa.nulls(len(array), TYPES[kind])
    bad = np.flatnonzero(pc.and_(array.is_valid(), values.is_null()).to_numpy(zero_copy_only=False))
    return Converted(values, bad)


def _without_blanks(array: pa.Array, kind: AnyKind) -> pa.Array:
    """The column with that emptied which is no value: blank texts, NaN."""
    if pa.types.is_floating(array.type):
        return _emptied(array, pc.is_nan(array))
    if pa.types.is_string(array.type) and kind != "text":
        return _emptied(array, pc.match_substring_regex(array, _NO_NUMBER if kind == "number" else _BLANK))
    return array


def _emptied(array: pa.Array, where: pa.Array) -> pa.Array:
    return pc.if_else(pc.fill_null(where, fill_value=True), pa.scalar(None, array.type), array)


def blank_to_empty(texts: pa.Array) -> pa.Array:
    """Texts of which a blank one is none."""
    return _emptied(texts, pc.match_substring_regex(texts, _BLANK))


def _texts(array: pa.Array) -> pa.Array | None:
    kind = array.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.array([_joined(items) for items in array.to_pylist()], pa.string())
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return None
    return shown(array)


def _joined(items: list[object] | None) -> str | None:
    """A list of texts as one text with commas; a list of anything else, or of texts with commas, does not convert."""
    if items is None or not all(isinstance(item, str) and "," not in item for item in items):
        return None
    return ",".join(str(item) for item in items)


def _numbers(array: pa.Array, notation: Notation) -> pa.Array | None:
    kind = array.type
    if pa.types.is_string(kind):
        fits = pc.match_substring_regex(array, notation.number)
        return pc.cast(notation.plain(_emptied(array, pc.invert(fits))), pa.float64())
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return pc.cast(array, pa.float64(), safe=False)
    return None


def _booleans(array: pa.Array, words: Mapping[str, bool]) -> pa.Array | None:
    if pa.types.is_boolean(array.type):
        return array
    texts = _texts(array)
    if texts is None:
        return None
    found = pc.index_in(pc.utf8_lower(pc.utf8_trim_whitespace(texts)), pa.array(list(words)))
    return pa.array(list(words.values())).take(found)
