"""ValueStreamer's KPI exchange over real HTTP, with the sample's KPIs and teams."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from pipelines.sandbox import Control

pytestmark = pytest.mark.usefixtures("control")
ON_TIME = "d4bf797b-6f48-5dc4-9789-6be42070e83d"
ACTUAL = "3a40430c-cecd-5b4c-af66-ba9681d47b9a"
TARGET = "8a87bd83-3cb4-52bc-89ed-e2cfec9d1344"
DEPARTURES = "2c154b7a-e914-50f2-8cf5-bd00190d9de7"
DEPARTURES_ACTUAL = "dbabb8fd-8001-5ffa-9bd6-a82984598b13"
TEAM = "dcb1672a-33db-56dd-9c56-f53902fe6f37"
OTHER_TEAM = "c24c5a07-4a5d-5371-b3e7-4dbb764590cf"
NOBODY = "11111111-2222-4333-8444-555555555555"
TILE = "22222222-2222-4333-8444-555555555555"
PATH = f"/kpi-data/2013-01-07/{TEAM}/{ON_TIME}"


def body(actual: Any, target: Any = None) -> dict[str, Any]:
    """A record of the on-time KPI."""
    values = [{"kpiValueId": ACTUAL, "value": actual}]
    if target is not None:
        values.append({"kpiValueId": TARGET, "value": target})
    return {"values": values}


def values(answer: httpx.Response) -> dict[str, float]:
    """The values of a record by id."""
    return {value["kpiValueId"]: value["value"] for value in answer.json()["values"]}


def test_put_read_overwrite_delete(valuestreamer: httpx.Client) -> None:
    """A record is created, read, overwritten and deleted at its path; then it is gone."""
    assert valuestreamer.put(PATH, json=body(81.5, 80)).status_code == 200
    assert values(valuestreamer.get(PATH)) == {ACTUAL: 81.5, TARGET: 80}
    assert values(valuestreamer.put(PATH, json=body(82, 80))) == {ACTUAL: 82, TARGET: 80}
    assert valuestreamer.delete(PATH).status_code == 204
    assert valuestreamer.get(PATH).status_code == 404
    assert valuestreamer.delete(PATH).status_code == 404


def test_ids_are_one_in_any_case(valuestreamer: httpx.Client, control: Control) -> None:
    """An id in capitals names the same record."""
    valuestreamer.put(PATH, json=body(1, 80))
    valuestreamer.put(PATH.upper().replace("/KPI-DATA", "/kpi-data"), json=body(2, 80))
    records = control.state("valuestreamer")["records"]
    assert [record["writes"] for record in records.values()] == [2]


def test_omitted_value_becomes_zero(valuestreamer: httpx.Client, control: Control) -> None:
    """A value that a PUT leaves out becomes 0, as the FAQ warns; with the switch it stays, as the tip says."""
    valuestreamer.put(PATH, json=body(81, 80))
    assert values(valuestreamer.put(PATH, json=body(82))) == {ACTUAL: 82, TARGET: 0}
    control.configure(valuestreamer={"omitted_values": "keep"})
    valuestreamer.put(PATH, json=body(81, 80))
    assert values(valuestreamer.put(PATH, json=body(83))) == {ACTUAL: 83, TARGET: 80}


@pytest.mark.parametrize("sent", ["application/json", "application/vs.v3.0+json", ""])
def test_media_type(valuestreamer: httpx.Client, control: Control, sent: str) -> None:
    """A PUT in another media type is answered with 415; which ones are accepted is a switch."""
    assert valuestreamer.put(PATH, json=body(1), headers={"content-type": sent}).status_code == 415
    control.configure(valuestreamer={"content_types": [sent]})
    assert valuestreamer.put(PATH, json=body(1), headers={"content-type": sent}).status_code == 200


def test_media_type_may_have_parameters(valuestreamer: httpx.Client) -> None:
    """A charset behind the media type does not matter."""
    headers = {"content-type": "application/vs.v2.0+json; charset=utf-8"}
    assert valuestreamer.put(PATH, json=body(1), headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/kpi-data/2013-01-07/{TEAM}/{NOBODY}", 404),
        (f"/kpi-data/2013-01-07/{NOBODY}/{ON_TIME}", 404),
        (f"/kpi-data/2013-01-07/{TEAM}/on-time", 400),
        (f"/kpi-data/2013-01-07/EWR-9E/{ON_TIME}", 400),
        (f"/kpi-data/2013-02-29/{TEAM}/{ON_TIME}", 400),
        (f"/kpi-data/20130107/{TEAM}/{ON_TIME}", 400),
        (f"/kpi-data/2013-W02-1/{TEAM}/{ON_TIME}", 400),
        (f"/kpi-data/2013-01-07/{TEAM}/{ON_TIME}/{TILE}", 404),
        (f"/kpi-data/2013-01-07/{TEAM}", 404),
    ],
)
def test_paths(valuestreamer: httpx.Client, path: str, status: int) -> None:
    """An unknown id is 404, one that is no UUID or a date that is none is 400, with a message."""
    answer = valuestreamer.put(path, json=body(1))
    assert answer.status_code == status
    assert answer.json()["message"]


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"values": []},
        {"values": {}},
        {"values": [{"kpiValueId": ACTUAL}]},
        {"values": [{"kpiValueId": ACTUAL, "value": 1, "forecast": 2}]},
        {"values": [{"kpiValueId": NOBODY, "value": 1}]},
        {"values": [{"kpiValueId": 7, "value": 1}]},
        {"values": body(1)["values"] * 2},
        body(None),
        body("1"),
        body(True),
        {**body(1), "target": 2},
    ],
)
def test_bodies(valuestreamer: httpx.Client, control: Control, content: dict[str, Any]) -> None:
    """A body that is not a list of numbers for values of the KPI is answered with 400 and writes nothing."""
    assert valuestreamer.put(PATH, json=content).status_code == 400
    assert control.state("valuestreamer")["records"] == {}


def test_integer_kpis(valuestreamer: httpx.Client, control: Control) -> None:
    """A KPI of whole numbers refuses decimals; 5.0 only until the switch says otherwise."""
    path = f"/kpi-data/2013-01-07/{TEAM}/{DEPARTURES}"

    def put(value: float) -> int:
        content = {"values": [{"kpiValueId": DEPARTURES_ACTUAL, "value": value}]}
        return valuestreamer.put(path, json=content).status_code

    assert [put(5), put(5.5), put(5.0)] == [200, 400, 400]
    control.configure(valuestreamer={"whole_floats": "accept"})
    assert [put(5), put(5.5), put(5.0)] == [200, 400, 200]


@pytest.mark.parametrize(
    ("interval", "good", "bad"), [("week", "2013-01-07", "2013-01-08"), ("month", "2013-02-01", "2013-02-04")]
)
def test_weekly_and_monthly_dates(
    valuestreamer: httpx.Client, control: Control, interval: str, good: str, bad: str
) -> None:
    """A weekly record stands on its Monday, a monthly one on the 1st; other dates are refused."""
    put_kpi(control, interval=interval)
    for day, status in ((good, 200), (bad, 400)):
        path = f"/kpi-data/{day}/{TEAM}/{NOBODY}"
        assert valuestreamer.put(path, json=body(1)).status_code == status


def put_kpi(control: Control, **more: Any) -> None:
    """Make a KPI of one's own."""
    kpi = {"id": NOBODY, "name": "Own", "values": [{"id": ACTUAL, "name": "Actual"}], **more}
    control.put_valuestreamer_meta(kpis=[kpi])


def test_team_that_does_not_record(valuestreamer: httpx.Client, control: Control) -> None:
    """A PUT for a team that does not record the KPI is refused with 403, unless the switch takes it."""
    put_kpi(control, recording_teams=[TEAM])
    path = f"/kpi-data/2013-01-07/{OTHER_TEAM}/{NOBODY}"
    assert valuestreamer.put(path, json=body(1)).status_code == 403
    assert valuestreamer.put(path.replace(OTHER_TEAM, TEAM), json=body(1)).status_code == 200
    control.configure(valuestreamer={"non_recording_team": "accept"})
    assert valuestreamer.put(path, json=body(1)).status_code == 200


def test_sub_tiles(valuestreamer: httpx.Client, control: Control) -> None:
    """A sub-tile's record is its own, beside the one of the shorter path; both are listed."""
    put_kpi(control, sub_tiles=[{"id": TILE, "name": "Line 1"}])
    path = f"/kpi-data/2013-01-07/{TEAM}/{NOBODY}"
    assert valuestreamer.put(path, json=body(1)).status_code == 200
    assert valuestreamer.put(f"{path}/{TILE}", json=body(2)).status_code == 200
    assert valuestreamer.get(f"{path}/{TILE}").json()["subTileId"] == TILE
    query = {"kpi-id": NOBODY, "team-id": TEAM, "from": "2013-01-07", "to": "2013-01-07"}
    assert [record.get("subTileId") for record in valuestreamer.get("/kpi-data", params=query).json()] == [None, TILE]
    control.configure(valuestreamer={"short_path_with_sub_tiles": "refuse"})
    assert valuestreamer.put(path, json=body(1)).status_code == 400


def test_list(valuestreamer: httpx.Client, control: Control) -> None:
    """The list holds the records of a KPI and team between two dates, both included."""
    for day in ("2013-01-01", "2013-01-02", "2013-01-31", "2013-02-01"):
        valuestreamer.put(f"/kpi-data/{day}/{TEAM}/{ON_TIME}", json=body(1, 80))
    valuestreamer.put(f"/kpi-data/2013-01-02/{OTHER_TEAM}/{ON_TIME}", json=body(1, 80))
    query = {"kpi-id": ON_TIME, "team-id": TEAM, "from": "2013-01-01", "to": "2013-01-31"}
    listed = valuestreamer.get("/kpi-data", params=query)
    assert [record["date"] for record in listed.json()] == ["2013-01-01", "2013-01-02", "2013-01-31"]
    assert {record["teamId"] for record in listed.json()} == {TEAM}
    control.configure(valuestreamer={"list_requires": ["from", "to"]})
    del query["team-id"]
    assert len(valuestreamer.get("/kpi-data", params=query).json()) == 4


@pytest.mark.parametrize(
    ("interval", "first", "last", "status"),
    [
        ("day", "2013-01-01", "2013-01-31", 200),
        ("day", "2013-01-01", "2013-02-01", 400),
        ("day", "2013-01-02", "2013-01-01", 400),
        ("week", "2013-01-07", "2013-07-06", 200),
        ("week", "2013-01-07", "2013-07-07", 400),
        ("month", "2013-01-01", "2013-06-30", 200),
        ("month", "2013-01-01", "2013-07-01", 400),
        ("month", "2013-09-01", "2014-02-28", 200),
    ],
)
def test_list_range(
    valuestreamer: httpx.Client, control: Control, interval: str, first: str, last: str, status: int
) -> None:
    """A list spans 31 days at most, of a weekly or monthly KPI 6 months."""
    put_kpi(control, interval=interval)
    query = {"kpi-id": NOBODY, "team-id": TEAM, "from": first, "to": last}
    assert valuestreamer.get("/kpi-data", params=query).status_code == status


@pytest.mark.parametrize("missing", ["kpi-id", "team-id", "from", "to"])
def test_list_needs_all_parameters(valuestreamer: httpx.Client, missing: str) -> None:
    """The list needs all four parameters, unless the switch says otherwise."""
    query = {"kpi-id": ON_TIME, "team-id": TEAM, "from": "2013-01-01", "to": "2013-01-31"}
    del query[missing]
    assert valuestreamer.get("/kpi-data", params=query).status_code == 400


def test_meta_data_of_the_sample(valuestreamer: httpx.Client) -> None:
    """The sandbox starts with the sample's five KPIs and 35 teams, and every team records every KPI."""
    assert len(valuestreamer.get("/kpi").json()) == 5
    teams = valuestreamer.get("/teams").json()
    assert teams[0] == {"id": TEAM, "name": "Endeavor Air Inc. at EWR", "shortName": "EWR-9E", "parentTeam": None}
    assert valuestreamer.get(f"/teams/{TEAM}").json() == teams[0]
    kpi = valuestreamer.get(f"/kpi/{ON_TIME}").json()
    assert kpi["kpiValues"] == [{"id": ACTUAL, "name": "Actual"}, {"id": TARGET, "name": "Target"}]
    assert (kpi["kpiValueIsInteger"], len(kpi["recordingTeams"])) == (False, 35)
    assert valuestreamer.get(f"/kpi/{NOBODY}").status_code == 404
    assert len(valuestreamer.get("/users").json()) == 1


def test_meta_data_of_ones_own(valuestreamer: httpx.Client, control: Control) -> None:
    """Meta data can be replaced by one's own; a reset brings the sample's back."""
    control.put_valuestreamer_meta(
        replace=True,
        kpis=[{"id": NOBODY, "name": "Own", "integer": True, "values": [{"id": ACTUAL, "name": "Actual"}]}],
        teams=[{"id": TEAM, "name": "Own team"}],
    )
    assert [kpi["name"] for kpi in valuestreamer.get("/kpi").json()] == ["Own"]
    assert [team["name"] for team in valuestreamer.get("/teams").json()] == ["Own team"]
    assert valuestreamer.put(PATH, json=body(1)).status_code == 404
    control.reset()
    assert len(valuestreamer.get("/kpi").json()) == 5


def test_credentials_are_checked(server: Any) -> None:
    """Without the right user and password every path answers 401."""
    url = f"{server.url}/valuestreamer/api/exchange/teams"
    assert httpx.get(url).status_code == 401
    assert httpx.get(url, auth=("sandbox", "wrong")).status_code == 401
    assert httpx.get(url, auth=("sandbox", "sandbox")).status_code == 200
