"""Cells of an area's fields: texts that must or may be there, flags, lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from pipelines.destinations.columns import Cells, Columns, Problem, derive, merge
from pipelines.destinations.formats import label
from pipelines.destinations.templates import Template, render_optional
from pipelines.destinations.texts import shown, unsound

_FLAGS = {"true": True, "false": False, "t": True, "f": False, "yes": True, "no": False, "1": True, "0": False}


def some_text(what: str, cells: Cells[str]) -> Cells[str]:
    """The texts, of which a blank one is a problem."""

    def make(text: str) -> str | Problem:
        return _sound(what, text) if text.strip() else Problem(f"{what} is empty")

    checked = derive(cells.values, make, "", {})
    return Cells(checked.values, merge(cells.problems, checked.problems))


def optional(template: Template, columns: Columns) -> Cells[str | None]:
    """The template's text for each row; None where a column that it uses is empty, or the text is blank."""
    cells = render_optional(template, columns)
    checked = derive(cells.values, partial(_sound, template.field), None, {})
    return Cells(checked.values, merge(cells.problems, checked.problems))


def maybe_text(columns: Columns, column: str) -> Cells[str | None]:
    """A column as text; None where it is empty or blank."""

    def make(value: Any) -> str | Problem | None:
        text = label(value).strip()
        return _sound(column, text) if text else None

    return derive(columns.values(column), make, None, {})


def flags(columns: Columns, source: str | bool) -> Cells[bool]:  # noqa: FBT001 - a column's name, or what holds for all
    """A column as true and false, or the same for all rows."""
    if isinstance(source, bool):
        return Cells([source] * len(columns))

    def make(value: Any) -> bool | Problem:
        found = _FLAGS.get(label(value).strip().lower())
        return Problem(f"{source}: {shown(value)} is neither true nor false") if found is None else found

    return columns.derive(source, make, default=False)


def listed(columns: Columns, source: str | Sequence[Template], *, lower: bool = False) -> Cells[list[str]]:
    """Per row a list of different texts: a column of lists or of texts with commas, or one text per template."""
    if isinstance(source, str):
        return derive(columns.values(source), partial(_taken_apart, source, lower=lower), [], {})
    parts = [optional(template, columns) for template in source]
    rows = zip(*(cells.values for cells in parts), strict=True) if parts else [()] * len(columns)
    values = [list(dict.fromkeys(text for text in texts if text is not None)) for texts in rows]
    return Cells(values, merge(*(cells.problems for cells in parts)))


def _taken_apart(column: str, value: Any, *, lower: bool) -> list[str] | Problem:
    if isinstance(value, str):
        texts: Iterable[Any] = value.split(",")
    elif isinstance(value, Iterable):
        texts = value
    else:
        return Problem(f"{column}: {shown(value)} is neither a text nor a list of texts")
    stripped = [label(text).strip() for text in texts if text is not None]
    found = list(dict.fromkeys(text.lower() if lower else text for text in stripped if text))
    return next((one for one in (_sound(column, text) for text in found) if isinstance(one, Problem)), found)


def _sound(what: str, text: str) -> str | Problem:
    complaint = unsound(text)
    return text if complaint is None else Problem(f"{what} {shown(text)} {complaint}")
