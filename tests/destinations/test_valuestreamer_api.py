from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from pipelines.delivery.errors import AccountUnavailable
from pipelines.delivery.messages import Exchange, Lost, NotSent, Request
from pipelines.delivery.upsert import Outcome
from pipelines.destinations.valuestreamer import ValueStreamer
from tests.destinations.given import (
    ACTUAL,
    DAY,
    KEY,
    KPI,
    TARGET,
    TEAM,
    TILE,
    Script,
    account,
    answer,
    upsert,
    valuestreamer,
)

PATH = f"/exchange/kpi-data/{KEY}"
OWN = {"values": [{"kpiValueId": ACTUAL, "value": 91.5}]}
FOREIGN = {"kpiValueId": TARGET.upper(), "value": 80}
STANDING = {"date": DAY, "values": [{"kpiValueId": ACTUAL.upper(), "value": 60}, FOREIGN]}


def destination(*, keep: bool = False, complete: bool = False, actual_only: bool = False) -> ValueStreamer:
    """A destination on a tenant with a media type of its own."""
    where = account(media_type="application/vs.v2.0+json")
    return ValueStreamer(where, keep=keep, complete=complete, actual_only=actual_only)


async def test_a_dataset_is_put_at_its_key() -> None:
    """One PUT in the version's media type; it overwrites silently and may be repeated."""
    call = Script({f"PUT {PATH}": answer(200, {})})
    (verdict,) = await destination().send([upsert(KEY, OWN)], call)
    assert verdict.outcome is Outcome.ACCEPTED
    assert call.body() == OWN
    assert dict(call.requests[0].headers) == {"content-type": "application/vs.v2.0+json"}
    assert call.requests[0].repeatable
    assert ValueStreamer.resend_is_safe


@pytest.mark.parametrize("reply", [answer(200), answer(204), answer(201, {"any": "shape"}), answer(200, [])])
async def test_whatever_a_put_answers_in_json_or_not_at_all_is_taken(reply: Exchange) -> None:
    """The body of the answer to a PUT is not documented, so nothing depends on it."""
    (verdict,) = await destination().send([upsert(KEY, OWN)], Script({f"PUT {PATH}": reply}))
    assert verdict.outcome in (Outcome.ACCEPTED, Outcome.CREATED)


async def test_a_sub_tile_takes_the_longer_path() -> None:
    """Reading, writing and deleting a sub-tile's dataset use its own path."""
    path = f"{PATH}/{TILE}"
    call = Script({f"PUT {path}": answer(200), f"GET {path}": answer(404), f"DELETE {path}": answer(204)})
    target = destination(keep=True)
    one = upsert(f"{KEY}/{TILE}", OWN)
    await target.send([one], call)
    await target.remove(one.key, OWN, call)
    assert call.lines == [f"GET {path}", f"PUT {path}", f"DELETE {path}"]
    assert target.describe(one) == f"PUT {path}"


async def test_keeping_writes_back_what_is_not_ours() -> None:
    """Read, merge, write: the others' values stay as they stand, ours replaces its own."""
    call = Script({f"GET {PATH}": answer(200, STANDING), f"PUT {PATH}": answer(200)})
    (verdict,) = await destination(keep=True).send([upsert(KEY, OWN)], call)
    assert verdict.outcome is Outcome.ACCEPTED
    assert call.body() == {"values": [*OWN["values"], FOREIGN]}


async def test_keeping_writes_ours_alone_where_nothing_stands() -> None:
    """A new dataset has nothing to keep."""
    call = Script({f"GET {PATH}": answer(404), f"PUT {PATH}": answer(200)})
    await destination(keep=True).send([upsert(KEY, OWN)], call)
    assert call.body() == OWN


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (answer(200, b"<html>"), Outcome.FAILED),
        (answer(200, {"value": 1}), Outcome.FAILED),
        (answer(200, {"values": [{"kpiValueId": TARGET}]}), Outcome.FAILED),
        (answer(204), Outcome.FAILED),
        (answer(503), Outcome.FAILED),
        (answer(403, {"message": "no"}), Outcome.REJECTED),
        (Lost("broke"), Outcome.NOT_SENT),
        (NotSent("refused"), Outcome.NOT_SENT),
    ],
)
async def test_what_cannot_be_read_is_not_overwritten(reply: Exchange, outcome: Outcome) -> None:
    """Without knowing the other values a write could turn them to 0, so that there is none."""
    call = Script({f"GET {PATH}": reply})
    (verdict,) = await destination(keep=True).send([upsert(KEY, OWN)], call)
    assert verdict.outcome is outcome
    assert "nothing was written" in verdict.reason
    assert call.lines == [f"GET {PATH}"]


async def test_a_read_back_looks_at_our_values_only() -> None:
    """A target that somebody else keeps there does not make our actual differ; ids differ in case only."""
    standing = {"values": [FOREIGN, {"kpiValueId": ACTUAL.upper(), "value": 91.5}]}
    target = destination()
    found = await target.read_back(upsert(KEY, OWN), Script({f"GET {PATH}": answer(200, standing)}))
    assert found is not None
    assert found.payload == target.normalise(OWN)


async def test_a_read_back_notices_a_missing_value() -> None:
    """A dataset without our target is not ours, unless only the actual is compared."""
    both = {"values": [*OWN["values"], {"kpiValueId": TARGET, "value": 80}]}
    call = Script({f"GET {PATH}": answer(200, OWN)})
    strict, lenient = destination(), destination(actual_only=True)
    for target, same in ((strict, False), (lenient, True)):
        found = await target.read_back(upsert(KEY, both), call)
        assert found is not None
        assert (found.payload == target.normalise(both)) is same


async def test_no_dataset_is_told_from_no_answer() -> None:
    """404 means that nothing stands there; an unusable answer means that nobody knows."""
    found = await destination().read_back(upsert(KEY, OWN), Script({f"GET {PATH}": answer(404)}))
    assert found is not None
    assert found.payload is None
    for reply in (answer(500), answer(200, b"<html>"), answer(200, []), Lost("x"), NotSent("x")):
        assert await destination().read_back(upsert(KEY, OWN), Script({f"GET {PATH}": reply})) is None


async def test_removing_what_is_not_there_is_done() -> None:
    """A DELETE that finds nothing has reached its aim."""
    call = Script({f"DELETE {PATH}": [answer(204), answer(404), answer(500)]})
    outcomes = [(await destination().remove(KEY, OWN, call)).outcome for _ in range(3)]
    assert outcomes == [Outcome.ACCEPTED, Outcome.ACCEPTED, Outcome.FAILED]


async def test_datasets_are_listed_in_spans_that_the_api_takes() -> None:
    """A longer range is asked for in several queries, and the answers are put together."""

    def listed(request: Request) -> Exchange:
        return answer(200, [dict(request.query)])

    call = Script({"GET /exchange/kpi-data": listed})
    first, last = dt.date(2022, 10, 1), dt.date(2022, 11, 5)
    found = await destination().datasets(call, kpi=KPI, team=TEAM, first=first, last=last, grain="daily")
    same = {"kpi-id": KPI, "team-id": TEAM}
    assert found == [
        {**same, "from": "2022-10-01", "to": "2022-10-31"},
        {**same, "from": "2022-11-01", "to": "2022-11-05"},
    ]


async def test_a_list_that_cannot_be_read_is_no_empty_list() -> None:
    """An unusable answer must not look like a KPI without data."""
    call = Script({"GET /exchange/kpi-data": answer(200, b"<html>")})
    with pytest.raises(AccountUnavailable, match="the datasets of KPI"):
        await destination().datasets(
            call, kpi=KPI, team=TEAM, first=dt.date(2022, 1, 1), last=dt.date(2022, 1, 2), grain="daily"
        )


def test_the_credentials_are_tested_by_the_list_of_teams() -> None:
    """The check is a read that changes nothing."""
    assert str(destination().check()) == "GET /exchange/teams"


@pytest.mark.parametrize(
    ("target", "expected"),
    [("keep", True), ("none", False), ({"column": "target", "id": "valuestreamer_target_id"}, False)],
)
async def test_the_sync_decides_whether_datasets_are_read_first(target: Any, *, expected: bool) -> None:
    """`target: keep` costs a read per write; the other two do not."""
    call = Script({f"GET {PATH}": answer(404), f"PUT {PATH}": answer(200)})
    await valuestreamer(target=target).connect(account()).send([upsert(KEY, OWN)], call)
    assert (f"GET {PATH}" in call.lines) is expected
