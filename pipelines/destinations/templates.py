"""Text templates over a row: `{column}` and `{column:format}`; `{{` and `}}` are literal braces.

A column's name may hold dots and spaces, so this is no `str.format`: `{kpis.unit}` is the column "kpis.unit".
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from pipelines.delivery.errors import ConfigurationError
from pipelines.destinations.columns import Cells, Columns, merge, require
from pipelines.destinations.formats import formatted, formatter

_PARTS = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+")


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in a template: the column and its format."""

    column: str
    format: str = "plain"


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template: texts and slots in order."""

    text: str
    field: str
    parts: tuple[str | Slot, ...]

    @classmethod
    def parse(cls, text: str, field: str) -> Template:
        """Parse a template; `field` is the YAML field it stands in, for errors.

        Raises:
            ConfigurationError: a brace without its twin, an empty slot, or a format that does not exist.
        """
        parts: list[str | Slot] = []
        for match in _PARTS.finditer(text):
            token, inner = match.group(), match.group(1)
            if token in ("{{", "}}"):
                parts.append(token[0])
            elif inner is not None:
                parts.append(_slot(inner, text, field))
            elif token in ("{", "}"):
                msg = f'{field}: the template "{text}" has a brace without its twin'
                raise ConfigurationError(msg, do="Write {column}; a literal brace is doubled.", field=field)
            else:
                parts.append(token)
        return cls(text, field, tuple(parts))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it uses, in order."""
        return tuple(dict.fromkeys(part.column for part in self.parts if isinstance(part, Slot)))

    def check(self, known: Collection[str]) -> None:
        """Raise a ConfigurationError for the first column that is not among the known ones."""
        require(known, self.columns, self.field)

    def render(self, columns: Columns) -> Cells[str]:
        """The text of each row; a null in a column it uses is that row's problem."""
        slots = [formatted(columns, part.column, part.format) for part in self.parts if isinstance(part, Slot)]
        if not slots:
            return Cells(["".join(map(str, self.parts))] * len(columns))
        pattern = "".join("{}" if isinstance(part, Slot) else _escaped(part) for part in self.parts)
        texts = list(map(pattern.format, *(cells.values for cells in slots)))
        problems = merge(*(cells.problems for cells in slots))
        for at in problems:
            texts[at] = ""
        return Cells(texts, problems)


def render_optional(template: Template, columns: Columns) -> Cells[str | None]:
    """The text of each row; None where a column that it uses is empty, or the text is blank."""
    cells = template.render(columns)
    empty = {at for name in template.columns for at in columns.nulls(name)}
    texts = [None if at in empty or not text.strip() else text for at, text in enumerate(cells.values)]
    return Cells(texts, {at: problem for at, problem in cells.problems.items() if at not in empty})


def _slot(inner: str, text: str, field: str) -> Slot:
    column, colon, style = inner.partition(":")
    if not column.strip():
        msg = f'{field}: the template "{text}" has a slot without a column'
        raise ConfigurationError(msg, do="Write {column} or {column:format}.", field=field)
    if not colon:
        return Slot(column.strip())
    formatter(style.strip(), field)
    return Slot(column.strip(), style.strip())


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
