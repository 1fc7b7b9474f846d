"""ValueStreamer's meta data: the KPIs, teams, sub-tiles and users that somebody made in its user interface.

The sandbox has no such interface: it starts with those of the sample tables, and `/control/valuestreamer/meta` takes
others. Field names of the answers: `GET /exchange/kpi/{id}` as third-party clients read it, `GET /exchange/teams` and
`GET /exchange/users` from https://www.valuestreamer.de/help/-retrieve-user-team-ids-via-api.
"""

from __future__ import annotations

from functools import cache, cached_property
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from pipelines.sandbox.sample import sample_rows

Uuid = Annotated[str, StringConstraints(to_lower=True, pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")]
_REFERENCES = {"day": "DAY", "week": "WEEK", "month": "MONTH"}
"""The values of `kpiValueTimeReference` are not documented; these are the sandbox's own."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Named(_Strict):
    """A sub-tile of a KPI."""

    id: Uuid
    name: str


class KpiValue(Named):
    """One of the values of a KPI's record. `role` is for the sandbox's page only."""

    role: Literal["actual", "target"] = "actual"


class Kpi(_Strict):
    """A KPI. `recording_teams`: the ids of the teams that record it; None: every team. `unit` is for the page only."""

    id: Uuid
    name: str
    integer: bool = False
    interval: Literal["day", "week", "month"] = "day"
    unit: str = ""
    values: list[KpiValue] = Field(min_length=1)
    sub_tiles: list[Named] = []
    recording_teams: list[Uuid] | None = None

    @cached_property
    def value_ids(self) -> frozenset[str]:
        """The ids of the values."""
        return frozenset(value.id for value in self.values)

    @cached_property
    def sub_tile_ids(self) -> frozenset[str]:
        """The ids of the sub-tiles."""
        return frozenset(tile.id for tile in self.sub_tiles)

    @cached_property
    def recorded_by(self) -> frozenset[str] | None:
        """The ids of the recording teams; None: all."""
        return None if self.recording_teams is None else frozenset(self.recording_teams)

    def brief(self) -> dict[str, Any]:
        """The KPI as `GET /exchange/kpi` lists it."""
        return {"id": self.id, "name": self.name}

    def detailed(self, teams: dict[str, Team]) -> dict[str, Any]:
        """The KPI as `GET /exchange/kpi/{id}` shows it."""
        recording = [team for team in teams.values() if self.recorded_by is None or team.id in self.recorded_by]
        return {
            **self.brief(),
            "kpiValueIsInteger": self.integer,
            "kpiValueTimeReference": _REFERENCES[self.interval],
            "kpiValues": [{"id": value.id, "name": value.name} for value in self.values],
            "recordingTeams": [{"id": team.id, "name": team.name} for team in recording],
        }


class Team(_Strict):
    """A team."""

    id: Uuid
    name: str
    short_name: str = ""
    parent_team: Uuid | None = None

    def shown(self) -> dict[str, Any]:
        """The team as the API shows it."""
        return {"id": self.id, "name": self.name, "shortName": self.short_name, "parentTeam": self.parent_team}


class User(_Strict):
    """A user."""

    id: Uuid
    first_name: str
    last_name: str
    email: str

    def shown(self) -> dict[str, Any]:
        """The user as the API shows it."""
        return {"id": self.id, "firstName": self.first_name, "lastName": self.last_name, "email": self.email}


class Meta(_Strict):
    """Meta data to put beside what is there, or in its place."""

    kpis: list[Kpi] = []
    teams: list[Team] = []
    users: list[User] = []
    replace: bool = Field(default=False, description="Take away all other KPIs, teams and users; their records stay.")


@cache
def sample_meta() -> Meta:
    """The KPIs and teams of the sample tables. Every team records every KPI, daily."""
    return Meta(
        kpis=[_kpi(row) for row in sample_rows("kpis")],
        teams=[
            Team(id=row["valuestreamer_team_id"], name=row["team_name"], short_name=row["team_code"])
            for row in sample_rows("teams")
        ],
        users=[
            User(
                id="00000000-0000-4000-8000-000000000001",
                first_name="Sandbox",
                last_name="User",
                email="sandbox@example.invalid",
            )
        ],
    )


def _kpi(row: dict[str, Any]) -> Kpi:
    values = [KpiValue(id=row["valuestreamer_actual_id"], name="Actual")]
    if row["valuestreamer_target_id"]:
        values.append(KpiValue(id=row["valuestreamer_target_id"], name="Target", role="target"))
    return Kpi(
        id=row["valuestreamer_kpi_id"],
        name=row["kpi_name"],
        integer=row["whole_number"],
        unit=row["unit"],
        values=values,
    )
