"""A table as a data engineer writes it in YAML: plain pydantic models, checked as far as the text alone allows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pyarrow as pa
from pydantic import BeforeValidator, Field, field_validator, model_validator

from pipelines.tables.compute import pc
from pipelines.tables.source_spec import CatalogueSpec, Kind, SourceSpec, Spec

Grain = Literal["daily", "weekly", "monthly", "snapshot"]

CANONICAL = ("row", "partition", "as_of", "date", "team", "kpi", "actual", "sub_tile")
"""The columns of a KPI table that have a meaning of their own, in the order in which they are stored."""
AREA_CANONICAL = ("row", "partition", "as_of", "area_code", "area_name", "parent_code", "active", "tags")
"""The same of an area table."""


_STRPTIME = (
    r"^([^%]|%(-?[dHIjmMSy]|[aAbBcfgGnpuUVwWxXYzZ%]))*%-?[dDjymYBbcx]([^%]|%(-?[dHIjmMSy]|[aAbBcfgGnpuUVwWxXYzZ%]))*$"
)


def _iso(value: Any) -> Any:
    """A date as YAML reads it without quotation marks, as text."""
    return value.isoformat() if isinstance(value, date) else value


class _Columns(Spec):
    @property
    def mapped(self) -> dict[str, str]:
        """Our names -> the source's, of the columns that the source has."""
        return {name: source for name, source in self.model_dump().items() if source is not None}


class ColumnsSpec(_Columns):
    """Our names of a KPI table's columns -> the source's. Every further column passes through under its own name."""

    date: str | None = Field(
        default=None, description="The reading's date. May be left out with {date} in `files`, and in a snapshot."
    )
    team: str = Field(default="team", description="The team's code.")
    kpi: str = Field(default="kpi", description="The KPI's code.")
    actual: str = Field(default="actual", description="The value.")
    sub_tile: str | None = Field(
        default=None, description="A further part of the key, where a KPI has several values per team."
    )
    as_of: str | None = Field(
        default=None,
        description="Only in a snapshot: when a value was true (a date or time); default: the time of the extract.",
    )


class AreaColumnsSpec(_Columns):
    """Our names of an area table's columns -> the source's. Every further column passes through under its own name."""

    area_code: str = Field(default="area_code", description="The area's code, unique.")
    area_name: str = Field(default="area_name", description="The area's name.")
    parent_code: str | None = Field(
        default="parent_code", description="The code of the area above; null: areas have no parents."
    )
    active: str | None = Field(default="active", description="Whether the area is in use; null: the source is silent.")
    tags: str | None = Field(default="tags", description="Tags as one text with commas, or as a list; null: none.")
    as_of: str | None = Field(
        default=None, description="When a row was true (a date or time); default: the time of the extract."
    )


class RuleSpec(Spec):
    """A rule of your own; a row that breaks it goes to the quarantine. An empty value breaks `required` only."""

    column: str = Field(description="Our name of a mapped column (actual), else the source's.")
    min: float | None = Field(default=None, description="The least number allowed.")
    max: float | None = Field(default=None, description="The greatest number allowed.")
    one_of: list[str] | None = Field(default=None, min_length=1, description="The texts allowed.")
    matches: str | None = Field(default=None, description="A regular expression (RE2) that the whole text must match.")
    required: bool = Field(default=False, description="Whether the value must be there.")
    where: dict[str, str | list[str]] = Field(
        default_factory=dict,
        description="Only for rows in which these columns hold this text, or one of these: {kpi: on_time_pct}.",
    )

    @model_validator(mode="after")
    def _says_something(self) -> RuleSpec:
        numeric = self.min is not None or self.max is not None
        textual = self.one_of is not None or self.matches is not None
        if not (numeric or textual or self.required):
            msg = f"the rule for {self.column} says nothing: give min, max, one_of, matches or required"
            raise ValueError(msg)
        if numeric and textual:
            msg = f"the rule for {self.column} mixes numbers (min, max) with texts (one_of, matches): make it two rules"
            raise ValueError(msg)
        if self.min is not None and self.max is not None and self.min > self.max:
            msg = f"the rule for {self.column} allows nothing: min {self.min:g} is above max {self.max:g}"
            raise ValueError(msg)
        return self

    @field_validator("matches")
    @classmethod
    def _is_pattern(cls, value: str | None) -> str | None:
        try:
            pc.match_substring_regex(pa.array([""]), value or "")
        except pa.ArrowInvalid as error:
            msg = f"{value!r} is no regular expression ({error})"
            raise ValueError(msg) from None
        return value

    @property
    def kind(self) -> Kind | None:
        """What the rule is about; None for a rule that fits every type."""
        if self.min is not None or self.max is not None:
            return "number"
        return "text" if self.one_of is not None or self.matches is not None else None


class ScheduleSpec(Spec):
    """When the table is extracted."""

    at: str = Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="Time of day in the table's timezone: 05:30.")
    lookback: int = Field(default=1, ge=1, le=366, description="How many of the newest partitions are read each time.")


class BaseTableSpec(Spec):
    """What every table has, whatever its rows are."""

    name: str = Field(
        pattern=r"^[a-z][a-z0-9_]{0,79}$",
        description="Name of the table and of its assets: small letters, digits and underscores.",
    )
    source: SourceSpec = Field(description="Where the rows come from.")
    timezone: str = Field(
        default="UTC", description="IANA name, such as America/New_York: where a day begins and ends."
    )
    rules: list[RuleSpec] = Field(default_factory=list, description="Rules of your own, beside the contract's.")
    types: dict[str, Kind] = Field(
        default_factory=dict,
        description="Types of further columns, by their name in the source; without one, a column passes as it is.",
    )
    date_format: str | None = Field(
        default=None,
        pattern=_STRPTIME,
        description="How dates are written where the source holds them as text or whole numbers, "
        "and not as 2013-01-31: %d.%m.%Y.",
    )
    schedule: ScheduleSpec | None = Field(default=None, description="When it is extracted; without it, only by hand.")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            msg = f"{value!r} is no IANA timezone; write it like Europe/Berlin"
            raise ValueError(msg) from None
        return value

    def _check_parts(self, mapped: Mapping[str, str], kinds: Mapping[str, Kind]) -> None:
        """That no source column is mapped twice, and that types and rules fit what is mapped."""
        sources = list(mapped.values())
        for source in sources:
            if sources.count(source) > 1:
                msg = f"columns maps {source} twice"
                raise ValueError(msg)
            if source in self.types:
                msg = f"types.{source}: the type of a mapped column is known"
                raise ValueError(msg)
        for rule in self.rules:
            kind = kinds.get(rule.column) or self.types.get(rule.column) or rule.kind
            if rule.kind not in {None, kind}:
                msg = f"the rule for {rule.column} is about a {rule.kind}, but {rule.column} is a {kind}"
                raise ValueError(msg)
        if self.date_format and self.source.database_env:
            msg = "date_format works for files and duckdb; for database_env convert the date in a query"
            raise ValueError(msg)


class TableSpec(BaseTableSpec):
    """A table of KPI readings."""

    columns: ColumnsSpec = Field(default_factory=ColumnsSpec, description="Our names -> the source's columns.")
    catalogues: dict[str, str | CatalogueSpec] = Field(
        default_factory=dict,
        description="Tables that describe codes, by the readings' column that they describe: {kpi: kpis.parquet}.",
    )
    grain: Grain = Field(
        default="daily",
        description="One partition per day, per week (its Monday), per month (its 1st), or none: snapshot.",
    )
    start: Annotated[str | None, BeforeValidator(_iso)] = Field(
        default=None,
        description="The first partition: 2013-01-01; a Monday for weekly, the 1st for monthly; not for a snapshot.",
    )
    empty_days: Literal["allow", "fail"] = Field(
        default="allow", description="Whether a partition without rows is fine in a range that has rows."
    )
    nulls: Literal["allow", "quarantine"] = Field(
        default="allow",
        description="Whether a reading without a value is valid: then each sync decides what becomes of it.",
    )

    @model_validator(mode="after")
    def _grain_fits(self) -> TableSpec:
        if self.grain == "snapshot":
            _check_snapshot(self, self.start)
            return self
        if self.start is None:
            msg = f"a {self.grain} table needs start: its first partition"
            raise ValueError(msg)
        _check_start(self.grain, self.start)
        if self.columns.as_of is not None:
            msg = f"columns.as_of belongs to grain: snapshot; a {self.grain} reading is as of its partition"
            raise ValueError(msg)
        if self.columns.date is None and not self.source.per_partition:
            msg = "columns.date is missing: which column of the source holds the reading's date?"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _parts_fit(self) -> TableSpec:
        kinds: dict[str, Kind] = {"date": "date", "team": "text", "kpi": "text", "actual": "number", "sub_tile": "text"}
        mapped = self.columns.mapped
        self._check_parts(mapped, {name: kind for name, kind in kinds.items() if name in mapped})
        return self

    def catalogue(self, name: str) -> CatalogueSpec:
        """The catalogue of that name; a plain text means `files`."""
        found = self.catalogues[name]
        return CatalogueSpec(files=found) if isinstance(found, str) else found


class AreaTableSpec(BaseTableSpec):
    """A table of areas (org units): always a snapshot."""

    columns: AreaColumnsSpec = Field(default_factory=AreaColumnsSpec, description="Our names -> the source's columns.")

    @model_validator(mode="after")
    def _parts_fit(self) -> AreaTableSpec:
        _check_snapshot(self)
        kinds: dict[str, Kind] = dict.fromkeys(self.columns.mapped, "text")
        self._check_parts(self.columns.mapped, {**kinds, "active": "boolean"})
        return self


AnyTable = TableSpec | AreaTableSpec


def _check_snapshot(spec: BaseTableSpec, start: Any = None) -> None:
    wrong = "start" if start else "{date} in source.files" if spec.source.per_partition else ""
    if spec.schedule and spec.schedule.lookback > 1:
        wrong = "schedule.lookback"
    if wrong:
        msg = f"a snapshot has no partitions: {wrong} has no meaning"
        raise ValueError(msg)


def _check_start(grain: str, start: str) -> None:
    try:
        day = date.fromisoformat(start)
    except ValueError:
        msg = f"start: {start!r} is no date; write it like 2013-01-31"
        raise ValueError(msg) from None
    first, begins = day, ""
    if grain == "weekly":
        first, begins = day - timedelta(days=day.weekday()), "a Monday"
    elif grain == "monthly":
        first, begins = day.replace(day=1), "the 1st"
    if first != day:
        msg = f"start: a {grain} partition begins on {begins}: {first} instead of {day}"
        raise ValueError(msg)
