"""Destinations that look back, and destinations that may have to leave a part of an upsert out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.delivery.destination import Found
from pipelines.delivery.gates import Gates
from pipelines.delivery.ledger import Run
from pipelines.delivery.messages import Call
from pipelines.delivery.upsert import Built, Outcome, Payload, Upsert
from tests.delivery.fakes import Bench, FakeDestination, answer, lost_before, upsert


class Partial(FakeDestination):
    """Knows some friends; others are left out of what is sent. Notes in which order it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.friends: set[str] = set()
        self.asked: list[str] = []
        self.accepted: Mapping[str, Found] = {}

    def remember(self, accepted: Mapping[str, Found]) -> None:
        self.asked.append("remember")
        self.accepted = accepted

    async def read_back(self, upsert: Upsert, call: Call) -> Found | None:
        self.asked.append("read_back")
        return await super().read_back(upsert, call)

    def sendable(self, upsert: Upsert) -> Payload:
        self.asked.append("sendable")
        friends = upsert.payload.get("friends", ())
        known = [one for one in friends if one in self.friends]
        return upsert.payload if len(known) == len(friends) else {**upsert.payload, "friends": known}


@pytest.fixture
def partial() -> Partial:
    return Partial()


@pytest.fixture
def bench(tmp_path: Path, partial: Partial) -> Bench:
    return Bench(tmp_path, partial)


@pytest.fixture(autouse=True)
def _closing(bench: Bench) -> object:
    yield
    bench.close()


async def test_what_was_left_out_is_sent_when_it_can_be(bench: Bench, partial: Partial) -> None:
    """Only what could be sent counts as accepted: later runs come back, send nothing meanwhile, and then the rest."""
    wanted = [upsert("a", 1, friends=["x", "y"]), upsert("b", 1)]
    partial.friends = {"y"}
    first = await bench.deliver(*wanted)
    assert bench.port.held["/a"] == {"value": 1, "friends": ["y"]}
    second = await bench.deliver(*wanted)
    partial.friends = {"x", "y"}
    third = await bench.deliver(*wanted)
    fourth = await bench.deliver(*wanted)
    assert bench.port.held["/a"] == {"value": 1, "friends": ["x", "y"]}
    assert bench.port.writes == ["/a", "/b", "/a"]
    assert [one.total(Outcome.ACCEPTED) for one in (first, second, third, fourth)] == [2, 0, 1, 0]
    assert [one.total(Outcome.UNCHANGED) for one in (first, second, third, fourth)] == [0, 2, 1, 2]
    assert partial.vetted == 3


async def test_what_arrived_is_what_could_be_sent(bench: Bench, partial: Partial) -> None:
    """A lost answer is settled by comparing with the reduced upsert, not with the wanted one."""
    bench.port.faults = [lambda request: (bench.port.act(request), lost_before(request))[1]]
    report = await bench.deliver(upsert("a", 1, friends=["x"]))
    assert report.total(Outcome.ACCEPTED) == 1
    assert bench.port.writes == ["/a"]


async def test_a_reduced_upsert_is_parked_as_any_other(bench: Bench, partial: Partial) -> None:
    """What the API rejects again and again is left alone, whether or not a part of it was left out."""
    bench.port.always = lambda request: answer(400) if request.method == "PUT" else None
    one = upsert("a", 1, friends=["x"])
    for n in range(4):
        delivery = bench.delivery()
        delivery = replace(delivery, gates=Gates(bench.ledger, delivery.scope, Run(f"p{n}", "board", ""), park_after=2))
        report = await delivery.deliver(Built([one]))
        assert report.total(Outcome.REJECTED) == 1
    assert bench.port.writes == ["/a", "/a"]


async def test_a_destination_remembers_before_it_is_asked_for_anything(bench: Bench, partial: Partial) -> None:
    """Also the read-backs of what an earlier run left behind may need to know what was accepted before."""
    await bench.deliver(upsert("a", 1))
    delivery = bench.delivery()
    with bench.ledger.engine.begin() as connection:
        bench.ledger.begin(connection, delivery.scope, delivery.run, [upsert("a", 2)], bench.now)
    partial.asked.clear()
    await bench.deliver(upsert("a", 3))
    assert partial.asked == ["remember", "read_back", "sendable"]
    assert {key: found.payload for key, found in partial.accepted.items()} == {"a": {"value": 1}}
