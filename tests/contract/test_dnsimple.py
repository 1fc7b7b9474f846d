"""What holds for DNSimple alone, over real HTTP to the sandbox."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from pipelines import DnsimpleSync
from pipelines.components.sync_run import Order, SyncResult, SyncRunner
from pipelines.delivery.caller import AccountRules, Caller
from pipelines.delivery.errors import ConfigurationError
from pipelines.delivery.http import HttpPort
from pipelines.delivery.pace import Pace
from pipelines.delivery.report import Traffic
from pipelines.delivery.upsert import ACCEPTED, Outcome, Upsert
from pipelines.destinations.dnsimple import Dnsimple
from pipelines.home import Home
from pipelines.sandbox import Control
from pipelines.tables.extract import extract
from pipelines.tables.store import PartitionStore
from tests.components.delivering_process import PACKAGE, TABLE
from tests.contract.cases import DNSIMPLE
from tests.contract.conftest import Connect, Way, environment, standing
from tests.destinations.given import sample
from tests.destinations.given_dnsimple import dnsimple

DAYS = ("2013-01-01", "2013-01-02", "2013-01-03")
ENVELOPES = pytest.mark.parametrize("envelope", ["data", "bare"])


def destination(way: Way) -> Dnsimple:
    assert isinstance(way.destination, Dnsimple)
    return way.destination


def many(number: int) -> list[Upsert]:
    """Upserts of one resource in so many contexts."""
    one = DNSIMPLE.upsert()
    resource = one.payload["resource"]
    return [one._replace(key=f"{resource}/c{at}", payload={**one.payload, "context": f"c{at}"}) for at in range(number)]


@ENVELOPES
async def test_both_documented_envelopes_are_read(connect: Connect, control: Control, envelope: str) -> None:
    """Creation, read-back, list, show and history work wrapped in `data` and bare, and agree with each other."""
    control.configure(dnsimple={"envelope": envelope})
    way, upsert = connect(DNSIMPLE), DNSIMPLE.upsert()
    assert await destination(way).vet([upsert], way.call) == {}
    (verdict,) = await way.deliver(upsert)
    found = await destination(way).read_back(upsert, way.call)
    assert verdict.outcome is Outcome.ACCEPTED
    assert found is not None
    assert (found.payload, found.remote_id) == (destination(way).normalise(upsert.payload), verdict.remote_id)
    (listed,) = await destination(way).statuses(way.call)
    assert listed.key == upsert.key
    assert await destination(way).show(verdict.remote_id or "", way.call) == listed
    assert await destination(way).history(listed.resource, way.call) == [listed]
    assert await destination(way).show("4711", way.call) is None


@ENVELOPES
@pytest.mark.parametrize(("number", "requests"), [(100, {"data": 1, "bare": 2}), (205, {"data": 3, "bare": 3})])
async def test_all_pages_of_the_list_are_read(
    connect: Connect, control: Control, envelope: str, number: int, requests: dict[str, int]
) -> None:
    """What stands on the last of several pages reads back, and what stands on none is not there."""
    control.configure(dnsimple={"envelope": envelope})
    way, upserts = connect(DNSIMPLE), many(number)
    await way.deliver(*upserts)
    way.call.lines.clear()
    for upsert in upserts:
        found = await destination(way).read_back(upsert, way.call)
        assert found is not None
        assert found.payload == destination(way).normalise(upsert.payload)
    nothing = await destination(way).read_back(DNSIMPLE.upsert(), way.call)
    assert nothing is not None
    assert nothing.payload is None
    assert len(way.call.lines) == requests[envelope]
    assert len(await destination(way).statuses(way.call)) == number


@ENVELOPES
@pytest.mark.parametrize("form", ["text", "number", "both"])
@pytest.mark.parametrize("replaced_id", ["keep", "new"])
async def test_the_history_is_read_in_every_reading_of_its_path(
    connect: Connect, control: Control, envelope: str, form: str, replaced_id: str
) -> None:
    """By name or by number, over more than one page, each write is a line; an unknown resource has no history."""
    control.configure(dnsimple={"envelope": envelope, "history_resource": form, "replaced_id": replaced_id})
    way = connect(DNSIMPLE)
    writes = [DNSIMPLE.upsert(value) for value in (50.0, 90.0)] * 60
    await way.deliver(*writes)
    lines = await destination(way).history("domain:101", way.call)
    assert lines is not None
    assert [line.state for line in lines] == ["error", "ok"] * 60
    assert await destination(way).history("domain:999", way.call) is None
    assert len(await destination(way).statuses(way.call)) == 1


async def test_a_missing_resource_is_rejected_with_the_words_of_the_api(connect: Connect, control: Control) -> None:
    """404 is about this resource; the others are delivered."""
    good = DNSIMPLE.upsert()
    bad = good._replace(key="domain:999/x", payload={**good.payload, "resource": "domain:999", "context": "x"})
    rejected, accepted = await connect(DNSIMPLE).deliver(bad, good)
    assert (rejected.outcome, rejected.status) == (Outcome.REJECTED, 404)
    assert "`domain:999` not found" in rejected.reason
    assert accepted.outcome in ACCEPTED
    assert standing(control, "dnsimple") == [good.key]


async def test_a_validation_is_rejected_by_field(connect: Connect, control: Control) -> None:
    """The errors by field are in the reason, also where the API wants more than the documents say."""
    control.configure(dnsimple={"requires": ["resource", "url"]})
    (verdict,) = await connect(DNSIMPLE).deliver(DNSIMPLE.upsert())
    assert verdict.reason == "400 Bad Request: Validation failed url: can't be blank"


async def test_a_fully_described_status_is_taken_by_the_strictest_reading(connect: Connect, control: Control) -> None:
    """Where every attribute is required, a sync that sends all of them is accepted."""
    control.configure(dnsimple={"requires": ["resource", "state", "context", "title", "message", "url"]})
    spec = dnsimple(message="{kpi} of {team}", url="https://example.com/{team}", where="date = '2013-01-01'")
    way = connect(replace(DNSIMPLE, spec=spec))
    built = spec.build(sample())
    verdicts = await way.deliver(*built.upserts[:20])
    assert {verdict.outcome for verdict in verdicts} == {Outcome.ACCEPTED}
    assert standing(control, "dnsimple") == sorted(upsert.key for upsert in built.upserts[:20])


async def test_another_account_is_found_before_the_first_write(connect: Connect, control: Control, home: Home) -> None:
    """A wrong DNSIMPLE_ACCOUNT ends with both numbers and without a write."""
    way = connect(DNSIMPLE, environment(DNSIMPLE, home, {"ACCOUNT": "2020"}))
    with pytest.raises(ConfigurationError, match="DNSIMPLE_ACCOUNT is 2020, but the token belongs to account 1010"):
        await destination(way).vet([DNSIMPLE.upsert()], way.call)
    assert way.call.lines == ["GET /whoami"]


async def test_a_removed_status_says_unknown_and_keeps_its_words(connect: Connect, control: Control) -> None:
    """Out of use is a state of its own: the title stays, the neighbour too, and the key can be set again."""
    way, upsert, neighbour = connect(DNSIMPLE), DNSIMPLE.upsert(), DNSIMPLE.upsert(day=6)
    await way.deliver(upsert, neighbour)
    for _ in range(2):
        verdict = await destination(way).remove(upsert.key, upsert.payload, way.call)
        assert verdict.outcome is Outcome.ACCEPTED
    found = await destination(way).read_back(upsert, way.call)
    assert found is not None
    assert found.payload == {**destination(way).normalise(upsert.payload), "state": "unknown"}
    untouched = await destination(way).read_back(neighbour, way.call)
    assert untouched is not None
    assert untouched.payload == destination(way).normalise(neighbour.payload)


async def test_the_headers_of_the_api_rule_the_pace(connect: Connect, control: Control) -> None:
    """Where others have used up the quota, nothing leaves until its reset, although the documented limit is far."""
    control.configure(dnsimple={"limit": {"requests": 3, "seconds": 3600, "window": "fixed"}})
    way = connect(DNSIMPLE)
    pace = Pace(way.account.limits.windows)
    async with HttpPort(
        base_url=way.account.url,
        headers=way.account.headers,
        secrets=way.account.secrets,
        timeout_s=way.account.timeout_s,
        max_connections=way.account.limits.in_flight,
    ) as port:
        call = Caller(AccountRules("dnsimple", way.account.url, frozenset()), port, pace, Traffic())
        for day in (5, 6, 7):
            assert pace.due_in() == 0
            await destination(way).send([DNSIMPLE.upsert(day=day)], call)
    assert pace.due_in() > 3000


@pytest.fixture
def delivering(home: Home, control: Control, tmp_path: Path) -> Home:
    """A home of its own with three days of the sample stored, and the card of the empty sandbox."""
    own = Home.of({"PIPELINES_HOME": str(tmp_path)})
    card = home.read_card()
    assert card is not None
    own.write_card(replace(card, id=control.id()))
    store = PartitionStore(own.store_url)
    extract(TABLE, DAYS, base=PACKAGE, store=store, environ=os.environ, now=datetime.now(UTC))
    return own


def flight_statuses() -> DnsimpleSync:
    """The sync that the product ships."""
    text = (PACKAGE / "defs" / "flight_statuses" / "defs.yaml").read_text(encoding="utf-8")
    document = yaml.safe_load(text)
    assert document["type"] == "pipelines.DnsimpleSync"
    return DnsimpleSync.model_validate(document["attributes"])


def run(home: Home, run_id: str, *days: str) -> SyncResult:
    """Deliver days of the sample."""
    return SyncRunner(flight_statuses(), home, environ={}).run(Order(run_id, days))


def newest(home: Home) -> dict[str, float]:
    """The last value of each resource's KPI in the stored days."""
    frame = PartitionStore(home.store_url).read("flight_kpis_valid", DAYS)
    frame = frame.loc[frame["kpi"] == "on_time_pct"].sort_values("partition")
    return dict(zip(frame["dnsimple_resource"], frame["actual"], strict=True))


def writes(control: Control) -> int:
    """How many statuses were created, from the API's own history."""
    return len(control.state("dnsimple")["history"])


def test_the_sample_sync_delivers_three_days(delivering: Home, control: Control) -> None:
    """Each team's newest value stands there once, by its thresholds; every row is accounted for; a repeat is silent."""
    result = run(delivering, "first", *DAYS)
    assert {account.gap for account in result.results.values()} == {0}
    assert {account.undelivered + account.wrong for account in result.results.values()} == {0}
    values = newest(delivering)
    standing_there = control.state("dnsimple")["statuses"]
    assert {one["resource"]: one["state"] for one in standing_there} == {
        resource: "ok" if value >= 80 else "warning" if value >= 60 else "error" for resource, value in values.items()
    }
    assert len(set(Counter(one["state"] for one in standing_there))) == 3
    assert {one["context"] for one in standing_there} == {"on-time"}
    assert "American Airlines Inc. at JFK: 80% on time" in {one["title"] for one in standing_there}
    assert {one["message"] for one in standing_there} == {"The target is 80% of all departures."}
    assert writes(control) == len(values)

    control.reset_counts()
    again = run(delivering, "second", *DAYS)
    assert again.report.traffic.requests == control.counts("dnsimple")["requests"] == 0


def test_a_day_after_the_other_never_goes_backwards(delivering: Home, control: Control) -> None:
    """Days that come late leave newer statuses alone."""
    run(delivering, "today", DAYS[2])
    after_today = control.state("dnsimple")["statuses"]
    late = run(delivering, "late", DAYS[0], DAYS[1])
    kept = {one["resource"]: one for one in control.state("dnsimple")["statuses"]}
    assert {one["resource"]: one for one in after_today}.items() <= kept.items()
    assert late.report.total(Outcome.SUPERSEDED) > 0
    assert kept.keys() == newest(delivering).keys()


def test_a_lost_answer_is_settled_without_a_second_line_of_history(delivering: Home, control: Control) -> None:
    """What arrived although its answer was lost is found in the list; what did not arrive is sent again, once."""
    control.add_faults(
        {"api": "dnsimple", "method": "POST", "kind": "drop_after", "after": 3, "times": 1},
        {"api": "dnsimple", "method": "POST", "kind": "drop_before", "after": 6, "times": 1},
    )
    result = run(delivering, "first", *DAYS)
    assert {account.undelivered for account in result.results.values()} == {0}
    assert result.report.total(Outcome.ACCEPTED) == writes(control) == len(newest(delivering))
    assert [rule["applied"] for rule in control.faults()] == [1, 1]


def test_a_wrong_account_sends_nothing_and_says_both_numbers(delivering: Home, control: Control) -> None:
    """A run under another account's number ends with the sentence, before any write."""
    card = delivering.read_card()
    assert card is not None
    settings = {**card.accounts["dnsimple"], "ACCOUNT": "2020"}
    delivering.write_card(replace(card, accounts={**card.accounts, "dnsimple": settings}))
    with pytest.raises(ConfigurationError, match="is 2020, but the token belongs to account 1010"):
        run(delivering, "first", *DAYS)
    assert writes(control) == 0
