"""ValueStreamer's KPI exchange.

Sources: "Managing KPIs via REST API" (https://www.valuestreamer.de/help/-managing-kpis-via-rest-api and its newer
twin under /en/hilfe/), https://www.valuestreamer.de/en/hilfe/-api-versioning-compatibility,
https://www.valuestreamer.de/help/-retrieve-user-team-ids-via-api. What an error's body and a record look like, and
every status but 415, is not documented: those are the sandbox's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, ClassVar

from pipelines.sandbox.accounts import VALUESTREAMER_PASSWORD, VALUESTREAMER_USER, basic
from pipelines.sandbox.api import Api
from pipelines.sandbox.settings import ValuestreamerSettings
from pipelines.sandbox.state import Record
from pipelines.sandbox.valuestreamer_checks import check_range, checked_values, iso_date, uuid
from pipelines.sandbox.valuestreamer_meta import Kpi, Meta, Team, User, sample_meta
from pipelines.sandbox.web import Endpoint, Incoming, Refusal, Reply, json_reply

_CREDENTIALS = basic(VALUESTREAMER_USER, VALUESTREAMER_PASSWORD)
_EXAMPLE = {"values": [{"kpiValueId": "dbabb8fd-8001-5ffa-9bd6-a82984598b13", "value": 177}]}
_ANSWERS = {400: "An invalid date, id, value or body: `message`", 401: "No or wrong credentials", 404: "Not found"}
_PUT_ANSWERS = {
    200: "The record (or 201, 204: `put_status`)",
    **_ANSWERS,
    403: "The team does not record the KPI",
    415: "Not an accepted media type",
}
_QUERY = {
    "kpi-id": "The KPI",
    "team-id": "The team",
    "from": "First date, inclusive",
    "to": "Last date, inclusive; at most 31 days, of a weekly or monthly KPI 6 months",
}


class Valuestreamer(Api[ValuestreamerSettings]):
    """Records by date, team, KPI and perhaps sub-tile: `values` maps the ids of the KPI's values to numbers."""

    name = "valuestreamer"
    title = "ValueStreamer"
    prefix = "/valuestreamer/api"
    about = "KPI exchange. HTTP Basic, user `sandbox`, password `sandbox`; media type `application/vs.v2.0+json`."
    media_type = "application/vs.v2.0+json"
    credentials: ClassVar[Mapping[str, str]] = {"authorization": _CREDENTIALS}
    parameters: ClassVar[Mapping[str, str]] = {
        "date": "2013-12-31",
        "team": "dcb1672a-33db-56dd-9c56-f53902fe6f37",
        "kpi": "2c154b7a-e914-50f2-8cf5-bd00190d9de7",
        "team-id": "dcb1672a-33db-56dd-9c56-f53902fe6f37",
        "kpi-id": "2c154b7a-e914-50f2-8cf5-bd00190d9de7",
        "from": "2013-12-01",
        "to": "2013-12-31",
    }

    def offer(self) -> Sequence[Endpoint]:
        """The endpoints of the KPI exchange that the product calls."""
        record = "/exchange/kpi-data/{date}/{team}/{kpi}"
        endpoints = [
            Endpoint(
                "GET", "/exchange/kpi-data", self.list_records, "List records", _QUERY, None, {200: "", **_ANSWERS}
            )
        ]
        for path, what in ((record, "a record"), (record + "/{sub_tile}", "a sub-tile's record")):
            endpoints += [
                Endpoint("GET", path, self.show_record, f"Read {what}", {}, None, {200: "", **_ANSWERS}),
                Endpoint("PUT", path, self.put_record, f"Create or update {what}", {}, _EXAMPLE, _PUT_ANSWERS),
                Endpoint("DELETE", path, self.delete_record, f"Delete {what}", {}, None, {204: "", **_ANSWERS}),
            ]
        return (
            *endpoints,
            Endpoint("GET", "/exchange/kpi", self.list_kpis, "List KPIs", {}, None, {200: ""}),
            Endpoint("GET", "/exchange/kpi/{kpi}", self.show_kpi, "KPI with values and recording teams", {}, None),
            Endpoint("GET", "/exchange/teams", self.list_teams, "List teams", {}, None, {200: ""}),
            Endpoint("GET", "/exchange/teams/{team}", self.show_team, "Show a team", {}, None, {200: "", **_ANSWERS}),
            Endpoint("GET", "/exchange/users", self.list_users, "List users", {}, None, {200: ""}),
        )

    def restart(self) -> None:
        """Read the meta data; where there is none, that of the sample tables."""
        self._records = self.state.shelf("valuestreamer/records")
        self._meta = self.state.shelf("valuestreamer/meta")
        self.kpis: dict[str, Kpi] = {}
        self.teams: dict[str, Team] = {}
        self.users: dict[str, User] = {}
        if len(self._meta) == 0:
            self.put_meta(sample_meta())
        for key, record in self._meta.as_dict().items():
            kind, _, entry = key.partition("/")
            {"kpi": self._keep_kpi, "team": self._keep_team, "user": self._keep_user}[kind](entry, record)

    def put_meta(self, meta: Meta) -> None:
        """Add or replace KPIs, teams and users."""
        if meta.replace:
            for key in list(self._meta):
                self._meta.take(key)
            self.kpis, self.teams, self.users = {}, {}, {}
        for kind, entries, kept in (
            ("kpi", meta.kpis, self.kpis),
            ("team", meta.teams, self.teams),
            ("user", meta.users, self.users),
        ):
            for entry in entries:
                kept[entry.id] = entry  # pyright: ignore[reportArgumentType] - each list goes into its own dictionary
                self._meta.put(f"{kind}/{entry.id}", entry.model_dump())

    def _keep_kpi(self, key: str, record: Record) -> None:
        self.kpis[key] = Kpi.model_validate(record)

    def _keep_team(self, key: str, record: Record) -> None:
        self.teams[key] = Team.model_validate(record)

    def _keep_user(self, key: str, record: Record) -> None:
        self.users[key] = User.model_validate(record)

    def holds(self) -> dict[str, Any]:
        """The records by path, and the meta data."""
        return {
            "records": self._records.as_dict(),
            "kpis": {key: kpi.model_dump() for key, kpi in self.kpis.items()},
            "teams": {key: team.model_dump() for key, team in self.teams.items()},
            "users": {key: user.model_dump() for key, user in self.users.items()},
        }

    def authenticated(self, headers: Mapping[str, str]) -> bool:
        """HTTP Basic (https://www.valuestreamer.de/en/hilfe/-api-authentication-error-codes)."""
        return headers.get("authorization") == _CREDENTIALS

    def refuse(self, refusal: Refusal) -> Reply:
        """The form of an error is not documented; the sandbox sends `message`."""
        reply = json_reply(refusal.status, {"message": refusal.message})
        return reply.with_headers((b"www-authenticate", b"Basic")) if refusal.status == 401 else reply

    def put_record(self, incoming: Incoming) -> Reply:
        """Creates or overwrites the record of a date, team and KPI. A value that is left out becomes 0, unless
        `omitted_values` is `keep`: the documents' tip and their FAQ contradict each other.
        """
        given = incoming.media_type
        if given not in self.settings.content_types:
            raise Refusal(415, f'Content-Type "{given}" is not one of {", ".join(self.settings.content_types)}')
        key, kpi, record = self._place(incoming)
        recorded = kpi.recorded_by is None or record["teamId"] in kpi.recorded_by
        if not recorded and self.settings.non_recording_team == "refuse":
            raise Refusal(403, f"Team {record['teamId']} does not record KPI {kpi.id}")
        values = checked_values(kpi, incoming.json_object(), whole_floats=self.settings.whole_floats == "accept")
        known = self._records.get(key)
        now = self.state.now()
        if known is None:
            known = {**record, "values": {}, "createdAt": now, "writes": 0}
        rest = known["values"] if self.settings.omitted_values == "keep" else dict.fromkeys(kpi.value_ids, 0)
        known["values"] = {**rest, **values}
        known["updatedAt"] = now
        known["writes"] += 1
        self._records.put(key, known)
        return self._answer(self.settings.put_status, known)

    def show_record(self, incoming: Incoming) -> Reply:
        """Reads one record."""
        return self._answer(200, self._found(incoming)[1])

    def delete_record(self, incoming: Incoming) -> Reply:
        """Deletes one record, for good."""
        key, record = self._found(incoming)
        self._records.take(key)
        return self._answer(self.settings.delete_status, record)

    def list_records(self, incoming: Incoming) -> Reply:
        """Lists the records of a KPI and team in a range of dates."""
        query = incoming.query
        for name in self.settings.list_requires:
            if not query.get(name):
                raise Refusal(400, f'Query parameter "{name}" is required')
        kpi = self._kpi(query["kpi-id"]) if query.get("kpi-id") else None
        team = self._team(query["team-id"]) if query.get("team-id") else None
        first = iso_date(query["from"]) if query.get("from") else None
        last = iso_date(query["to"]) if query.get("to") else None
        if first and last:
            check_range(first, last, kpi)
        if kpi and team and first and last:
            found = self._of_series(kpi, team, first, last)
        else:
            found = (
                record
                for record in self._records.values()
                if (kpi is None or record["kpiId"] == kpi.id)
                and (team is None or record["teamId"] == team.id)
                and (first is None or record["date"] >= first.isoformat())
                and (last is None or record["date"] <= last.isoformat())
            )
        return json_reply(200, [_shown(record) for record in found])

    def _of_series(self, kpi: Kpi, team: Team, first: date, last: date) -> Iterator[Record]:
        for day in range((last - first).days + 1):
            key = f"{first + timedelta(days=day)}/{team.id}/{kpi.id}"
            for path in (key, *(f"{key}/{tile.id}" for tile in kpi.sub_tiles)):
                record = self._records.get(path)
                if record is not None:
                    yield record

    def list_kpis(self, incoming: Incoming) -> Reply:
        """Lists the KPIs' ids and names."""
        del incoming
        return json_reply(200, [kpi.brief() for kpi in self.kpis.values()])

    def show_kpi(self, incoming: Incoming) -> Reply:
        """Shows a KPI with the ids of its values and the teams that record it."""
        return json_reply(200, self._kpi(incoming.params["kpi"]).detailed(self.teams))

    def list_teams(self, incoming: Incoming) -> Reply:
        """Lists the teams. The cheap test of the credentials."""
        del incoming
        return json_reply(200, [team.shown() for team in self.teams.values()])

    def show_team(self, incoming: Incoming) -> Reply:
        """Shows a team."""
        return json_reply(200, self._team(incoming.params["team"]).shown())

    def list_users(self, incoming: Incoming) -> Reply:
        """Lists the users."""
        del incoming
        return json_reply(200, [user.shown() for user in self.users.values()])

    def _answer(self, status: int, record: Record) -> Reply:
        return Reply(204) if status == 204 else json_reply(status, _shown(record))

    def _found(self, incoming: Incoming) -> tuple[str, Record]:
        key, _, _ = self._place(incoming)
        record = self._records.get(key)
        if record is None:
            raise Refusal(404, f"There is no record {key}")
        return key, record

    def _place(self, incoming: Incoming) -> tuple[str, Kpi, Record]:
        """The key that a path leads to, its KPI, and the record's own parts of it."""
        params = incoming.params
        day, team, kpi = iso_date(params["date"]), self._team(params["team"]), self._kpi(params["kpi"])
        if kpi.interval == "week" and day.weekday() != 0:
            raise Refusal(400, f"{day} is no Monday, and {kpi.name} is a weekly KPI")
        if kpi.interval == "month" and day.day != 1:
            raise Refusal(400, f"{day} is not the first of a month, and {kpi.name} is a monthly KPI")
        key = f"{day}/{team.id}/{kpi.id}"
        tile = uuid(params["sub_tile"]) if "sub_tile" in params else None
        if tile is not None:
            if tile not in kpi.sub_tile_ids:
                raise Refusal(404, f"KPI {kpi.id} has no sub-tile {tile}")
            key = f"{key}/{tile}"
        elif kpi.sub_tiles and self.settings.short_path_with_sub_tiles == "refuse":
            raise Refusal(400, f"KPI {kpi.id} has sub-tiles: name one in the path")
        return key, kpi, {"date": day.isoformat(), "teamId": team.id, "kpiId": kpi.id, "subTileId": tile}

    def _kpi(self, given: str) -> Kpi:
        kpi = self.kpis.get(uuid(given))
        if kpi is None:
            raise Refusal(404, f"There is no KPI {given}")
        return kpi

    def _team(self, given: str) -> Team:
        team = self.teams.get(uuid(given))
        if team is None:
            raise Refusal(404, f"There is no team {given}")
        return team


def _shown(record: Record) -> dict[str, Any]:
    shown = {name: record[name] for name in ("date", "teamId", "kpiId")}
    if record["subTileId"]:
        shown["subTileId"] = record["subTileId"]
    shown["values"] = [{"kpiValueId": key, "value": value} for key, value in record["values"].items()]
    return shown
