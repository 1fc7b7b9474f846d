"""What a row becomes at Stativate: one status per key, with its latest value in at most 10 characters.

Sources: "Set a status" and the tutorial "Status create or update" of docs.stativate.de (seeds), and its page
concept/status.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pipelines.delivery.destination import Destination
from pipelines.delivery.errors import ConfigurationError
from pipelines.delivery.upsert import Payload
from pipelines.destinations.accounts import Account, Settings
from pipelines.destinations.base import SyncSpec
from pipelines.destinations.building import Shaped
from pipelines.destinations.columns import Cells, Columns, Problem, derive, merge
from pipelines.destinations.formats import FormatBy, formatted, known_format
from pipelines.destinations.rules import Bounds, decide, used_columns
from pipelines.destinations.sent import Sent
from pipelines.destinations.stativate.api import FIELDS, Stativate, StativateSettings, compared_form
from pipelines.destinations.templates import Template
from pipelines.destinations.texts import shown, unsound

KEY_PATTERN = r"[A-Za-z0-9_-]{1,64}"
"""Which keys the API takes is written nowhere; these are safe in every path."""
_LENGTHS = {"name": (3, 42), "value": (1, 10), "description": (0, 400)}
_COLORS = range(1, 13)


def _color(number: int) -> int:
    if number not in _COLORS:
        msg = f"{number} is no colour: they are numbered 1 to 12"
        raise ValueError(msg)
    return number


class ValueSpec(BaseModel):
    """A column and the form in which its number is shown."""

    model_config = ConfigDict(extra="forbid")

    column: str = Field(description="Column with the value.")
    format: FormatBy | str = Field(default="compact", description="Format, or one chosen by another column.")

    @field_validator("format")
    @classmethod
    def _known(cls, style: FormatBy | str) -> FormatBy | str:
        return known_format(style) if isinstance(style, str) else style


class ColorStep(Bounds):
    """A step of a colour rule."""

    color: int = Field(description="Status colour, 1 to 12.")

    @field_validator("color")
    @classmethod
    def _known(cls, color: int) -> int:
        return _color(color)


class ColorRule(BaseModel):
    """The colour of the first step that matches."""

    model_config = ConfigDict(extra="forbid")

    column: str = Field(description="Column that the steps compare.")
    steps: list[ColorStep] = Field(description="Tried in order.")
    otherwise: int = Field(description="Colour where no step matches, 1 to 12.")

    @field_validator("otherwise")
    @classmethod
    def _known(cls, color: int) -> int:
        return _color(color)


class StativateSpec(SyncSpec):
    """A row as a status: its latest value, at most 10 characters."""

    comparable: ClassVar[Collection[str]] = tuple(FIELDS)
    settings: ClassVar[type[Settings]] = StativateSettings
    documentation: ClassVar[str] = "https://docs.stativate.de/api-docs/reference/get-status-by-key/"

    key: str = Field(description='Template of the status key, such as "{kpi}-{team}".')
    key_pattern: str = Field(default=KEY_PATTERN, description="Regular expression that the whole key must match.")
    label: str = Field(description="Template of the status name, 3 to 42 characters.")
    value: ValueSpec | str = Field(description="Value of 1 to 10 characters: a column and its format, or a template.")
    description: str | None = Field(default=None, description="Template of the description, at most 400 characters.")
    color: ColorRule | int | None = Field(default=None, description="Colour 1 to 12: a number, or steps over a column.")
    access: Literal["private", "public"] = Field(default="private", description="Who sees the status.")

    @model_validator(mode="after")
    def _usable(self) -> StativateSpec:
        if isinstance(self.color, int):
            _color(self.color)
        for field in self.send_when or ():
            if field in ("color", "description") and getattr(self, field) is None:
                msg = f"send_when names {field}, which the sync does not send"
                raise ValueError(msg)
        try:
            re.compile(self.key_pattern)
            self._templates()
        except re.error as error:
            msg = f"key_pattern is no regular expression: {error}"
            raise ValueError(msg) from error
        except ConfigurationError as error:
            raise ValueError(str(error)) from error
        return self

    def _templates(self) -> dict[str, Template]:
        texts = {"key": self.key, "label": self.label, "value": self.value, "description": self.description}
        return {field: Template.parse(text, field) for field, text in texts.items() if isinstance(text, str)}

    def used(self) -> Mapping[str, Collection[str]]:
        """The columns that each YAML field uses."""
        used: dict[str, Collection[str]] = {field: one.columns for field, one in self._templates().items()}
        if isinstance(self.value, ValueSpec):
            style = self.value.format
            used["value"] = (self.value.column, *([style.by] if isinstance(style, FormatBy) else []))
        if isinstance(self.color, ColorRule):
            used["color"] = used_columns(self.color.column, self.color.steps)
        return used

    def sent(self) -> Sequence[Sent]:
        """Key in the path and fields of the body (seed: Stativate "Set a status")."""
        used = {field: tuple(columns) for field, columns in self.used().items()}
        fields = [
            Sent("statusKey", "string", "Names the status.", used["key"], key=True, must=(f"is {self.key_pattern}",)),
            Sent("name", "string", "Name of the status.", used["label"], must=(_length_words("name"),)),
            Sent("type", "string", "Kind of the status.", must=("is text",)),
            Sent("value", "string", "Kept in upper case by the server.", used["value"], must=(_length_words("value"),)),
            Sent("accessType", "string", "Who sees the status.", must=(f"is {self.access}",)),
        ]
        if self.description is not None:
            limit = (_length_words("description"),)
            fields.append(Sent("description", "string", "The description.", used["description"], must=limit))
        if self.color is not None:
            fields.append(
                Sent("colorNo", "number", "Number of the colour.", used.get("color", ()), must=("is 1 to 12",))
            )
        return fields

    def value_columns(self) -> Collection[str]:
        """The value's column; in a template the column `actual`, since others may be names and units."""
        if isinstance(self.value, ValueSpec):
            return (self.value.column,)
        return [name for name in self._templates()["value"].columns if name == "actual"]

    def ambiguous(self, key: str, rows: int) -> str:
        """The reason for rows that share key and time but differ: the template lacks a column."""
        return f'key {key} is made by {rows} rows that differ: does the template key: "{self.key}" lack a column?'

    def shape(self, columns: Columns) -> Shaped:
        """A key and a full body per row; lengths, colours and keys that the API would refuse are problems.

        The full body goes every time (tutorial "Status create or update"); nothing is ever cut to fit.
        """
        templates = {field: one.render(columns) for field, one in self._templates().items()}
        keys = _checked(templates["key"], self._bad_key())
        if isinstance(self.value, ValueSpec):
            value = formatted(columns, self.value.column, self.value.format)
        else:
            value = templates["value"]
        fields: dict[str, Cells[Any]] = {
            "name": _checked(templates["label"], _bad_length("name")),
            "type": Cells(["text"] * len(columns)),
            "value": _checked(value, _bad_length("value")),
            "accessType": Cells([self.access] * len(columns)),
        }
        if self.description is not None:
            fields["description"] = _checked(templates["description"], _bad_length("description"))
        if isinstance(self.color, ColorRule):
            steps = [(step, step.color) for step in self.color.steps]
            fields["colorNo"] = decide(columns, self.color.column, steps, self.color.otherwise)
        elif self.color is not None:
            fields["colorNo"] = Cells([self.color] * len(columns))
        names = tuple(fields)
        rows = list(zip(*(cells.values for cells in fields.values()), strict=True))
        # Rows that say the same share one payload: less memory, and one fingerprint for all of them.
        payloads = {row: dict(zip(names, row, strict=True)) for row in set(rows)}
        problems = merge(keys.problems, fields["value"].problems, *(cells.problems for cells in fields.values()))
        return Shaped(keys.values, [payloads[row] for row in rows], problems)

    def _bad_key(self) -> Callable[[str], str | None]:
        pattern = re.compile(self.key_pattern)

        def bad(key: str) -> str | None:
            # A path segment of dots alone would address another resource.
            if pattern.fullmatch(key) and key.strip("."):
                return None
            return f"the status key {shown(key)} does not match key_pattern: {self.key_pattern}"

        return bad

    def normalise(self, payload: Payload) -> Payload:
        """The compared fields, the value in upper case as the server keeps it (docs.stativate.de/concept/status)."""
        return compared_form(payload, self.compared())

    def compared(self) -> tuple[str, ...]:
        """The API's names of the fields that count."""
        return tuple(FIELDS[field] for field in (self.send_when or FIELDS))

    def connect(self, account: Account) -> Destination:
        """The destination that delivers this sync's upserts to the account."""
        return Stativate(account, self.compared())


def utf16_length(text: str) -> int:
    """The length in UTF-16 code units: how the API counts is written nowhere, and this is the strictest usual way."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _length_words(field: str) -> str:
    least, most = _LENGTHS[field]
    return f"has {least} to {most} characters"


def _bad_length(field: str) -> Callable[[str], str | None]:
    least, most = _LENGTHS[field]

    def bad(text: str) -> str | None:
        if complaint := unsound(text):
            return f"{field} {shown(text)} {complaint}"
        # The server keeps values in upper case, which can be longer: the German sharp s becomes SS.
        length = utf16_length(text.upper() if field == "value" else text)
        if least <= length <= most:
            return None
        return f"{field} {shown(text)} has {length} characters, the API takes {least} to {most}"

    return bad


def _checked(cells: Cells[str], bad: Callable[[str], str | None]) -> Cells[str]:
    def make(text: str) -> str | Problem:
        reason = bad(text)
        return text if reason is None else Problem(reason)

    checked = derive(cells.values, make, "", {})
    return Cells(cells.values, merge(cells.problems, checked.problems))
