"""The standing check that reads from an API what was delivered: changes made by hand, reported or sent again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg
import httpx
import orjson
import pytest

from pipelines.components.reasserting import NAME
from pipelines.delivery.ledger import Ledger
from pipelines.delivery.ledger.people import hold, release
from pipelines.delivery.ledger.queries import Wanted, find_deliveries
from pipelines.destinations.accounts import read_account
from pipelines.destinations.base import SyncSpec
from pipelines.destinations.dnsimple import DnsimpleSpec
from pipelines.destinations.feedback_house import FeedbackHouseSpec
from tests.components.conftest import Deploy
from tests.components.contacts import let_send
from tests.components.deploying import BOARD, DAYS, FLOOR, RANGE, Deployment, board, floor, higher
from tests.components.standing import Said, look, materialized

DAY = DAYS[0]
KEY = "departures-EWR-AA"


def statuses(**fields: Any) -> DnsimpleSpec:
    """The sync to DNSimple, with some fields changed."""
    example = {
        "name": "flight_statuses",
        "table": "flight_kpis",
        "account": "dnsimple",
        "mode": "sandbox",
        "resource": "dnsimple_resource",
        "context": "{kpi}",
        "state": {"column": "actual", "steps": [{"at_least": 40, "state": "ok"}], "otherwise": "error"},
        "title": "{team}",
    }
    return DnsimpleSpec.model_validate(example | fields)


def houses(**fields: Any) -> FeedbackHouseSpec:
    """A sync to feedback.house with an area per team, with some fields changed."""
    example = {
        "name": "org_units",
        "table": "flight_kpis",
        "account": "feedback_house",
        "mode": "sandbox",
        "where": "kpi = 'departures'",
        "key": "{team}",
        "label": "Team {team}",
        "parent": None,
        "active": True,
        "tags": ["{actual:integer}"],
    }
    return FeedbackHouseSpec.model_validate(example | fields)


@dataclass(frozen=True, slots=True)
class Hand:
    """A change that somebody makes at an API: the request out of key and tenant, and which field it changes to what."""

    make: Callable[..., SyncSpec]
    method: str
    path: Callable[[str, str], str]
    body: Callable[[str, Any], Mapping[str, Any]]
    field: str
    value: str


HANDS = {
    "stativate": Hand(
        board, "POST", lambda key, _: f"/status-keys/{key}", lambda *_: {"value": "by hand"}, "value", "BY HAND"
    ),
    "valuestreamer": Hand(
        floor,
        "PUT",
        lambda key, _: f"/exchange/kpi-data/{key}",
        lambda _, payload: {"values": [{**payload["values"][0], "value": 4711}]},
        "value",
        "4711",
    ),
    "dnsimple": Hand(
        statuses,
        "POST",
        lambda _, tenant: f"/{tenant}/platform/statuses",
        lambda key, _: {"resource": key.split("/")[0], "context": key.split("/")[1], "state": "unknown", "title": "?"},
        "state",
        "unknown",
    ),
    "feedback_house": Hand(
        houses,
        "POST",
        lambda *_: "/planning/area/v1/update-or-create",
        lambda key, _: {"areas": [{"correlationID": key, "name": "By hand", "active": True}]},
        "name",
        "By hand",
    ),
}
APIS = pytest.mark.parametrize("api", HANDS)


def ask(
    deployment: Deployment, sync: SyncSpec, method: str, path: Callable[[str, str], str], key: str, body: Any
) -> None:
    """Make a request of one's own to the account of a sync."""
    account = read_account(sync.account, sync.settings, sync.mode, home=deployment.home)
    headers = {**account.headers, "content-type": account.media_type}
    answer = httpx.request(
        method, f"{account.url}{path(key, account.tenant)}", headers=headers, json=body, trust_env=False
    )
    assert answer.is_success, answer.text


def delivered(deployment: Deployment, sync: SyncSpec) -> dict[str, Any]:
    """Deliver a day; key -> payload of what the run wanted to be true."""
    deployment.export(DAY)
    assert deployment.extract(DAY).success
    assert deployment.deliver(sync.name, DAY).success
    frame = deployment.store.read(f"{sync.name}_upserts", [DAY])
    return {key: orjson.loads(payload) for key, payload in zip(frame["key"], frame["payload"], strict=True)}


def change(deployment: Deployment, sync: SyncSpec, hand: Hand, upserts: Mapping[str, Any]) -> str:
    """Change the last of the keys by hand; returns it."""
    key = max(upserts)
    ask(deployment, sync, hand.method, hand.path, key, hand.body(key, upserts[key]))
    return key


def read_back(deployment: Deployment, sync: SyncSpec) -> Said:
    """The verdict of the sync's read-back."""
    return look(deployment)[sync.name, "read_back"]


@APIS
@pytest.mark.parametrize("keys", [50, "all"])
def test_what_was_delivered_stands_there(deploy: Deploy, api: str, keys: Any) -> None:
    """Right after a delivery every key is as it was accepted, a sample as well as all of them."""
    sync = HANDS[api].make(read_back={"keys": keys})
    deployment = deploy(syncs=[sync])
    upserts = delivered(deployment, sync)
    check = read_back(deployment, sync)
    assert check.passed, check.said
    assert (check.said["compared"], check.said["differ"]) == (len(upserts), 0)
    assert check.said["requests"] > 0


@APIS
def test_a_change_by_hand_is_reported_and_kept(deploy: Deploy, api: str) -> None:
    """Key, partition and field with what was sent and what stands there; nothing is sent again because of it."""
    hand = HANDS[api]
    sync = hand.make()
    deployment = deploy(syncs=[sync])
    upserts = delivered(deployment, sync)
    key = change(deployment, sync, hand, upserts)
    check = read_back(deployment, sync)
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert (check.said["compared"], check.said["differ"], check.said["sent_again_next_time"]) == (len(upserts), 1, 0)
    lines = [line for line in check.said["changes"].splitlines() if line.startswith(f"| {key} | {DAY} |")]
    assert any(hand.field in line and line.endswith(f"| {hand.value} |") for line in lines), check.said["changes"]
    assert "`read_back: {then: reassert}`" in check.said["what_to_do"]
    assert deployment.deliver(sync.name, DAY).counts(sync.name)[DAY].get("accepted", 0) == 0


@APIS
def test_a_change_by_hand_is_sent_again_where_that_is_wanted(deploy: Deploy, api: str) -> None:
    """With `reassert` the next run sends exactly that key; after it all is as it was accepted."""
    hand = HANDS[api]
    sync = hand.make(read_back={"keys": "all", "then": "reassert"})
    deployment = deploy(syncs=[sync])
    upserts = delivered(deployment, sync)
    key = change(deployment, sync, hand, upserts)
    check = read_back(deployment, sync)
    assert (check.passed, check.said["sent_again_next_time"]) == (False, 1)
    before = deployed_keys(deployment, sync)
    again = deployment.deliver(sync.name, DAY)
    assert again.success
    sent = {name: number for name, number in again.counts(sync.name)[DAY].items() if name in {"accepted", "updated"}}
    assert sum(sent.values()) == 1
    assert [one for one in deployed_keys(deployment, sync) if one not in before] == [(key, len(before) + 1)]
    assert read_back(deployment, sync).passed


def deployed_keys(deployment: Deployment, sync: SyncSpec) -> list[tuple[str, int]]:
    """The keys of all deliveries, numbered."""
    with closing(Ledger(deployment.home.ledger_url)) as ledger, ledger.reading() as connection:
        found, _ = find_deliveries(connection, Wanted(sync=sync.name), 1000)
    return [(one.key, number) for number, one in enumerate(reversed(found), 1)]


@dataclass(slots=True)
class Sensor:
    """The sensor that sends again, with its cursor: what it asks for each time."""

    deployment: Deployment
    cursor: str | None = None

    def tick(self) -> list[tuple[str | None, dict[str, str]]]:
        """Job and tags of each run that is asked for."""
        (found,) = [one for one in self.deployment.defs.sensors or () if one.name == NAME]
        context = dg.build_sensor_context(instance=self.deployment.instance, cursor=self.cursor)
        evaluated: Any = found(context)
        asked: list[dg.RunRequest] = list(evaluated)
        assert len({one.run_key for one in asked}) == len(asked)
        self.cursor = context.cursor
        return [(one.job_name, dict(one.tags)) for one in asked]


def changed_by_hand(deployment: Deployment, sync: SyncSpec, days: Sequence[str]) -> None:
    """Change a dataset of each of these days."""
    hand = HANDS["valuestreamer"]
    for day in days:
        frame = deployment.store.read(f"{sync.name}_upserts", [day])
        key, payload = frame["key"].iloc[0], frame["payload"].iloc[0]
        ask(deployment, sync, hand.method, hand.path, key, hand.body(key, orjson.loads(payload)))


def test_what_is_wanted_again_is_sent_without_anybodys_help(deploy: Deploy) -> None:
    """After a look a run per stretch of changed days is started, once, behind everything of today; all is as it was."""
    sync = floor(read_back={"keys": "all", "then": "reassert"})
    deployment = deploy(syncs=[sync])
    for number, day in enumerate(DAYS):
        deployment.export(day, higher(number))
    deployment.extract(DAYS[0], DAYS[-1])
    deployment.deliver(FLOOR, DAYS[0], DAYS[-1])
    before, sensor = deployment.floor(), Sensor(deployment)
    assert sensor.tick() == []
    assert read_back(deployment, sync).passed
    assert sensor.tick() == []
    changed_by_hand(deployment, sync, (DAYS[0], DAYS[2], DAYS[3]))
    assert deployment.floor() != before
    check = read_back(deployment, sync)
    assert (check.said["differ"], check.said["sent_again"]) == (3, [DAYS[0], DAYS[2], DAYS[3]])
    stretches = [(DAYS[0], DAYS[0]), (DAYS[2], DAYS[3])]
    assert sensor.tick() == [
        (f"{FLOOR}_deliver", {**dict(zip(RANGE, stretch, strict=True)), "pipelines/priority": "backfill"})
        for stretch in stretches
    ]
    assert sensor.tick() == []
    for first, last in stretches:
        assert deployment.deliver(FLOOR, first, last).success
    assert deployment.floor() == before
    assert read_back(deployment, sync).passed
    assert sensor.tick() == []


def test_a_held_sync_sends_again_when_it_is_released(deploy: Deploy) -> None:
    """While nothing may leave no run is started, which would only turn its days red."""
    sync = floor(read_back={"keys": "all", "then": "reassert"})
    deployment = deploy(syncs=[sync])
    delivered(deployment, sync)
    changed_by_hand(deployment, sync, [DAY])
    assert not read_back(deployment, sync).passed
    sensor = Sensor(deployment)
    with closing(Ledger(deployment.home.ledger_url)) as ledger:
        with ledger.engine.begin() as connection:
            hold(ledger, connection, FLOOR, "looking", 1.0)
        assert sensor.tick() == []
        # A run that materializes, which finds nothing out, says again what was found.
        assert not materialized(deployment, f"{FLOOR}_upserts", FLOOR, day=DAY)["read_back"].passed
        assert sensor.tick() == []
        with ledger.engine.begin() as connection:
            release(connection, FLOOR, 2.0)
    assert [job for job, _ in sensor.tick()] == [f"{FLOOR}_deliver"]
    # The same finding is no news when it is said once more.
    assert not materialized(deployment, f"{FLOOR}_upserts", FLOOR, day=DAY)["read_back"].passed
    assert sensor.tick() == []


def test_nothing_is_sent_again_that_is_only_reported(deploy: Deploy) -> None:
    """Without `then: reassert` there is no such sensor."""
    deployment = deploy(syncs=[floor(read_back={"keys": "all"})])
    assert NAME not in {one.name for one in deployment.defs.sensors or ()}


def test_what_was_deleted_there_is_told_from_what_was_changed(deploy: Deploy) -> None:
    """A status that somebody deleted is gone, and comes back where that is wanted."""
    sync = board(read_back={"then": "reassert"})
    deployment = deploy(syncs=[sync])
    delivered(deployment, sync)
    ask(deployment, sync, "DELETE", HANDS["stativate"].path, KEY, None)
    check = read_back(deployment, sync)
    assert (check.said["differ"], check.said["gone"]) == (1, 1)
    assert check.said["why"] == "at 1 of 4 keys something else stands than what was accepted, at 1 of them nothing"
    deployment.deliver(BOARD, DAY)
    assert deployment.board()[KEY] == "10"


def test_what_the_sync_does_not_compare_may_be_changed(deploy: Deploy) -> None:
    """A field outside of `send_when`, and capital letters, which the server makes itself, are no difference."""
    sync = board(send_when=["value"])
    deployment = deploy(syncs=[sync])
    delivered(deployment, sync)
    ask(deployment, sync, "POST", HANDS["stativate"].path, KEY, {"name": "Chosen by hand"})
    assert read_back(deployment, sync).passed


def test_a_sample_reads_no_more_keys_than_it_says(deploy: Deploy) -> None:
    """One key of four costs one request."""
    sync = board(read_back={"keys": 1})
    deployment = deploy(syncs=[sync])
    delivered(deployment, sync)
    before = deployment.requests(BOARD)
    assert read_back(deployment, sync).said["compared"] == 1
    assert deployment.requests(BOARD) == before + 1


def test_a_list_is_read_where_it_costs_less(deploy: Deploy) -> None:
    """Two days of four datasets are four spans of dates, not eight keys."""
    sync = floor(read_back={"keys": "all"})
    deployment = deploy(syncs=[sync])
    deployment.export(DAYS[0])
    deployment.export(DAYS[1], higher(1))
    deployment.extract(DAYS[0], DAYS[1])
    deployment.deliver(FLOOR, DAYS[0], DAYS[1])
    check = read_back(deployment, sync)
    assert (check.passed, check.said["compared"], check.said["requests"]) == (True, 8, 4)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"mode": "dry"}, "mode dry: nothing is delivered"),
        ({"mode": "sandbox"}, "has delivered nothing to account stativate yet"),
        ({"mode": "live"}, "has delivered nothing to account stativate yet"),
    ],
)
def test_where_nothing_was_delivered_the_check_passes_with_a_word(
    deploy: Deploy, fields: dict[str, str], why: str
) -> None:
    """A dry sync, one that never ran, and one that has not made first contact: no request, no setting needed."""
    check = read_back(deploy(syncs=[board(**fields)]), board(**fields))
    assert (check.passed, set(check.said)) == (True, {"why"})
    assert why in check.said["why"]


def test_a_live_sync_is_read_back_after_first_contact(deploy: Deploy, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a live account holds is compared as well, and at most as often as its pace allows."""
    sync = board(mode="live", read_back={"keys": 2})
    deployment = deploy(syncs=[sync])
    card = deployment.home.read_card()
    assert card is not None
    for name, value in card.accounts["stativate"].items():
        monkeypatch.setenv(f"STATIVATE_{name}", value)
    monkeypatch.setenv("STATIVATE_RATE", "100/s")
    let_send(sync, deployment.home)
    delivered(deployment, sync)
    check = read_back(deployment, sync)
    assert (check.passed, check.said["compared"]) == (True, 2)


def test_an_account_that_cannot_be_read_is_said(deploy: Deploy) -> None:
    """Yellow, with what was said and what to do; the other checks of the sync look all the same."""
    sync = board()
    deployment = deploy(syncs=[sync])
    delivered(deployment, sync)
    rule = {"kind": "status", "times": None, "api": "stativate", "params": {"code": 401, "body": {"message": "who?"}}}
    deployment.control.add_faults(rule)
    found = look(deployment)
    deployment.control.clear_faults()
    check = found[BOARD, "read_back"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.said["why"].startswith("it could not look: account stativate: ")
    assert check.said["what_to_do"]
    assert found[BOARD, "open_rows"].passed


def test_another_sandbox_holds_nothing_that_was_delivered(deploy: Deploy) -> None:
    """What one sandbox was told is not looked for in another one."""
    sync = board()
    deployment = deploy(syncs=[sync])
    delivered(deployment, sync)
    card = deployment.home.read_card()
    assert card is not None
    deployment.home.write_card(replace(card, id="another"))
    assert "no key that this sync has delivered there" in read_back(deployment, sync).said["why"]


def test_keys_that_the_api_does_not_tell_are_not_taken_for_changed(deploy: Deploy) -> None:
    """Where no answer can be used the check is yellow and says so; nothing is marked to be sent again."""
    sync = board(read_back={"then": "reassert"})
    deployment = deploy(syncs=[sync])
    delivered(deployment, sync)
    rule = {"kind": "status", "times": None, "api": "stativate", "params": {"code": 400, "body": {"message": "no"}}}
    deployment.control.add_faults(rule)
    check = read_back(deployment, sync)
    deployment.control.clear_faults()
    assert (check.passed, check.said["compared"], check.said["unreadable"]) == (False, 0, 4)
    assert check.said["why"] == "the API did not tell what stands at any of 4 keys"
    before = deployment.requests(BOARD)
    deployment.deliver(BOARD, DAY)
    assert deployment.requests(BOARD) == before
