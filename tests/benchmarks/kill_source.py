"""A source that keeps changing, the four syncs that deliver it, and what the APIs show of it."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any
from urllib.parse import unquote

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.destinations.base import SyncSpec
from pipelines.destinations.dnsimple import DnsimpleSpec
from pipelines.destinations.feedback_house import FeedbackHouseSpec
from pipelines.destinations.stativate import StativateSpec
from pipelines.destinations.valuestreamer import ValueStreamerSpec
from pipelines.tables.names import quarantine_of, valid_of
from pipelines.tables.store import PartitionStore

_FIRST_DAY = dt.date(2024, 1, 1)
_VALUES = 6
"""So few that a key often returns to what it was: an attempt in between must not be taken for nothing."""
_LATE_AT_MOST = 4
_BRANCHES = 4

Reading = tuple[str, int]
"""The time of what is said, and the value."""


def _sync(kind: type[SyncSpec], api: str, **fields: Any) -> SyncSpec:
    common = {"name": f"{api}_sync", "table": f"{api}_readings", "account": api, "mode": "sandbox"}
    return kind.model_validate({**common, **fields})


SYNCS: Mapping[str, SyncSpec] = {
    "stativate": _sync(StativateSpec, "stativate", key="{code}", label="{code}", value="{actual:integer}"),
    "valuestreamer": _sync(
        ValueStreamerSpec,
        "valuestreamer",
        team_id="team_id",
        kpi_id="kpi_id",
        actual={"column": "actual", "id": "actual_id"},
        target="none",
        whole_number="whole_number",
    ),
    "dnsimple": _sync(
        DnsimpleSpec,
        "dnsimple",
        resource="resource",
        context="{kpi}",
        state={"column": "actual", "steps": [{"at_least": 3, "state": "ok"}], "otherwise": "error"},
        title="{actual:integer}",
    ),
    "feedback_house": _sync(
        FeedbackHouseSpec,
        "feedback_house",
        key="{code}",
        label="{code} {actual:integer}",
        parent="{parent_code}",
        tags=None,
        batch_size=4,
    ),
}


@dataclass(frozen=True, slots=True)
class _Entity:
    code: str
    columns: Mapping[str, Any]


def _entities() -> list[_Entity]:
    """The sample's teams, each with two of its KPIs, in a tree of three levels."""
    sample = files("pipelines").joinpath("sample")
    teams = pq.read_table(str(sample / "teams.parquet")).to_pylist()
    kpis = [one for one in pq.read_table(str(sample / "kpis.parquet")).to_pylist() if one["whole_number"]][:2]
    codes = [f"{kpi['kpi_code']}-{team['team_code']}" for kpi in kpis for team in teams]
    return [
        _Entity(
            codes[at],
            {
                "team": team["team_code"],
                "kpi": kpi["kpi_code"],
                "code": codes[at],
                "parent_code": codes[(at - 1) // _BRANCHES] if at else None,
                "active": True,
                "resource": team["dnsimple_resource"],
                "team_id": team["valuestreamer_team_id"],
                "kpi_id": kpi["valuestreamer_kpi_id"],
                "actual_id": kpi["valuestreamer_actual_id"],
                "whole_number": True,
            },
        )
        for at, (kpi, team) in enumerate((kpi, team) for kpi in kpis for team in teams)
    ]


_ENTITIES = _entities()
_BY_CODE = {entity.code: entity.columns for entity in _ENTITIES}
_KEYS: Mapping[str, Callable[[str, Mapping[str, Any]], str]] = {
    "stativate": lambda _, row: row["code"],
    "valuestreamer": lambda day, row: f"{day}/{row['team_id']}/{row['kpi_id']}",
    "dnsimple": lambda _, row: f"{row['resource']}/{row['kpi']}",
    "feedback_house": lambda _, row: row["code"],
}


def shown(api: str, held: Mapping[str, Any]) -> dict[str, int]:
    """The value by key, as the sandbox's `/control/state` shows it."""
    match api:
        case "stativate":
            return {key: int(one["value"]) for key, one in held["statuses"].items()}
        case "valuestreamer":
            return {key: next(iter(one["values"].values())) for key, one in held["records"].items()}
        case "dnsimple":
            return {f"{one['resource']}/{one['context']}": int(one["title"]) for one in held["statuses"]}
        case _:
            return {one["correlationID"]: int(one["name"].split()[1]) for one in held["areas"].values()}


def keys_of(api: str, write: Mapping[str, Any]) -> list[str]:
    """The keys that a noted write is about."""
    match api:
        case "stativate" | "valuestreamer":
            marker = "/status-keys/" if api == "stativate" else "/kpi-data/"
            return [unquote(write["path"].partition(marker)[2])]
        case "dnsimple":
            body = orjson.loads(write["body"])
            return [f"{body['resource']}/{body['context']}"]
        case _:
            return [item["correlationID"] for item in orjson.loads(write["body"])["areas"]]


@dataclass(slots=True)
class Source:
    """The stored partitions of one sync's table: days with a value per code."""

    api: str
    store: PartitionStore
    chance: random.Random
    days: dict[str, dict[str, int]] = field(default_factory=dict)
    _history: dict[str, list[Reading]] = field(default_factory=dict)
    _skipped: list[str] = field(default_factory=list)
    _next: dt.date = _FIRST_DAY

    def change(self) -> list[str]:
        """Let the newest day come, often a day that is late as well, or another value of one; the days to deliver."""
        while self.chance.random() < 0.3:
            self._skipped.append(self._advance())
        changed = {self._advance()}
        if self._skipped and self.chance.random() < 0.5:
            changed.add(self._skipped.pop(self.chance.randrange(len(self._skipped))))
        if self.days and self.chance.random() < 0.5:
            changed.add(self.chance.choice(sorted(self.days)[-_LATE_AT_MOST:]))
        for day in changed:
            self._write(day)
        return sorted(changed)

    def wanted(self) -> dict[str, Reading]:
        """What the API should show by key: the newest reading."""
        found: dict[str, Reading] = {}
        for day, values in sorted(self.days.items()):
            found |= {self._key(day, code): (day, value) for code, value in values.items()}
        return found

    def is_older(self, key: str, value: int) -> bool:
        """Whether the value was said of the key at an earlier time than the newest reading's, or before its change."""
        return any(past == value for _, past in self._history.get(key, ()))

    def _advance(self) -> str:
        day = self._next
        self._next += dt.timedelta(days=1)
        return day.isoformat()

    def _key(self, day: str, code: str) -> str:
        return _KEYS[self.api](day, _BY_CODE[code])

    def _write(self, day: str) -> None:
        before = self.days.get(day)
        # Areas come as a whole: a child is told together with its parent.
        share = 1.0 if self.api == "feedback_house" else 0.8
        codes = before or [entity.code for entity in _ENTITIES if self.chance.random() < share]
        self.days[day] = {code: self.chance.randrange(_VALUES) for code in codes}
        for code, value in self.days[day].items():
            self._history.setdefault(self._key(day, code), []).append((day, value))
        self._store(day)

    def _store(self, day: str) -> None:
        rows: Sequence[Mapping[str, Any]] = [
            {
                "row": number,
                "partition": day,
                "as_of": day,
                "date": dt.date.fromisoformat(day),
                "actual": float(value),
                **_BY_CODE[code],
            }
            for number, (code, value) in enumerate(self.days[day].items())
        ]
        table = SYNCS[self.api].table
        stored = pa.Table.from_pylist([dict(row) for row in rows])
        self.store.write(table, day, stored)
        self.store.write(valid_of(table), day, stored)
        self.store.write(quarantine_of(table), day, stored.slice(0, 0))
