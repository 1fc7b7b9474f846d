"""What the contract suite knows of each destination. A new API adds a case here, held to the same promises."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from pipelines.delivery.upsert import Payload, Upsert
from pipelines.destinations.base import SyncSpec
from pipelines.destinations.dnsimple import DnsimpleSpec
from pipelines.destinations.feedback_house import FeedbackHouseSpec
from pipelines.destinations.stativate import StativateSpec
from pipelines.destinations.valuestreamer import ValueStreamerSpec

_COMMON = {"name": "board", "table": "flight_kpis", "mode": "sandbox"}
_TEAM = "c24c5a07-4a5d-5371-b3e7-4dbb764590cf"
_ON_TIME = "d4bf797b-6f48-5dc4-9789-6be42070e83d"
_ACTUAL = "3a40430c-cecd-5b4c-af66-ba9681d47b9a"
_TARGET = "8a87bd83-3cb4-52bc-89ed-e2cfec9d1344"
_NOWHERE = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Case:
    """A destination under test.

    `columns` are those of a row that the sandbox takes, beside day and value. `refused` is a payload that the API turns
    down although nothing of ours would stop it. `wrong` are settings of credentials that the API does not know.
    `refused_status` is that of its verdict. `requests` is what sending one upsert costs. `deletes`: a removal takes the
    entry away; else it stays, out of use. `silence_is_yes`: a 2xx without a word is an acceptance. `switches` are those
    of the sandbox.
    """

    name: str
    spec: SyncSpec
    columns: dict[str, Any]
    refused: Payload
    wrong: dict[str, str]
    requests: int = 1
    deletes: bool = True
    refused_status: int = 400
    silence_is_yes: bool = True
    switches: Mapping[str, Any] = field(default_factory=dict)

    def upsert(self, value: float = 60.0, *, day: int = 5) -> Upsert:
        """The upsert of a row; days have keys of their own."""
        date = dt.date(2013, 1, day)
        source = {
            "row": 0,
            "partition": str(date),
            "as_of": str(date),
            "date": date,
            "actual": value,
            "team": f"T{day}",
        }
        (upsert,) = self.spec.build(pd.DataFrame([{**source, **self.columns}])).upserts
        return upsert

    def bad_upsert(self, *, day: int = 6) -> Upsert:
        """An upsert that the API refuses."""
        return self.upsert(day=day)._replace(payload=self.refused)

    def __str__(self) -> str:
        return self.name


STATIVATE = Case(
    name="stativate",
    spec=StativateSpec.model_validate(
        {
            **_COMMON,
            "account": "stativate",
            "key": "{kpi}-{team}",
            "label": "{kpi} of {team}",
            "value": "{actual:integer}% so",
            "description": "Departures on time.",
            "color": {"column": "actual", "steps": [{"below": 80, "color": 1}], "otherwise": 5},
        }
    ),
    columns={"kpi": "on-time"},
    refused={"name": "On time", "type": "text", "value": "more than ten characters", "accessType": "private"},
    wrong={"API_KEY": "revoked"},
)

_DATASET: dict[str, Any] = {
    "kpi_id": _ON_TIME,
    "team_id": _TEAM,
    "actual_id": _ACTUAL,
    "target": 80.0,
    "target_id": _TARGET,
}


def _valuestreamer(name: str, *, requests: int = 1, **fields: Any) -> Case:
    spec = {
        **_COMMON,
        "account": "valuestreamer",
        "team_id": "team_id",
        "kpi_id": "kpi_id",
        "actual": {"column": "actual", "id": "actual_id"},
        **fields,
    }
    return Case(
        name=name,
        spec=ValueStreamerSpec.model_validate(spec),
        columns=_DATASET,
        refused={"values": [{"kpiValueId": _NOWHERE, "value": 1}]},
        wrong={"PASSWORD": "changed"},
        requests=requests,
    )


VALUESTREAMER = _valuestreamer("valuestreamer", target={"column": "target", "id": "target_id"})
VALUESTREAMER_KEEP = _valuestreamer("valuestreamer, target: keep", target="keep", requests=2)
VALUESTREAMER_BARE = _valuestreamer("valuestreamer, target: none", target="none")

DNSIMPLE = Case(
    name="dnsimple",
    spec=DnsimpleSpec.model_validate(
        {
            **_COMMON,
            "account": "dnsimple",
            "resource": "resource",
            "context": "{team}",
            "state": {"column": "actual", "steps": [{"at_least": 80, "state": "ok"}], "otherwise": "error"},
            "title": "{actual:integer}% so",
            "message": "Departures on time.",
        }
    ),
    columns={"resource": "domain:101"},
    refused={"resource": "domain:101", "context": "default", "state": "fine"},
    wrong={"TOKEN": "revoked"},
    deletes=False,
)

_AREAS = FeedbackHouseSpec.model_validate(
    {
        **_COMMON,
        "account": "feedback_house",
        "key": "{team}",
        "label": "Team {team}",
        "parent": None,
        "active": True,
        "tags": ["{actual:integer}% so"],
        "batch_size": 1,
    }
)


def _feedback_house(name: str, **switches: str | bool) -> Case:
    return Case(
        name=name,
        spec=_AREAS,
        columns={},
        refused={"name": 7, "active": True, "allowCandidatesApply": False},
        wrong={"AUTH_VALUE": "revoked"},
        deletes=False,
        refused_status=200,
        requests=2,  # the areas are read first, so that none is made twice
        silence_is_yes=False,
        switches={"limit": None, "correlation_visible": True, **switches},
    )


FEEDBACK_HOUSE = _feedback_house("feedback_house")
FEEDBACK_HOUSE_STRICT = _feedback_house(
    "feedback_house, strict", omitted_on_update="reset", null_links="refuse", data_keys=False
)

CASES = (STATIVATE, VALUESTREAMER, VALUESTREAMER_KEEP, DNSIMPLE, FEEDBACK_HOUSE, FEEDBACK_HOUSE_STRICT)
