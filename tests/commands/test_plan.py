"""`pipelines plan`: what a run would do, told from ledger and store before anything is sent."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import orjson
import pytest

from pipelines.delivery.ledger import Ledger, Run, schema
from pipelines.destinations.accounts import read_account
from pipelines.home import Home
from pipelines.sandbox import SandboxServer
from tests.commands.conftest import BOARD, Command
from tests.commands.operating import AREAS, DAY, FLOOR, NEXT, READINGS, STATUSES, UNITS, Operated
from tests.components.conftest import Write
from tests.components.contacts import let_send
from tests.components.deploying import READS_YAML, move_sandbox
from tests.delivery.fakes import upsert

pytestmark = READS_YAML

AA, B6, DL = "departures-EWR-AA", "departures-JFK-B6", "departures-JFK-DL"
ROWS = [("EWR-AA", "departures", 10), ("JFK-B6", "departures", 40)]
LATER = [("EWR-AA", "departures", 12), ("JFK-B6", "departures", 40), ("JFK-DL", "departures", 50)]
ALL = {"readings": READINGS, "board": BOARD, "floor": FLOOR, "statuses": STATUSES, "areas": AREAS, "units": UNITS}
COMPANY = ("C,Company,,true", "P,Plant,C,true", "L,Line,P,true", "M,Mill,C,true", "X,Annex,C,true")


@pytest.fixture
def deploy(write: Write, home: Home, server: SandboxServer) -> Any:
    """Deploy tables and syncs."""

    def deployed(**files: str) -> Operated:
        return Operated(write(files), home, server.control)

    return deployed


@pytest.fixture
def board(deploy: Any) -> Operated:
    """A board of which the first day was delivered, and the second is stored."""
    operated = deploy(readings=READINGS, board=BOARD)
    operated.export(DAY, ROWS)
    operated.deliver("board", DAY)
    operated.export(NEXT, LATER)
    operated.control.reset_counts()
    return operated


def planned(command: Command, operated: Operated, sync: str = "board", *options: object) -> tuple[int, dict[str, Any]]:
    """Exit status and what `--json` tells."""
    said = command("plan", sync, "--folder", operated.folder, "--json", *options)
    return said.status, orjson.loads(said.out)


def numbers(told: dict[str, Any]) -> dict[str, int]:
    """The counts that are not 0."""
    return {name: count for name, count in told["counts"].items() if count}


def written(home: Home) -> dict[str, Any]:
    """All that stands in the ledger."""
    ledger = Ledger(home.ledger_url)
    try:
        with ledger.reading() as connection:
            return {table.name: connection.execute(table.select()).all() for table in schema.metadata.sorted_tables}
    finally:
        ledger.close()


def test_the_newest_partition_is_planned_by_default(board: Operated, command: Command) -> None:
    """Counts per verb, and each field old -> new; nothing stands in the way: exit 0, and nobody was asked."""
    status, told = planned(command, board)
    assert (status, told["partitions"], told["may_be_sent"]) == (0, [NEXT], True)
    assert numbers(told) == {"create": 1, "update": 1, "unchanged": 1}
    update, create = told["changes"]
    assert (update["key"], update["verb"], update["fields"]) == (AA, "update", {"value": {"old": "10", "new": "12"}})
    assert (create["key"], create["verb"]) == (DL, "create")
    assert create["fields"]["value"] == {"old": "(absent)", "new": "50"}
    assert told["requests"] == 2
    assert board.control.counts("stativate")["requests"] == 0


def test_people_read_the_same(board: Operated, command: Command) -> None:
    """The page says that it rests on the ledger, what would change, what it costs, and the verdict."""
    said = command("plan", "board", "--folder", board.folder)
    assert said.status == 0
    assert said.line("board:") == f"board: {NEXT}, account stativate, mode sandbox"
    assert said.line("Made from") == "Made from the ledger: nothing was sent, and no API was asked."
    assert "What would change (2 of 2 keys)" in said.out
    (row,) = [line for line in said.out.splitlines() if AA in line]
    assert [cell.strip() for cell in row.strip("│").split("│")] == [AA, "update", "value", "10", "12"]
    assert said.line("requests") == "requests  about 2: one for each status"
    assert said.line("verdict") == "verdict   nothing stands in the way"


def test_a_plan_writes_nothing_and_asks_nobody(deploy: Any, home: Home, command: Command) -> None:
    """For each API, also those that look things up before they write: no request, and the ledger stays as it is."""
    operated = deploy(**ALL)
    operated.export(DAY, ROWS)
    operated.org(*COMPANY)
    for sync, partition in (("board", DAY), ("floor", DAY), ("statuses", DAY), ("units", "snapshot")):
        operated.deliver(sync, partition)
    operated.export(NEXT, LATER)
    operated.org("C,Concern,,true", *COMPANY[1:])
    before = written(home)
    operated.control.reset_counts()
    found = {sync: planned(command, operated, sync) for sync in ("board", "floor", "statuses", "units")}
    assert {sync: status for sync, (status, _) in found.items()} == dict.fromkeys(found, 0)
    assert {sync: numbers(told).get("update", 0) for sync, (_, told) in found.items()} == {
        "board": 1,
        "floor": 0,
        "statuses": 1,
        "units": 1,
    }
    apis = ("stativate", "valuestreamer", "dnsimple", "feedback_house")
    assert {api: operated.control.counts(api)["requests"] for api in apis} == dict.fromkeys(apis, 0)
    assert written(home) == before
    assert not (home.path / "store" / "board_upserts" / f"{NEXT}.parquet").exists()


def test_an_account_that_cannot_be_reached_is_planned_all_the_same(
    board: Operated, command: Command, home: Home
) -> None:
    """Where nothing listens the plan stands, since it opens no connection."""
    _, before = planned(command, board)
    move_sandbox(home)
    status, told = planned(command, board)
    assert (status, numbers(told)) == (0, numbers(before))
    assert numbers(told)["unchanged"] == 1


@pytest.mark.parametrize("sync", ["board", "floor", "statuses", "units"])
def test_the_requests_that_were_foretold_are_made(sync: str, deploy: Any, command: Command) -> None:
    """Each destination knows what a run costs it: what it looks up, how it batches, what it reads before it writes."""
    operated = deploy(**ALL | {"floor": FLOOR.replace("target: none", "target: keep")})
    operated.export(DAY, ROWS)
    operated.export(NEXT, LATER)
    operated.org(*COMPANY)
    api = operated.deployed.sync(sync).settings.api
    partitions = ["snapshot"] if sync == "units" else [DAY, NEXT]
    for _ in range(2):
        status, told = planned(command, operated, sync, "--partitions", ",".join(partitions))
        operated.control.reset_counts()
        operated.deliver(sync, *partitions)
        assert (status, operated.control.counts(api)["requests"]) == (0, told["requests"])
        assert told["requests"] > 0
        operated.export(NEXT, [("EWR-AA", "departures", 45), *LATER[1:]])
        operated.org("C,Concern,,true", *COMPANY[1:-1], "X,Annex,P,true")


def test_partitions_in_every_form(board: Operated, command: Command) -> None:
    """One key, a range, and a list with commas; what was never extracted is told and not planned."""
    _, one = planned(command, board, "board", "--partitions", DAY)
    assert (one["partitions"], numbers(one)) == ([DAY], {"superseded": 2})
    status, span = planned(command, board, "board", "--partitions", f"{DAY}...2013-01-04")
    assert (status, span["partitions"], list(span["missing"])) == (0, [DAY, NEXT], ["2013-01-03", "2013-01-04"])
    assert numbers(span) == {"create": 1, "update": 1, "unchanged": 1, "superseded": 2}
    _, listed = planned(command, board, "board", "--partitions", f"{NEXT}, {DAY}")
    assert listed["partitions"] == [DAY, NEXT]


@pytest.mark.parametrize(
    ("partitions", "said"),
    [
        ("2013-02-30", "Write it like 2013-01-31"),
        ("2013-05-01...2013-05-03", f"Stored are 2 partitions from {DAY} to {NEXT}"),
        ("snapshot", "'snapshot' is no daily partition"),
        ("", "'' is no daily partition"),
    ],
)
def test_partitions_that_are_none(partitions: str, said: str, board: Operated, command: Command) -> None:
    """A misspelt or unknown partition is a sentence that says what to write; exit 2."""
    found = command("plan", "board", "--folder", board.folder, "--partitions", partitions)
    assert found.status == 2
    assert said in found.err


def test_a_table_that_was_never_extracted(deploy: Any, command: Command) -> None:
    """There is nothing to plan, and it is said what to launch."""
    operated = deploy(readings=READINGS, board=BOARD)
    found = command("plan", "board", "--folder", operated.folder)
    assert found.status == 2
    assert "readings_extract" in found.err


def test_every_change_as_csv(board: Operated, command: Command, tmp_path: Path) -> None:
    """One line per field, all of them whatever is shown; `-` prints them and nothing else."""
    file = tmp_path / "plan.csv"
    said = command("plan", "board", "--folder", board.folder, "--limit", 0, "--csv", file)
    assert "2 more keys would change" in said.out
    lines = list(csv.reader(io.StringIO(file.read_text())))
    assert lines[:2] == [["key", "partition", "verb", "field", "old", "new"], [AA, NEXT, "update", "value", "10", "12"]]
    assert [DL, NEXT, "create", "value", "", "50"] in lines
    assert {line[0] for line in lines[1:]} == {AA, DL}
    printed = command("plan", "board", "--folder", board.folder, "--csv", "-")
    assert list(csv.reader(io.StringIO(printed.out))) == lines


def test_a_csv_file_that_cannot_be_written(board: Operated, command: Command, tmp_path: Path) -> None:
    """The error names the file."""
    said = command("plan", "board", "--folder", board.folder, "--csv", tmp_path / "nowhere" / "plan.csv")
    assert said.status == 2
    assert "nowhere/plan.csv" in said.err


def test_two_documents_are_not_printed_into_each_other(board: Operated, command: Command) -> None:
    """JSON and CSV on one output would be neither."""
    said = command("plan", "board", "--folder", board.folder, "--json", "--csv", "-")
    assert (said.status, said.out) == (2, "")


def test_as_many_as_are_wanted(board: Operated, command: Command) -> None:
    """`--limit` shows some, and says how many there are; `--all` shows all."""
    _, some = planned(command, board, "board", "--limit", 1)
    assert ([one["key"] for one in some["changes"]], some["changes_in_all"]) == ([AA], 2)
    _, every = planned(command, board, "board", "--limit", 1, "--all")
    assert len(every["changes"]) == 2


def test_a_ceiling_is_told_with_its_figures(deploy: Any, command: Command) -> None:
    """Each ceiling stands beside what the plan would do; one that is broken is exit 1 with what to do."""
    operated = deploy(readings=READINGS, board=f"{BOARD}  ceilings: {{created: {{count: 1}}, removed: {{count: 5}}}}\n")
    operated.export(DAY, ROWS)
    status, told = planned(command, operated)
    assert (status, told["may_be_sent"]) == (1, False)
    assert told["ceilings"] == [
        {"name": "created", "keys": 2, "ceiling": "1 keys", "allowed": 1.0, "exceeded": True},
        {"name": "changed", "keys": 0, "ceiling": None, "allowed": None, "exceeded": False},
        {"name": "removed", "keys": 0, "ceiling": "5 keys", "allowed": 5.0, "exceeded": False},
    ]
    said = command("plan", "board", "--folder", operated.folder)
    assert said.line("ceilings") == ("ceilings  created 2 of at most 1, changed 0 (no ceiling), removed 0 of at most 5")
    assert "override_ceilings" in said.line("stopped")
    assert said.line("verdict") == "verdict   a run would send nothing"


def test_all_that_stands_in_the_way_is_told_at_once(deploy: Any, live: None, home: Home, command: Command) -> None:
    """A hold, a first contact nobody has made, a ceiling: one plan tells all three, and asks the account nothing."""
    text = BOARD.replace("sandbox", "live") + "  ceilings: {created: {count: 1}}\n"
    operated = deploy(readings=READINGS, board=text)
    operated.export(DAY, ROWS)
    command("hold", "board", "--reason", "repairs", "--folder", operated.folder)
    status, told = planned(command, operated)
    assert status == 1
    assert [one["barrier"] for one in told["obstacles"]] == ["hold", "first_contact", "ceiling"]
    why = [one["why"] for one in told["obstacles"]]
    assert "pipelines release board" in why[0]
    assert "pipelines adopt board" in why[1]
    assert any("the ledger knows nothing of this sync" in note for note in told["notes"])
    assert operated.control.counts("stativate")["requests"] == 0


def test_mode_dry_is_planned_as_if_it_were_live(
    deploy: Any, live: None, home: Home, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sync that is set back to dry is compared with what the live account accepted, and needs no setting."""
    operated = deploy(readings=READINGS, board=BOARD.replace("sandbox", "live"))
    operated.export(DAY, ROWS)
    spec = operated.deployed.sync("board")
    let_send(spec, home)
    operated.deliver("board", DAY)
    operated.export(NEXT, LATER)
    for name in ("URL", "API_KEY", "RATE", "IN_FLIGHT"):
        monkeypatch.delenv(f"STATIVATE_{name}")
    file = next(operated.folder.rglob("board/defs.yaml"))
    file.write_text(file.read_text().replace("mode: live", "mode: dry"))
    status, told = planned(command, operated)
    assert (status, numbers(told)) == (0, {"create": 1, "update": 1, "unchanged": 1})
    assert "mode dry: a run sends nothing" in told["notes"][0]
    assert told["pace"].startswith("1/s")


def test_mode_dry_before_any_delivery(deploy: Any, empty_home: Home, command: Command) -> None:
    """Without anything in the ledger, the way to the first delivery is told."""
    operated = deploy(readings=READINGS, board=BOARD.replace("sandbox", "dry"))
    operated.export(DAY, ROWS)
    status, told = planned(command, operated)
    assert (status, numbers(told)) == (1, {"create": 2})
    assert "Say mode: live in it, then `pipelines adopt board`" in told["obstacles"][0]["why"]


def test_removals_are_part_of_the_plan(deploy: Any, command: Command) -> None:
    """A key that has vanished is shown with what would go, and counts for the cost and the ceiling."""
    operated = deploy(readings=READINGS, floor=f"{FLOOR}  vanished: remove\n")
    operated.export(DAY, ROWS)
    operated.deliver("floor", DAY)
    operated.export(DAY, ROWS[1:])
    status, told = planned(command, operated, "floor")
    assert (status, numbers(told)) == (0, {"remove": 1, "unchanged": 1})
    (change,) = told["changes"]
    assert (change["verb"], change["fields"]) == ("remove", {"actual": {"old": 10, "new": "(absent)"}})
    assert told["requests"] == 1
    said = command("plan", "floor", "--folder", operated.folder)
    assert "removed 1 of at most 1" in said.line("ceilings")


def test_areas_are_shown_as_a_tree(deploy: Any, command: Command) -> None:
    """Moved, renamed, closed and created areas stand under those above them, also where these stay as they are."""
    operated = deploy(areas=AREAS, units=UNITS.replace("tags: null", "tags: null, vanished: deactivate"))
    operated.org(*COMPANY, "O,Old,P,true")
    operated.deliver("units", "snapshot")
    operated.org(
        "C,Company,,true", "P,Plant,C,true", "L,Line 1,M,true", "M,Mill,C,false", "X,Annex,,true", "N,New,P,true"
    )
    status, told = planned(command, operated, "units")
    assert (status, numbers(told)) == (0, {"create": 1, "update": 3, "remove": 1, "unchanged": 2})
    assert leaves(told["areas"]) == {
        ("C", "Company"): [],
        ("C/P", "Plant"): [],
        ("C/P/O", "Old"): ["closed"],
        ("C/P/N", "New"): ["created"],
        ("C/M", "Mill"): ["closed"],
        ("C/M/L", "Line 1"): ["renamed: Line -> Line 1", "moved: Plant (P) -> Mill (M)"],
        ("X", "Annex"): ["moved: Company (C) -> the top"],
    }
    (removal,) = [one for one in told["changes"] if one["verb"] == "remove"]
    assert removal["fields"] == {"active": {"old": True, "new": False}}
    drawn = [line.strip("│├└─ ") for line in command("plan", "units", "--folder", operated.folder).out.splitlines()]
    assert "Line 1 (L)  renamed: Line -> Line 1; moved: Plant (P) -> Mill (M)" in drawn


def leaves(branches: list[dict[str, Any]], above: str = "") -> dict[tuple[str, str], list[str]]:
    """Path and name of each area, and what is said of it."""
    found: dict[tuple[str, str], list[str]] = {}
    for one in branches:
        path = f"{above}/{one['key']}".strip("/")
        found[path, one["name"]] = one["said"]
        found |= leaves(one["below"], path)
    return found


def test_rows_that_become_no_upsert_are_counted(board: Operated, command: Command) -> None:
    """What is invalid or in quarantine is no part of the plan, and is told beside it."""
    board.export(NEXT, [("EWR-AA", "departures", ""), ("JFK-B6", "departures", 1), ("JFK-B6", "departures", 2)])
    _, told = planned(command, board)
    assert (numbers(told), told["rows_left_out"]) == ({}, {"quarantined": 2, "invalid": 1})


def test_what_is_parked_is_not_planned(board: Operated, command: Command) -> None:
    """An upsert that was refused too often is told apart: a run would not send it."""
    refused = {"api": "stativate", "path_contains": AA, "kind": "status", "times": None, "params": {"code": 400}}
    board.control.add_faults(refused)
    for _ in range(3):
        board.deliver("board", NEXT)
    _, told = planned(command, board)
    assert (numbers(told), told["rows_left_out"]) == ({"unchanged": 2}, {"parked": 1})


def test_what_an_earlier_run_left_open_is_told(board: Operated, command: Command) -> None:
    """Upserts without an answer are read back first; a key of which nobody is certain is sent though it is the same."""
    ledger = Ledger(board.home.ledger_url)
    spec = board.deployed.sync("board")
    scope = ledger.scope("stativate", "sandbox", *place(spec, board.home), 0.0)
    with ledger.engine.begin() as connection:
        ledger.begin(connection, scope, Run("dead", "board", ""), [upsert("gone", 1)], 0.0)
        ledger.doubt(connection, scope, [B6])
    ledger.close()
    _, told = planned(command, board)
    assert numbers(told) == {"create": 1, "update": 2}
    assert "1 upserts were attempted and have no answer yet" in told["notes"][0]
    (same,) = [one for one in told["changes"] if one["key"] == B6]
    assert same["fields"] == {}
    said = command("plan", "board", "--folder", board.folder)
    assert "the same as before; something else may stand there" in said.out
    printed = command("plan", "board", "--folder", board.folder, "--csv", "-").out
    assert f"{B6},{NEXT},update,,," in printed.splitlines()


def place(spec: Any, home: Home) -> tuple[str, str]:
    """Address and sandbox of the sync's account, as the ledger knows them."""

    account = read_account(spec.account, spec.settings, spec.mode, home=home)
    return account.address_hash, account.sandbox_id or ""


def test_the_time_rests_on_the_pace_and_on_what_was_sent_of_late(
    deploy: Any, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fresh allowance lets the first requests out at once; what it has spent already makes the rest wait."""
    monkeypatch.setenv("STATIVATE_RATE", "3/h")
    operated = deploy(readings=READINGS, board=BOARD)
    operated.export(DAY, ROWS)
    _, fresh = planned(command, operated)
    assert (fresh["requests"], fresh["seconds"], fresh["pace"]) == (2, 0.0, "3/h")
    operated.deliver("board", DAY)
    operated.export(NEXT, [("EWR-AA", "departures", 12), ("JFK-B6", "departures", 41)])
    _, spent = planned(command, operated)
    assert (spent["requests"], spent["pace"]) == (2, "3/h, 2 requests of late counted")
    assert 3500 < spent["seconds"] <= 3601
    said = command("plan", "board", "--folder", operated.folder)
    assert said.line("time").startswith("time      about 60 min (3/h, 2 requests of late counted)")


def test_a_run_without_a_preview_is_none_that_is_planned(board: Operated) -> None:
    """A delivery plans nothing ahead: only a dry run has a preview."""
    assert board.deliver("board", NEXT).preview is None
    assert board.deliver("board", NEXT, dry=True).preview is not None


def test_why_vanished_keys_are_kept_is_told(deploy: Any, command: Command) -> None:
    """Where nothing can be said of vanished keys, the plan says so instead of planning their removal."""
    operated = deploy(areas=AREAS, units=UNITS.replace("tags: null", "tags: null, vanished: deactivate"))
    operated.org(*COMPANY)
    operated.deliver("units", "snapshot")
    operated.org("C,Company,,true", ",Nameless,C,true")
    _, told = planned(command, operated, "units")
    assert numbers(told) == {"unchanged": 1}
    assert any("vanished keys were kept" in note for note in told["notes"])
