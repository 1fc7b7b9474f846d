"""A table as a data engineer writes it in YAML: plain pydantic models, checked as far as the text alone allows."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from pipelines.tables.base_spec import BaseTableSpec, Columns, RuleSpec, ScheduleSpec
from pipelines.tables.source_spec import CatalogueSpec, Kind, SourceSpec

__all__ = [
    "AREA_CANONICAL",
    "CANONICAL",
    "AnyTable",
    "AreaColumnsSpec",
    "AreaTableSpec",
    "CatalogueSpec",
    "ColumnsSpec",
    "Grain",
    "RuleSpec",
    "ScheduleSpec",
    "SourceSpec",
    "TableSpec",
]

Grain = Literal["daily", "weekly", "monthly", "snapshot"]

CANONICAL = ("row", "partition", "as_of", "date", "team", "kpi", "actual", "sub_tile")
"""The columns of a KPI table that have a meaning of their own, in the order in which they are stored."""
AREA_CANONICAL = ("row", "partition", "as_of", "area_code", "area_name", "parent_code", "active", "tags")
"""The same of an area table."""


def _iso(value: Any) -> Any:
    """A date as YAML reads it without quotation marks, as text."""
    return value.isoformat() if isinstance(value, date) else value


class ColumnsSpec(Columns):
    """Our names of a KPI table's columns -> the source's. Every further column passes through under its own name."""

    date: str | None = Field(
        default=None,
        description="The reading's date; a time without a zone is local to `timezone`. "
        "May be left out with {date} in `files`, and in a snapshot.",
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


class AreaColumnsSpec(Columns):
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
    end: Annotated[str | None, BeforeValidator(_iso)] = Field(
        default=None, description="The last partition, for a table to which nothing is added any more; default: none."
    )
    empty_days: Literal["allow", "fail"] = Field(
        default="allow", description="Whether a partition without rows is fine in a range that has rows."
    )
    partitions_per_run: int | None = Field(
        default=None,
        ge=1,
        description="Partitions that a run of a backfill reads at most, with one query; default: 184. A table and its "
        "syncs must differ in it: where they would not, it is one less, or so.",
    )
    nulls: Literal["allow", "quarantine"] = Field(
        default="allow",
        description="Whether a reading without a value is valid: then each sync decides what becomes of it.",
    )

    @model_validator(mode="after")
    def _grain_fits(self) -> TableSpec:
        if self.grain == "snapshot":
            _check_snapshot(self, start=self.start, partitions_per_run=self.partitions_per_run)
            return self
        if self.start is None:
            msg = f"a {self.grain} table needs start: its first partition"
            raise ValueError(msg)
        _check_first_day("start", self.grain, self.start)
        if self.end is not None:
            _check_first_day("end", self.grain, self.end)
            if self.end < self.start:
                msg = f"end ({self.end}) is before start ({self.start})"
                raise ValueError(msg)
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


def _check_snapshot(spec: BaseTableSpec, **given: Any) -> None:
    wrong = next((name for name, value in given.items() if value is not None), "")
    if not wrong and spec.source.per_partition:
        wrong = "{date} in source.files"
    if spec.schedule and spec.schedule.lookback > 1:
        wrong = "schedule.lookback"
    if wrong:
        msg = f"a snapshot has no partitions: {wrong} has no meaning"
        raise ValueError(msg)


def _check_first_day(field: str, grain: str, text: str) -> None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        msg = f"{field}: {text!r} is no date; write it like 2013-01-31"
        raise ValueError(msg) from None
    first, begins = day, ""
    if grain == "weekly":
        first, begins = day - timedelta(days=day.weekday()), "a Monday"
    elif grain == "monthly":
        first, begins = day.replace(day=1), "the 1st"
    if first != day:
        msg = f"{field}: a {grain} partition begins on {begins}: {first} instead of {day}"
        raise ValueError(msg)
