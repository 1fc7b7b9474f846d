"""What a row becomes at ValueStreamer: one dataset per date, team, KPI and sub-tile, with all of its values.

Sources: "Managing KPIs via REST API" (seed, valuestreamer.de/help/-managing-kpis-via-rest-api) and its newer edition
(valuestreamer.de/en/hilfe/-managing-kpis-via-rest-api), which tells where sub-tiles go.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipelines.delivery.destination import Destination
from pipelines.delivery.upsert import Payload
from pipelines.destinations.accounts import Account, Settings
from pipelines.destinations.base import SyncSpec
from pipelines.destinations.building import Shaped
from pipelines.destinations.columns import Cells, Columns, Problem, derive, merge
from pipelines.destinations.sent import Sent, given
from pipelines.destinations.texts import shown
from pipelines.destinations.valuestreamer.api import ValueStreamer, ValueStreamerSettings, compared_form
from pipelines.destinations.valuestreamer.numbers import exact_numbers
from pipelines.destinations.valuestreamer.windows import Grain

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class ValueColumn(BaseModel):
    """A value of a dataset: the column that holds it, and the column with its kpiValueId."""

    model_config = ConfigDict(extra="forbid")

    column: str = Field(description="Column with the value.")
    id: str = Field(description="Column with the kpiValueId of that value.")


class ValueStreamerSpec(SyncSpec):
    """A row as the dataset of its date, team and KPI."""

    comparable: ClassVar[Collection[str]] = ("actual", "target")
    dated: ClassVar[bool] = True
    settings: ClassVar[type[Settings]] = ValueStreamerSettings
    documentation: ClassVar[str] = "https://www.valuestreamer.de/en/hilfe/-managing-kpis-via-rest-api?hsLang=en"

    team_id: str = Field(description="Column with the team's UUID.")
    kpi_id: str = Field(description="Column with the KPI's UUID.")
    sub_tile_id: str | None = Field(
        default=None,
        description="Column with the sub-tile's UUID, for KPIs that have sub-tiles; empty for those that do not.",
    )
    date: str = Field(default="date", description="Column with the date.")
    grain: Grain | None = Field(
        default=None, description="Of all KPIs: weekly dates must be Mondays, monthly ones the 1st; unset: not checked."
    )
    actual: ValueColumn = Field(description="The actual value and its id.")
    target: ValueColumn | Literal["keep", "none"] = Field(
        default="keep",
        description="The target and its id (a KPI without such an id has no target); keep: read each dataset first and "
        "leave its other values as they stand; none: send the actual alone, which may reset a target to 0.",
    )
    unit: str | None = Field(
        default=None, description='Column with the unit; values with the unit "Time" go as minutes.'
    )
    whole_number: str | None = Field(
        default=None, description="Column that is true for KPIs that take whole numbers only."
    )

    @model_validator(mode="after")
    def _compares_the_actual(self) -> ValueStreamerSpec:
        if self.send_when is not None and "actual" not in self.send_when:
            msg = "send_when must name actual: a changed actual that is not sent would be lost"
            raise ValueError(msg)
        if "target" in (self.send_when or ()) and not isinstance(self.target, ValueColumn):
            msg = "send_when names target, which the sync does not send"
            raise ValueError(msg)
        return self

    def used(self) -> Mapping[str, Collection[str]]:
        """The columns that each YAML field uses."""
        used: dict[str, Collection[str]] = {
            field: (column,)
            for field in ("team_id", "kpi_id", "sub_tile_id", "date", "unit", "whole_number")
            if (column := getattr(self, field)) is not None
        }
        for field in ("actual", "target"):
            value = getattr(self, field)
            if isinstance(value, ValueColumn):
                used[field] = (value.column, value.id)
        return used

    def sent(self) -> Sequence[Sent]:
        """Ids in the path, and the values of the body (seed: ValueStreamer "Managing KPIs via REST API")."""
        uuid = ("is a UUID",)
        begins = {"weekly": ("is a Monday",), "monthly": ("is the 1st of a month",)}.get(self.grain or "", ())
        fields = [
            Sent("date", "string", "Date of the dataset.", (self.date,), key=True, must=("is yyyy-MM-dd", *begins)),
            Sent("team-id", "string", "Team that records it.", (self.team_id,), key=True, must=uuid),
            Sent("kpi-id", "string", "The KPI.", (self.kpi_id,), key=True, must=uuid),
        ]
        if self.sub_tile_id is not None:
            what = "The KPI's sub-tile."
            fields.append(Sent("sub-tile-id", "string", what, (self.sub_tile_id,), key=True, must=uuid, optional=True))
        for at, (what, value) in enumerate((("actual", self.actual), ("target", self.target))):
            if isinstance(value, ValueColumn):
                place, lacking = f"values[{at}]", what == "target"
                made_of = given(value.column, self.unit, self.whole_number)
                said = f"Says that the value is the {what}."
                fields += [
                    Sent(f"{place}.kpiValueId", "string", said, (value.id,), must=uuid, optional=lacking),
                    Sent(f"{place}.value", "number", f"The {what}.", made_of, optional=lacking),
                ]
        return fields

    def value_columns(self) -> Collection[str]:
        """The actual's column."""
        return (self.actual.column,)

    def ambiguous(self, key: str, rows: int) -> str:
        """The reason for rows that share key and time but differ: the API takes one of them only."""
        return f"dataset {key} is made by {rows} rows that differ: date, team, KPI and sub-tile must tell them apart"

    def shape(self, columns: Columns) -> Shaped:
        """A key `date/team/kpi[/sub-tile]` and all values of the dataset per row."""
        days = columns.derive(self.date, partial(_day, self.date, self.grain), "")
        teams = columns.derive(self.team_id, partial(_uuid, self.team_id), "")
        kpis = columns.derive(self.kpi_id, partial(_uuid, self.kpi_id), "")
        tiles = self._tiles(columns)
        actuals = exact_numbers(columns, self.actual.column, self.unit, self.whole_number)
        actual_ids = columns.derive(self.actual.id, partial(_uuid, self.actual.id), "")
        parts = merge(days.problems, kpis.problems, teams.problems, tiles.problems)
        keys = list(map("{}/{}/{}{}".format, days.values, teams.values, kpis.values, tiles.values))
        for at in parts:
            keys[at] = ""
        problems = merge(parts, columns.nulls(self.actual.column), actual_ids.problems, actuals.problems)
        values: list[tuple[Any, ...]] = list(zip(actual_ids.values, actuals.values, strict=True))
        if isinstance(self.target, ValueColumn):
            values, of_targets = self._with_targets(columns, self.target, values)
            problems = merge(problems, of_targets)
        payloads = {one: _payload(one) for one in set(values)}
        return Shaped(keys, [payloads[one] for one in values], problems)

    def _tiles(self, columns: Columns) -> Cells[str]:
        """Sub-tiles as a part of the key; a row without one is of a KPI without, unless its `sub_tile` names one."""
        if self.sub_tile_id is None:
            return Cells([""] * len(columns))
        tiles = derive(columns.values(self.sub_tile_id), partial(_tile, self.sub_tile_id), "", {})
        if "sub_tile" not in columns or self.sub_tile_id == "sub_tile":
            return tiles
        codes = columns.values("sub_tile")
        nulls = {at: one for at, one in columns.nulls(self.sub_tile_id).items() if codes[at] is not None}
        return Cells(tiles.values, merge(tiles.problems, nulls))

    def _with_targets(
        self, columns: Columns, target: ValueColumn, values: list[tuple[Any, ...]]
    ) -> tuple[list[tuple[Any, ...]], Mapping[int, Problem]]:
        """The values of each row and its target, where the KPI has a target id; and the problems of the targets."""
        ids = derive(columns.values(target.id), partial(_uuid, target.id), "", {})
        numbers = exact_numbers(columns, target.column, self.unit, self.whole_number)
        problems = dict(ids.problems)
        both: list[tuple[Any, ...]] = []
        for at, (own, one, number) in enumerate(zip(values, ids.values, numbers.values, strict=True)):
            both.append((*own, one, number) if one else own)
            if one and at in numbers.problems:
                problems[at] = numbers.problems[at]
            elif one and number is None:
                problems[at] = Problem(columns.why_null(target.column, at))
            elif one and one == own[0]:
                problems[at] = Problem(f"{self.actual.id} and {target.id} are the same id: {one}")
        return both, problems

    def normalise(self, payload: Payload) -> Payload:
        """The values that count; numbers and ids are exact already."""
        return compared_form(payload, actual_only=self.actual_only)

    @property
    def actual_only(self) -> bool:
        """Whether a changed target alone is not sent."""
        return self.send_when is not None and "target" not in self.send_when

    def connect(self, account: Account) -> Destination:
        """The destination that delivers this sync's upserts to the account."""
        return ValueStreamer(
            account,
            keep=self.target == "keep",
            complete=isinstance(self.target, ValueColumn),
            actual_only=self.actual_only,
            grain=self.grain or "daily",
        )


def _uuid(column: str, value: Any) -> str | Problem:
    text = str(value).lower()
    return text if _UUID.fullmatch(text) else Problem(f"{column}: {shown(value)} is no UUID")


def _tile(column: str, value: Any) -> str | Problem:
    tile = _uuid(column, value)
    return f"/{tile}" if isinstance(tile, str) else tile


def _payload(values: tuple[Any, ...]) -> Payload:
    """The PUT's body out of ids and values by turns."""
    pairs = zip(values[::2], values[1::2], strict=True)
    return {"values": [{"kpiValueId": one, "value": value} for one, value in pairs]}


def _day(column: str, grain: Grain | None, value: Any) -> str | Problem:
    """The date as yyyy-MM-dd; a week's is its Monday, a month's the 1st (seed: "Managing KPIs via REST API")."""
    try:
        day = (
            dt.date.fromisoformat(value[:10]) if isinstance(value, str) else dt.date(value.year, value.month, value.day)
        )
    except (ValueError, AttributeError):
        return Problem(f"{column}: {shown(value)} is no date")
    if grain == "weekly" and day.weekday() != 0:
        return Problem(f"{column}: {day} is a {day:%A}; the date of a weekly dataset is its Monday")
    if grain == "monthly" and day.day != 1:
        return Problem(f"{column}: {day} is not the 1st; the date of a monthly dataset is the 1st of the month")
    return day.isoformat()
