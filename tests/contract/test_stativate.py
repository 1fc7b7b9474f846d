"""What holds for Stativate alone, over real HTTP to the sandbox."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipelines.delivery.upsert import Outcome
from pipelines.destinations.stativate import Stativate
from pipelines.sandbox import Control
from tests.contract.cases import STATIVATE
from tests.contract.conftest import Connect, standing
from tests.destinations.given import sample, stativate


async def test_a_creation_is_told_where_the_api_tells(connect: Connect, control: Control) -> None:
    """201 is created; 200 is accepted, since the documents show it for both."""
    way, first, second = connect(STATIVATE), STATIVATE.upsert(day=5), STATIVATE.upsert(day=6)
    (verdict,) = await way.deliver(first)
    assert verdict.outcome is Outcome.ACCEPTED
    control.configure(stativate={"create_status": 201})
    created, accepted = await way.deliver(second, first)
    assert [created.outcome, accepted.outcome] == [Outcome.CREATED, Outcome.ACCEPTED]


@pytest.mark.parametrize("form", ["bare", "wrapped"])
async def test_the_list_is_read_in_both_documented_forms(connect: Connect, control: Control, form: str) -> None:
    """An array as in the example, or an object as in the table."""
    control.configure(stativate={"list_form": form})
    way = connect(STATIVATE)
    assert isinstance(way.destination, Stativate)
    assert await way.destination.statuses(way.call) == []
    await way.deliver(STATIVATE.upsert())
    (listed,) = await way.destination.statuses(way.call)
    assert (listed.status_key, listed.name) == (STATIVATE.upsert().key, "on-time of T5")


@pytest.mark.parametrize("key", ["a/b", "..%2f..", "a b", "ü?x=1#y", "100%"])
async def test_a_key_of_a_wider_pattern_arrives_as_it_is(connect: Connect, control: Control, key: str) -> None:
    """Percent-encoding takes any key through path, port and server unchanged."""
    way, upsert = connect(STATIVATE), STATIVATE.upsert()._replace(key=key)
    await way.deliver(upsert)
    assert standing(control, "stativate") == [key]
    assert (await way.destination.remove(key, upsert.payload, way.call)).outcome is Outcome.ACCEPTED
    assert standing(control, "stativate") == []


async def test_an_edit_conflict_is_failed(connect: Connect, control: Control) -> None:
    """409 is nobody's fault: the upsert may be tried again."""
    fault = {"api": "stativate", "method": "POST", "kind": "status", "params": {"code": 409, "body": {"message": "x"}}}
    control.add_faults(fault)
    way = connect(STATIVATE)
    (verdict,) = await way.deliver(STATIVATE.upsert())
    assert verdict.outcome is Outcome.FAILED


async def test_whatever_the_mapping_lets_through_the_api_takes(connect: Connect, control: Control) -> None:
    """Our checks are at least as strict as the server's: every status of the sample's first day is accepted."""
    spec = stativate(
        label="{kpi_name} {team}",
        value={"column": "actual", "format": {"by": "unit", "cases": {"Time": "time", "%": "percent"}}},
        where="date = '2013-01-01' and team like 'JFK%'",
    )
    built = spec.build(sample())
    verdicts = await connect(replace(STATIVATE, spec=spec)).deliver(*built.upserts)
    assert {verdict.outcome for verdict in verdicts} == {Outcome.ACCEPTED}
    assert standing(control, "stativate") == sorted(upsert.key for upsert in built.upserts)
