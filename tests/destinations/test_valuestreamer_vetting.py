from __future__ import annotations

import logging
from typing import Any

import pytest

from pipelines.delivery.errors import AccountUnavailable
from pipelines.delivery.messages import Exchange, Lost, NotSent
from pipelines.destinations.valuestreamer import ValueStreamer
from tests.destinations.given import ACTUAL, DAY, KPI, TARGET, TEAM, Script, account, answer, upsert

OTHER_TEAM = "00000000-0000-0000-0000-00000000000a"
OTHER_KPI = "00000000-0000-0000-0000-00000000000b"
MISSING = "00000000-0000-0000-0000-00000000000c"
DETAILS = {
    "id": KPI,
    "name": "Departed on time",
    "kpiValueIsInteger": False,
    "kpiValues": [{"id": ACTUAL.upper(), "name": "Actual"}, {"id": TARGET, "name": "Target"}],
    "recordingTeams": [{"id": TEAM.upper(), "name": "American"}],
}


def script(details: Any = DETAILS, **replies: Exchange) -> Script:
    """A tenant with two KPIs and two teams; `kpis` and `teams` replace the lists' answers."""
    kpis = answer(200, [{"id": KPI, "name": "Departed on time"}, {"id": OTHER_KPI, "name": "Other"}])
    teams = answer(200, [{"id": TEAM, "name": "American"}, {"id": OTHER_TEAM, "name": "Delta"}])
    return Script(
        {
            "GET /exchange/kpi": replies.get("kpis", kpis),
            "GET /exchange/teams": replies.get("teams", teams),
            f"GET /exchange/kpi/{KPI}": details if not isinstance(details, dict) else answer(200, details),
            f"GET /exchange/kpi/{OTHER_KPI}": answer(200, {"id": OTHER_KPI}),
        }
    )


def of(*, team: str = TEAM, kpi: str = KPI, values: dict[str, Any] | None = None, day: str = DAY) -> Any:
    """An upsert of a team and a KPI."""
    given = {ACTUAL: 91.5, TARGET: 80} if values is None else values
    return upsert(f"{day}/{team}/{kpi}", {"values": [{"kpiValueId": one, "value": n} for one, n in given.items()]})


async def vetted(call: Script, *upserts: Any, complete: bool = True) -> list[str]:
    """The reasons of the upserts, in order; empty where there is none."""
    reasons = await ValueStreamer(account(), complete=complete).vet(upserts, call)
    assert set(reasons) <= {one.key for one in upserts}
    return [reasons.get(one.key, "") for one in upserts]


async def test_what_the_catalogue_knows_passes() -> None:
    """Ids are compared in small letters, and nothing is held against a right upsert."""
    assert await vetted(script(), of(), of(kpi=OTHER_KPI, team=OTHER_TEAM)) == ["", ""]


async def test_each_kpi_is_asked_for_once() -> None:
    """A run of thousands of rows costs two lists and one request per KPI."""
    call = script()
    await vetted(call, *(of(day=f"2013-01-{day:02d}") for day in range(1, 32)))
    assert call.lines == ["GET /exchange/kpi", "GET /exchange/teams", f"GET /exchange/kpi/{KPI}"]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"kpi": MISSING}, f"ValueStreamer knows no KPI {MISSING}"),
        ({"team": MISSING}, f"ValueStreamer knows no team {MISSING}"),
        ({"team": OTHER_TEAM}, f"the team 'Delta' ({OTHER_TEAM}) does not record the KPI 'Departed on time' ({KPI})"),
        ({"values": {ACTUAL: 1, MISSING: 2}}, f"the KPI 'Departed on time' ({KPI}) has no value {MISSING}"),
    ],
)
async def test_an_unknown_id_is_named_and_the_others_go_on(wrong: dict[str, Any], reason: str) -> None:
    """A wrong id of the catalogue blocks its own rows only, with one text for all of them."""
    reasons = await vetted(script(), of(day="2013-01-01"), of(**wrong), of(**wrong, day="2013-01-06"))
    assert reasons == ["", reason, reason]


async def test_a_decimal_for_a_whole_number_kpi_is_invalid() -> None:
    """The API's own word on whole numbers counts, also where our catalogue does not say so."""
    call = script({**DETAILS, "kpiValueIsInteger": True})
    whole, decimal = of(values={ACTUAL: 12, TARGET: 80.0}), of(day="2013-01-06")
    assert await vetted(call, whole, decimal) == ["", f"the KPI 'Departed on time' ({KPI}) takes whole numbers only"]


async def test_a_left_out_value_is_noticed_before_it_turns_zero() -> None:
    """A sync that claims to send whole datasets may not forget a target; one that keeps or renounces may."""
    (reason,) = await vetted(script(), of(values={ACTUAL: 1}))
    assert reason == (
        f"the KPI 'Departed on time' ({KPI}) also has Target, which may turn 0 when it is not sent: "
        "give its id, or say target: keep"
    )
    assert await vetted(script(), of(values={ACTUAL: 1}), complete=False) == [""]


async def test_what_the_answer_lacks_is_not_held_against_anybody() -> None:
    """The fields of the answer are known from a third party only: without them there is no check."""
    bare = {"id": KPI, "recordingTeams": None, "kpiValues": [{"name": "no id"}], "kpiValueIsInteger": "yes"}
    assert await vetted(script(bare), of(team=OTHER_TEAM)) == [""]


@pytest.mark.parametrize("reply", [answer(404), answer(403), answer(200, b"<html>"), answer(204), answer(200, b"7")])
async def test_an_endpoint_that_does_not_tell_is_noted_and_blocks_nothing(
    reply: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the lists cannot be read the upserts go, and people can see that nothing was checked."""
    target = ValueStreamer(account())
    with caplog.at_level(logging.WARNING):
        reasons = await target.vet([of(team=MISSING, values={ACTUAL: 1})], script(reply, kpis=reply, teams=reply))
    assert reasons == {}
    assert len(target.notes) == 3
    assert "not checked, since GET /exchange/kpi answered" in target.notes[0]
    assert caplog.messages == target.notes


@pytest.mark.parametrize("reply", [answer(500), answer(429), Lost("broke"), NotSent("refused")])
async def test_a_sick_api_is_not_taken_for_one_without_a_catalogue(reply: Exchange) -> None:
    """When the lists fail, nothing is sent unchecked: the account is unavailable."""
    with pytest.raises(AccountUnavailable, match=r"the catalogue \(/exchange/teams\) cannot be read"):
        await vetted(script(teams=reply), of())
