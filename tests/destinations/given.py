"""What the tests of the destinations start from: frames, specs, accounts, and a scripted `Call`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import orjson
import pandas as pd
import pyarrow as pa

from pipelines.delivery.messages import Answer, Exchange, Request
from pipelines.delivery.upsert import Built, Upsert
from pipelines.destinations.accounts import Account
from pipelines.destinations.stativate import StativateSpec
from pipelines.destinations.valuestreamer import ValueStreamerSpec

TEAM = "c24c5a07-4a5d-5371-b3e7-4dbb764590cf"
KPI = "d4bf797b-6f48-5dc4-9789-6be42070e83d"
ACTUAL = "3a40430c-cecd-5b4c-af66-ba9681d47b9a"
TARGET = "8a87bd83-3cb4-52bc-89ed-e2cfec9d1344"
TILE = "11111111-2222-3333-4444-555555555555"
DAY = "2013-01-05"
KEY = f"{DAY}/{TEAM}/{KPI}"


def arrow(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame as the tables layer hands it over: every column is of an Arrow type."""
    return pa.Table.from_pandas(frame, preserve_index=False).to_pandas(types_mapper=pd.ArrowDtype)


def rows(*given: Mapping[str, Any], **everywhere: Any) -> pd.DataFrame:
    """A frame of one partition out of what the rows differ in."""
    usual = {"partition": DAY, "as_of": DAY, "date": dt.date.fromisoformat(DAY), "team": "JFK-AA", "kpi": "on_time_pct"}
    return pd.DataFrame([{"row": number, **usual, **everywhere, **one} for number, one in enumerate(given)])


@cache
def sample() -> pd.DataFrame:
    """The sample tables joined: two days of readings."""
    readings, kpis, teams = (
        pd.read_parquet(str(files("pipelines").joinpath(f"sample/{name}.parquet")))
        for name in ("kpi_readings", "kpis", "teams")
    )
    days = sorted(readings["reading_date"].unique())[:2]
    frame = readings.loc[readings["reading_date"].isin(days)].rename(
        columns={"reading_date": "date", "team_code": "team", "kpi_code": "kpi", "value": "actual"}
    )
    frame = frame.merge(kpis, left_on="kpi", right_on="kpi_code", how="left")
    frame = frame.merge(teams, left_on="team", right_on="team_code", how="left")
    frame["partition"] = frame["as_of"] = frame["date"].astype(str)
    frame["row"] = frame.groupby("partition").cumcount()
    return arrow(frame)


def stativate(**fields: Any) -> StativateSpec:
    """The sync of the YAML example, with some fields changed."""
    example = {
        "name": "status_board",
        "table": "flight_kpis",
        "account": "stativate",
        "mode": "sandbox",
        "key": "{kpi}-{team}",
        "label": "{kpi} {team}",
        "value": {"column": "actual", "format": "compact"},
    }
    return StativateSpec.model_validate(example | fields)


def valuestreamer(**fields: Any) -> ValueStreamerSpec:
    """A sync of the sample's readings and targets, with some fields changed."""
    example = {
        "name": "shop_floor",
        "table": "flight_kpis",
        "account": "valuestreamer",
        "mode": "sandbox",
        "team_id": "valuestreamer_team_id",
        "kpi_id": "valuestreamer_kpi_id",
        "actual": {"column": "actual", "id": "valuestreamer_actual_id"},
        "target": {"column": "target", "id": "valuestreamer_target_id"},
        "unit": "unit",
        "whole_number": "whole_number",
    }
    return ValueStreamerSpec.model_validate(example | fields)


def dataset(**fields: Any) -> dict[str, Any]:
    """A row that `valuestreamer()` can send, with some columns changed."""
    return {
        "actual": 91.5,
        "target": 80.0,
        "unit": "%",
        "whole_number": False,
        "valuestreamer_team_id": TEAM,
        "valuestreamer_kpi_id": KPI,
        "valuestreamer_actual_id": ACTUAL,
        "valuestreamer_target_id": TARGET,
        **fields,
    }


def account(**fields: Any) -> Account:
    """An account with a secret."""
    return Account(**{"name": "acc", "api": "some", "mode": "sandbox", "secrets": ("hush-hush",), **fields})


def upsert(key: str, payload: Mapping[str, Any]) -> Upsert:
    """An upsert of one row."""
    return Upsert(key, DAY, payload, "", DAY, (0,))


def reasons(built: Built) -> list[str]:
    """The reasons of what was dropped."""
    return [one.reason for one in built.dropped]


def placed(built: Built) -> list[tuple[str, int]]:
    """Partition and number of every row that stands anywhere, sorted."""
    records = [*built.upserts, *built.dropped]
    return sorted((record.partition, row) for record in records for row in record.rows)


def answer(status: int, body: Any = b"", **headers: str) -> Answer:
    """An answer; what is no bytes becomes JSON."""
    return Answer(status, headers, body if isinstance(body, bytes) else orjson.dumps(body), 0.01)


Reply = Exchange | Callable[[Request], Exchange]


class Script:
    """A `Call` that answers by "METHOD /path"; what it was not told is a mistake of the test."""

    def __init__(self, replies: Mapping[str, Reply | Sequence[Reply]]) -> None:
        self._replies: dict[str, list[Reply]] = {
            line: [*reply] if isinstance(reply, Sequence) else [reply] for line, reply in replies.items()
        }
        self.requests: list[Request] = []

    async def __call__(self, request: Request) -> Exchange:
        self.requests.append(request)
        replies = self._replies[str(request)]
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        return reply(request) if callable(reply) else reply

    @property
    def lines(self) -> list[str]:
        """The requests as "METHOD /path"."""
        return [str(request) for request in self.requests]

    def body(self, at: int = -1) -> Any:
        """The JSON of a request's body."""
        return orjson.loads(self.requests[at].body or b"null")
