"""What every table has, whatever its rows are: source, timezone, rules, types, schedule."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
from pydantic import Field, field_validator, model_validator

from pipelines.owners import OWNER
from pipelines.tables.compute import pc
from pipelines.tables.source_spec import Kind, SourceSpec, Spec
from pipelines.tables.times import TIME_OF_DAY, Timezone

_STRPTIME = (
    r"^([^%]|%(-?[dHIjmMSy]|[aAbBcfgGnpuUVwWxXYzZ%]))*%-?[dDjymYBbcx]([^%]|%(-?[dHIjmMSy]|[aAbBcfgGnpuUVwWxXYzZ%]))*$"
)


class Columns(Spec):
    """Our names of columns -> the source's."""

    @property
    def mapped(self) -> dict[str, str]:
        """Our names -> the source's, of the columns that the source has."""
        return {name: source for name, source in self.model_dump().items() if source is not None}


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

    at: str = Field(pattern=TIME_OF_DAY, description="Time of day in the table's timezone: 05:30.")
    lookback: int = Field(default=1, ge=1, le=366, description="How many of the newest partitions are read each time.")


class VolumeSpec(Spec):
    """How many rows the newest partition should have, beside the median of those before it."""

    trailing: int = Field(default=14, ge=1, le=366, description="How many partitions before the newest are looked at.")
    at_least: float = Field(default=50.0, ge=0, description="Percent of their median that it has at least.")
    at_most: float = Field(default=200.0, ge=0, description="Percent of their median that it has at most.")

    @model_validator(mode="after")
    def _allows_something(self) -> VolumeSpec:
        if self.at_least > self.at_most:
            msg = f"volume allows nothing: at_least {self.at_least:g} is above at_most {self.at_most:g}"
            raise ValueError(msg)
        return self


class BaseTableSpec(Spec):
    """What every table has, whatever its rows are."""

    name: str = Field(
        pattern=r"^[a-z][a-z0-9_]{0,79}$",
        description="Name of the table and of its assets: small letters, digits and underscores.",
    )
    source: SourceSpec = Field(description="Where the rows come from.")
    owner: str | None = Field(
        default=None,
        pattern=OWNER,
        description="Who answers for it, shown beside its assets: `team:name`, or an e-mail address.",
    )
    timezone: Timezone = Field(
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
    volume: VolumeSpec | None = Field(
        default=VolumeSpec(), description="Standing check: the rows of the newest partition; null: not looked at."
    )
    late_after: int = Field(
        default=60,
        ge=0,
        le=1440,
        description="Minutes after its schedule's time in which the newest partition is to be extracted and delivered: "
        "the standing check `freshness`, the status and its alerts go by it.",
    )
    retry_until: str | None = Field(
        default=None,
        pattern=TIME_OF_DAY,
        description="Time of day in the table's timezone: what could not be extracted or delivered for a reason that "
        "may pass by itself (a source that cannot be reached or is in use, an API that is down, a run's time over) is "
        "taken up every few minutes until that time comes next. "
        "Works while the sensor `resume_stopped` is switched on. Default: only by hand.",
    )

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
