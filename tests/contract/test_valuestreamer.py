"""What holds for ValueStreamer alone, over real HTTP to the sandbox."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from pipelines.delivery.errors import MediaTypeRefused
from pipelines.delivery.upsert import ACCEPTED, Outcome, Upsert
from pipelines.destinations.valuestreamer import ValueStreamer
from pipelines.home import Home
from pipelines.sandbox import Control
from tests.contract.cases import VALUESTREAMER, VALUESTREAMER_BARE, VALUESTREAMER_KEEP
from tests.contract.conftest import Connect, environment, standing
from tests.destinations.given import sample, valuestreamer

NOWHERE = "00000000-0000-0000-0000-000000000000"
FIRST_DEPARTURE = "466a5f42-b562-5030-ab5a-d7a94adba513"


def values(control: Control, upsert: Upsert) -> list[float]:
    """The numbers that the sandbox holds for a dataset, sorted."""
    return sorted(control.state("valuestreamer")["records"][upsert.key]["values"].values())


async def test_keeping_leaves_the_targets_of_others_alone(connect: Connect, control: Control) -> None:
    """An API that turns omitted values to 0 still has the target after our actual came."""
    full, own = VALUESTREAMER.upsert(60.0), VALUESTREAMER_KEEP.upsert(70.0)
    assert full.key == own.key
    await connect(VALUESTREAMER).deliver(full)
    await connect(VALUESTREAMER_KEEP).deliver(own)
    assert values(control, full) == [70, 80]


async def test_what_a_bare_actual_does_to_a_target_is_shown(connect: Connect, control: Control) -> None:
    """The damage that `target: keep` avoids is real in the cautious reading of the documents."""
    await connect(VALUESTREAMER).deliver(VALUESTREAMER.upsert(60.0))
    await connect(VALUESTREAMER_BARE).deliver(VALUESTREAMER_BARE.upsert(70.0))
    assert values(control, VALUESTREAMER.upsert()) == [0, 70]


async def test_a_dataset_that_cannot_be_read_is_not_overwritten(connect: Connect, control: Control) -> None:
    """With `target: keep` a failing read stops the write, and the target stands."""
    await connect(VALUESTREAMER).deliver(VALUESTREAMER.upsert(60.0))
    control.add_faults({"api": "valuestreamer", "method": "GET", "kind": "status", "params": {"code": 500}})
    (verdict,) = await connect(VALUESTREAMER_KEEP).deliver(VALUESTREAMER_KEEP.upsert(70.0))
    assert verdict.outcome is Outcome.FAILED
    assert values(control, VALUESTREAMER.upsert()) == [60, 80]


async def test_ids_that_the_tenant_does_not_know_are_found_before_sending(connect: Connect) -> None:
    """Unknown KPI, unknown team and unknown value are told apart, without a write."""
    way, good = connect(VALUESTREAMER), VALUESTREAMER.upsert()
    day, team, kpi = good.key.split("/")
    bad = [
        good._replace(key=f"{day}/{team}/{NOWHERE}"),
        good._replace(key=f"{day}/{NOWHERE}/{kpi}"),
        VALUESTREAMER.upsert(day=6)._replace(payload=VALUESTREAMER.refused),
    ]
    reasons = await way.destination.vet([good, *bad], way.call)
    assert list(reasons) == [upsert.key for upsert in bad]
    assert [reason.split(" ")[0:4] for reason in reasons.values()] == [
        ["ValueStreamer", "knows", "no", "KPI"],
        ["ValueStreamer", "knows", "no", "team"],
        ["the", "KPI", "'Departed", "on"],
    ]
    assert not any(line.startswith("PUT") for line in way.call.lines)


async def test_a_left_out_target_is_found_before_sending(connect: Connect) -> None:
    """The catalogue of the API knows of the target that ours forgot."""
    spec = valuestreamer(actual={"column": "actual", "id": "actual_id"}, team_id="team_id", kpi_id="kpi_id",
                         target={"column": "target", "id": "forgotten"}, unit=None, whole_number=None)  # fmt: skip
    case = replace(VALUESTREAMER, spec=spec, columns={**VALUESTREAMER.columns, "forgotten": None})
    way = connect(case)
    (reason,) = (await way.destination.vet([case.upsert()], way.call)).values()
    assert "also has Target, which may turn 0" in reason


async def test_another_media_type_is_told_at_once(connect: Connect, home: Home) -> None:
    """415 says that every request is wrong alike; the destination does not make a rejection of it."""
    environ = environment(VALUESTREAMER, home, {"MEDIA_TYPE": "application/vs.v9.9+json"})
    way = connect(VALUESTREAMER, environ)
    with pytest.raises(MediaTypeRefused):
        await way.deliver(VALUESTREAMER.upsert())


async def test_datasets_are_listed_over_more_than_one_span(connect: Connect) -> None:
    """A range that the API refuses as a whole is listed in parts, both ends included."""
    way = connect(VALUESTREAMER)
    destination = way.destination
    assert isinstance(destination, ValueStreamer)
    upserts = [VALUESTREAMER.upsert(day=day) for day in (1, 15, 31)]
    await way.deliver(*upserts)
    _, team, kpi = upserts[0].key.split("/")
    first, last = dt.date(2012, 12, 1), dt.date(2013, 1, 31)
    found = await destination.datasets(way.call, kpi=kpi, team=team, first=first, last=last, grain="daily")
    assert [one["date"] for one in found] == ["2013-01-01", "2013-01-15", "2013-01-31"]


@pytest.mark.parametrize("put_status", [200, 201, 204])
async def test_any_success_of_a_put_is_taken(connect: Connect, control: Control, put_status: int) -> None:
    """Which one the API answers is not documented."""
    control.configure(valuestreamer={"put_status": put_status})
    (verdict,) = await connect(VALUESTREAMER).deliver(VALUESTREAMER.upsert())
    assert verdict.outcome in ACCEPTED


async def test_whatever_the_mapping_lets_through_the_api_takes(connect: Connect, control: Control) -> None:
    """Whole numbers, times, targets and ids of the sample's first day are vetted and accepted."""
    built = valuestreamer(where="date = '2013-01-01' and team like 'JFK%'").build(sample())
    assert any(FIRST_DEPARTURE in upsert.key for upsert in built.upserts)
    way = connect(replace(VALUESTREAMER, spec=valuestreamer()))
    assert await way.destination.vet(built.upserts, way.call) == {}
    verdicts = await way.deliver(*built.upserts)
    assert {verdict.outcome for verdict in verdicts} <= ACCEPTED
    assert standing(control, "valuestreamer") == sorted(upsert.key for upsert in built.upserts)
