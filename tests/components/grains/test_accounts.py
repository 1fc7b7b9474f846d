"""Two accounts of one API, two syncs of one table, and allowances that are shared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipelines.components.sync_run import Order, SyncResult, SyncRunner
from pipelines.delivery.upsert import Outcome
from pipelines.destinations.base import SyncSpec
from pipelines.home import Home
from pipelines.sandbox import SandboxServer
from tests.components.grains.company import (
    BOARD,
    FLOOR,
    TEAMS,
    board,
    floor,
    found_company,
    held_by,
    table,
)
from tests.components.grains.conftest import Found

MONTH = "2024-01-01"
READINGS = tuple(
    (MONTH, team, kpi, 10.0 * at) for at, team in enumerate(TEAMS, start=1) for kpi in ("scrap", "overtime")
)
NORTH, SOUTH = floor(name="north", account="vs_north"), floor(name="south", account="vs_south")
LIMIT = 20

Connect = Callable[..., None]


@pytest.fixture
def connect(empty_home: Home, monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Give an account of ValueStreamer its variables: `connect("vs_north", server)`, and further ones."""
    del empty_home  # it clears the environment first

    def set_up(account: str, server: SandboxServer, **more: str) -> None:
        usual = {"url": f"{server.url}/valuestreamer/api", "user": "sandbox", "password": "sandbox"}
        for name, value in (usual | more).items():
            monkeypatch.setenv(f"{account}_{name}".upper(), value)

    return set_up


@pytest.fixture
def other_server(tmp_path: Path) -> Iterator[SandboxServer]:
    """A second sandbox, of another home, that knows the same company."""
    home = Home.of({"PIPELINES_HOME": str(tmp_path / "other")})
    with SandboxServer.start(home, port=0, persist=False) as running:
        (tmp_path / "other").mkdir(exist_ok=True)
        found_company(running.control, tmp_path / "other")
        yield running


def test_each_account_has_its_own_server_credentials_and_state(
    found: Found, connect: Connect, server: SandboxServer, other_server: SandboxServer
) -> None:
    """What one account was told is not taken for told to the other; a wrong password stops its own account alone."""
    company = found(table("monthly", MONTH), NORTH, SOUTH)
    company.read(*READINGS)
    connect("vs_north", server)
    connect("vs_south", other_server, password="revoked")
    assert company.extract(MONTH).success

    accepted = {MONTH: {"extracted": 4, "accepted": 4}}
    assert company.deliver("north", MONTH).counts("north") == accepted
    stopped = company.deliver("south", MONTH)
    assert not stopped.success
    assert "vs_south" in stopped.failure
    assert "revoked" not in stopped.failure
    assert (len(held_by(server.control)), len(held_by(other_server.control))) == (4, 0)

    connect("vs_south", other_server)
    assert company.deliver("south", MONTH).counts("south") == accepted
    assert (
        held_by(server.control)
        == held_by(other_server.control)
        == {(day, team, kpi): value for day, team, kpi, value in READINGS}
    )
    for each in (server, other_server):
        each.control.reset_counts()
    for sync in ("north", "south"):
        assert company.deliver(sync, MONTH).counts(sync) == {MONTH: {"extracted": 4, "unchanged": 4}}
    assert server.control.counts()["requests"] == other_server.control.counts()["requests"] == 0


def test_two_accounts_at_one_address_do_not_answer_for_each_other(
    found: Found, connect: Connect, server: SandboxServer
) -> None:
    """Two users of one tenant: each account has a state of its own, also where the address is the same."""
    company = found(table("monthly", MONTH), NORTH, SOUTH)
    company.read(*READINGS)
    company.extract(MONTH)
    for sync in ("north", "south"):
        connect(f"vs_{sync}", server)
        assert company.deliver(sync, MONTH).counts(sync) == {MONTH: {"extracted": 4, "accepted": 4}}
    assert {record["writes"] for record in server.control.state("valuestreamer")["records"].values()} == {2}


def test_two_syncs_of_a_table_send_what_their_filters_select(found: Found) -> None:
    """Each sync sends the rows of its own `where` and counts the others as not selected: its account adds up."""
    chosen = {"press": "team = 'press'", "paint": "team = 'paint' AND kpi = 'scrap'"}
    company = found(table("monthly", MONTH), *(floor(name=team, where=where) for team, where in chosen.items()))
    company.read(*READINGS)
    assert company.extract(MONTH).success
    for team, rows in (("press", 2), ("paint", 1)):
        told = company.deliver(team, MONTH)
        assert told.success
        assert told.counts(team) == {MONTH: {"extracted": 4, "not_selected": 4 - rows, "accepted": rows}}
    assert company.held() == {
        (day, team, kpi): value for day, team, kpi, value in READINGS if (team, kpi) != ("paint", "overtime")
    }


def test_a_key_that_two_syncs_claim_stays_with_the_first(found: Found) -> None:
    """The second sync's rows are invalid, its check is yellow, and the reason names the sync that has the key."""
    company = found(table("monthly", MONTH), board(), board(name="rival", label="The rival's {kpi} {team}"))
    company.read(*READINGS)
    company.extract(MONTH)
    assert company.deliver(BOARD, MONTH).success
    company.control.reset_counts()

    told = company.deliver("rival", MONTH)
    assert told.counts("rival") == {MONTH: {"extracted": 4, "invalid": 4}}
    assert not told.checks("rival")[MONTH].passed
    assert f"the key belongs to the sync {BOARD}: rival may not" in told.facts("rival")[MONTH]["reasons"]
    assert company.requests() == 0
    statuses = company.control.state("stativate")["statuses"].values()
    assert {one["name"] for one in statuses} == {f"{kpi} of {team}" for _, team, kpi, _ in READINGS}


def test_accounts_of_one_quota_stay_within_it_together(found: Found, connect: Connect, server: SandboxServer) -> None:
    """Two accounts that name one `quota`, at once: a server that counts every second sees the limit, never more."""
    syncs = [floor(name=name, account=f"vs_{name}", quota="tenant") for name in ("north", "south")]
    company = found(table("snapshot", None, columns={"date": None, "actual": "value", "as_of": "day"}), *syncs)
    company.read(*((f"2024-01-{day:02}", team, "output", day) for team in TEAMS for day in range(1, 16)))
    assert company.extract().success
    for sync in syncs:
        connect(sync.account, server, rate=f"{LIMIT}/s")
    server.control.configure(valuestreamer={"limit": {"requests": LIMIT, "seconds": 1.0}})
    with ThreadPoolExecutor(len(syncs)) as pool:
        results = list(pool.map(lambda sync: run(sync, company.deployment.home), syncs))
    assert [accepted(result) for result in results] == [30, 30]
    counts = server.control.counts("valuestreamer")
    assert (counts["over_limit"], counts["statuses"].keys()) == (0, {"200"})
    assert counts["busiest_window"] >= LIMIT - 2


def test_a_share_leaves_the_rest_to_others(found: Found, connect: Connect, server: SandboxServer) -> None:
    """With `share: 0.5` no second sees more than half of the account's rate, and nearly that is used."""
    sync = floor(account="vs_north", share=0.5)
    company = found(table("snapshot", None, columns={"date": None, "actual": "value", "as_of": "day"}), sync)
    company.read(*((f"2024-01-{day:02}", "press", "output", day) for day in range(1, 26)))
    connect("vs_north", server, rate=f"{LIMIT}/s")
    server.control.configure(valuestreamer={"limit": {"requests": LIMIT, "seconds": 1.0}})
    company.extract()
    assert company.deliver(FLOOR).counts(FLOOR) == {None: {"extracted": 25, "accepted": 25}}
    assert LIMIT // 2 - 1 <= server.control.counts("valuestreamer")["busiest_window"] <= LIMIT // 2


def run(sync: SyncSpec, home: Home) -> SyncResult:
    """Run a sync over the stored snapshot."""
    return SyncRunner(sync, home).run(Order(f"run of {sync.name}", ["snapshot"]))


def accepted(result: SyncResult) -> int:
    """The rows that the API took."""
    return result.results["snapshot"].counts[Outcome.ACCEPTED]
