"""`pipelines send`: a few keys through the same engine as a run, each request and answer shown."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from pipelines.delivery.ledger import Ledger
from pipelines.destinations.accounts import read_account
from pipelines.home import Home
from pipelines.sandbox import SandboxServer
from tests.commands.conftest import BOARD, Command
from tests.commands.operating import AREAS, DAY, FLOOR, NEXT, READINGS, STATUSES, UNITS, Operated, counts
from tests.components.conftest import Write
from tests.components.deploying import READS_YAML

pytestmark = READS_YAML

AA, B6, DL = "departures-EWR-AA", "departures-JFK-B6", "departures-JFK-DL"
ROWS = [("EWR-AA", "departures", 10), ("JFK-B6", "departures", 40), ("JFK-DL", "departures", 50)]
ALL = {"readings": READINGS, "board": BOARD, "floor": FLOOR, "statuses": STATUSES, "areas": AREAS, "units": UNITS}


@pytest.fixture
def deploy(write: Write, home: Home, server: SandboxServer) -> Any:
    """Deploy tables and syncs."""

    def deployed(**files: str) -> Operated:
        return Operated(write(files), home, server.control)

    return deployed


@pytest.fixture
def board(deploy: Any) -> Operated:
    """A board with a stored day, of which nothing was delivered."""
    operated = deploy(readings=READINGS, board=BOARD)
    operated.export(DAY, ROWS)
    return operated


def send(command: Command, operated: Operated, *options: object, sync: str = "board") -> tuple[int, dict[str, Any]]:
    """Exit status and what `--json` tells."""
    said = command("send", sync, "--folder", operated.folder, "--json", *options)
    return said.status, orjson.loads(said.out)


def values(operated: Operated) -> dict[str, str]:
    """The board's values by key."""
    return {key: one["value"] for key, one in operated.control.state("stativate")["statuses"].items()}


def outcomes(told: dict[str, Any]) -> dict[str, str]:
    """What became of each key."""
    return {key: one["outcome"] for key, one in told["keys"].items()}


def asked(home: Home, statement: str) -> list[Any]:
    """What the ledger says."""
    ledger = Ledger(home.ledger_url)
    try:
        with ledger.reading() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(statement).all()]
    finally:
        ledger.close()


def test_the_first_few_are_sent_and_the_rest_is_left(board: Operated, command: Command, home: Home) -> None:
    """`--limit 2` sends two; the ledger tells its run; the next run sends the third, and those two not again."""
    status, told = send(command, board, "--limit", 2)
    assert (status, outcomes(told), told["more"]) == (0, {AA: "accepted", B6: "accepted"}, 1)
    assert told["run"].startswith("send-")
    assert [(one["method"], one["status"]) for one in told["requests"]] == [("POST", 200)] * 2
    assert values(board) == {AA: "10", B6: "40"}
    assert {(key, run) for key, run in asked(home, "select key, run from deliveries")} == {
        (AA, told["run"]),
        (B6, told["run"]),
    }
    assert asked(home, "select key from open_outcomes") == []
    board.control.reset_counts()
    assert counts(board.deliver("board", DAY)) == {"unchanged": 2, "accepted": 1}
    assert board.control.counts("stativate")["requests"] == 1


def test_what_was_not_chosen_counts_as_not_sent(board: Operated) -> None:
    """A run of a few keys accounts for every row: the others are not sent, and no later run takes them for done."""
    result = board.deliver("board", DAY, keys={AA})
    assert counts(result) == {"accepted": 1, "not_sent": 2}
    assert result.results[DAY].gap == 0
    assert asked(board.home, "select partition, done from reads") == [(DAY, False)]


def test_request_and_answer_are_shown(board: Operated, command: Command) -> None:
    """People see method, address, headers without the key, body, status and answer, and what became of it."""
    said = command("send", "board", "--folder", board.folder, "--key", AA)
    assert said.status == 0
    assert said.line("-> ").endswith(f"/stativate/v1/status-keys/{AA}")
    assert said.line("-> ").startswith("-> POST http://127.0.0.1:")
    assert said.line("   stativate-api-key") == "   stativate-api-key: ***"
    assert '   {"name":"Departures EWR-AA"' in said.out
    assert said.line("<- ").startswith("<- 200 in ")
    (row,) = [line for line in said.out.splitlines() if line.startswith("│ departures")]
    assert [cell.strip() for cell in row.strip("│").split("│")] == [AA, "accepted", ""]


@pytest.mark.parametrize("sync", ["board", "floor", "statuses", "units"])
def test_no_secret_is_shown(sync: str, deploy: Any, command: Command, home: Home) -> None:
    """Of no API a credential is printed, for people or as JSON; also what is looked up before the write is shown."""
    operated = deploy(**ALL)
    operated.export(DAY, ROWS)
    operated.org("C,Company,,true", "P,Plant,C,true")
    spec = operated.deployed.sync(sync)
    account = read_account(spec.account, spec.settings, "sandbox", home=home)
    assert account.secrets
    status, told = send(command, operated, "--limit", 1, sync=sync)
    assert (status, list(outcomes(told).values())) in [(0, ["accepted"]), (0, ["created"])]
    assert any("***" in value for value in told["requests"][0]["headers"].values())
    assert told["requests"][-1]["method"] in {"POST", "PUT"}
    said = command("send", sync, "--folder", operated.folder, "--limit", 1)
    assert said.status == 0
    for secret in account.secrets:
        assert secret not in orjson.dumps(told).decode()
        # The sandbox's credentials are the mode's own name.
        assert secret not in said.out.replace("mode sandbox", "") + said.err


def test_a_key_finds_its_own_partition(deploy: Any, command: Command) -> None:
    """A dated key of an older day is sent without saying which day."""
    operated = deploy(readings=READINGS, floor=FLOOR)
    operated.export(DAY, ROWS)
    operated.export(NEXT, ROWS)
    team, kpi = "c24c5a07-4a5d-5371-b3e7-4dbb764590cf", "2c154b7a-e914-50f2-8cf5-bd00190d9de7"
    key = f"{DAY}/{team}/{kpi}"
    status, told = send(command, operated, "--key", key, sync="floor")
    assert (status, told["partitions"], list(outcomes(told))) == (0, [DAY], [key])
    assert list(operated.control.state("valuestreamer")["records"]) == [key]


def test_why_a_key_is_not_sent(board: Operated, command: Command) -> None:
    """Unchanged, superseded, invalid, in quarantine, elsewhere, vanished, unknown: each is said, and nothing leaves."""
    board.deliver("board", DAY)
    other = ("LGA-WN", "departures")
    board.export(NEXT, [ROWS[0], ("JFK-B6", "departures", ""), (*other, 1), (*other, 2), ("LGA-AA", "departures", 7)])
    board.control.reset_counts()

    def why(key: str, *options: object) -> str:
        status, told = send(command, board, "--key", key, *options)
        assert (status, told["keys"], told["requests"]) == (1, {}, [])
        return told["unsent"][key]

    assert why(AA) == "unchanged: the account has accepted exactly this already"
    assert why(AA, "--partitions", DAY) == "superseded: a newer reading of it was delivered, or is stored"
    assert why(B6, "--partitions", NEXT).startswith("invalid: ")
    assert why("departures-LGA-WN") == f"its row in {NEXT} is in quarantine"
    assert f"its newest row stands in {NEXT}" in why("departures-LGA-AA", "--partitions", DAY)
    assert "Did you mean departures-EWR-AA" in why("departures-EWR-A")
    for stored in ("readings", "readings_valid"):
        (board.home.path / "store" / stored / f"{DAY}.parquet").unlink()
    assert "no valid row of it any more" in why(DL)
    assert board.control.counts("stativate")["requests"] == 0


def test_known_and_unknown_keys_together(board: Operated, command: Command) -> None:
    """What can be sent is sent, the rest is explained; that is exit 1."""
    status, told = send(command, board, "--key", AA, "--key", "departures-EWR-ZZ")
    assert (status, outcomes(told), list(told["unsent"])) == (1, {AA: "accepted"}, ["departures-EWR-ZZ"])


def test_nothing_to_send(board: Operated, command: Command) -> None:
    """Where all is as it should be, that is said: exit 0, without a request."""
    board.deliver("board", DAY)
    said = command("send", "board", "--folder", board.folder, "--limit", 3)
    assert said.status == 0
    assert "A run over these partitions would send nothing." in said.out


def test_a_hold_keeps_it_back(board: Operated, command: Command) -> None:
    """A held sync sends nothing by hand either, and it is said how to release it."""
    command("hold", "board", "--reason", "repairs", "--folder", board.folder)
    status, told = send(command, board, "--limit", 1)
    assert (status, outcomes(told)) == (1, {AA: "not_sent"})
    assert "pipelines release board" in told["stopped"]
    assert values(board) == {}


def test_ceilings_count_what_is_chosen(deploy: Any, command: Command) -> None:
    """A plan too large for its ceiling may be tried with as few keys as it allows, and with no more."""
    operated = deploy(readings=READINGS, board=f"{BOARD}  ceilings: {{created: {{count: 1}}}}\n")
    operated.export(DAY, ROWS)
    assert counts(operated.deliver("board", DAY)) == {"not_sent": 3}
    status, told = send(command, operated, "--limit", 2)
    assert (status, outcomes(told)) == (1, {AA: "not_sent", B6: "not_sent"})
    assert "stopped by a ceiling" in told["stopped"]
    assert send(command, operated, "--limit", 1)[0] == 0
    assert values(operated) == {AA: "10"}


def test_first_contact_comes_first(deploy: Any, live: None, command: Command) -> None:
    """A live sync sends no key by hand before somebody has looked at its account."""
    operated = deploy(readings=READINGS, board=BOARD.replace("sandbox", "live"))
    operated.export(DAY, ROWS)
    status, told = send(command, operated, "--limit", 1)
    assert (status, outcomes(told)) == (1, {AA: "not_sent"})
    assert "pipelines adopt board" in told["stopped"]
    assert operated.control.counts("stativate")["requests"] == 0


def test_a_refusal_is_shown_with_its_words(board: Operated, command: Command) -> None:
    """The API's answer stands there, the key stays open, and the exit status says so."""
    board.control.add_faults({"api": "stativate", "method": "POST", "kind": "status", "params": {"code": 400}})
    status, told = send(command, board, "--key", AA)
    assert (status, outcomes(told), told["requests"][0]["status"]) == (1, {AA: "rejected"}, 400)
    assert "400" in told["keys"][AA]["reason"]
    assert asked(board.home, "select key, outcome, run from open_outcomes") == [(AA, "rejected", told["run"])]


def test_a_lost_answer_is_shown_too(board: Operated, command: Command) -> None:
    """Where no answer came, that is said, and the read-back that settles it is shown as well."""
    board.control.add_faults({"api": "stativate", "method": "POST", "kind": "drop_after", "times": 1})
    said = command("send", "board", "--folder", board.folder, "--key", AA)
    assert said.status == 0
    assert "<- no answer: " in said.out
    assert f"-> GET http://127.0.0.1:{said.line('-> GET').split(':')[2]}" in said.out
    assert values(board) == {AA: "10"}


def test_nothing_is_taken_away_by_hand(deploy: Any, command: Command) -> None:
    """A sync that removes what has vanished leaves it to its runs."""
    operated = deploy(readings=READINGS, floor=f"{FLOOR}  vanished: remove\n")
    operated.export(DAY, ROWS)
    operated.deliver("floor", DAY)
    operated.export(DAY, [("EWR-AA", "departures", 11), ROWS[1]])
    status, told = send(command, operated, "--limit", 5, sync="floor")
    assert (status, len(outcomes(told))) == (0, 1)
    assert len(operated.control.state("valuestreamer")["records"]) == 3
    assert operated.deliver("floor", DAY).results[DAY].removed == 1


def test_areas_go_with_those_above_them_first(deploy: Any, command: Command) -> None:
    """`--limit` begins at the top of the tree; an area whose parent is not there yet is not sent."""
    operated = deploy(areas=AREAS, units=UNITS)
    operated.org("L,Line,P,true", "P,Plant,C,true", "C,Company,,true")
    status, told = send(command, operated, "--key", "L", sync="units")
    assert (status, outcomes(told)) == (1, {"L": "not_sent"})
    assert "parent P" in told["keys"]["L"]["reason"]
    status, told = send(command, operated, "--limit", 2, sync="units")
    assert (status, list(outcomes(told)), told["more"]) == (0, ["C", "P"], 1)
    assert send(command, operated, "--key", "L", sync="units")[0] == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "Say either --limit N or --key KEY"),
        (["--limit", 1, "--key", AA], "Say either --limit N or --key KEY"),
        (["--limit", 1, "--partitions", NEXT], "never extracted for 2013-01-02"),
    ],
)
def test_what_cannot_be_meant(options: list[object], said: str, board: Operated, command: Command) -> None:
    """Neither or both ways to choose, or a day that is not stored: a sentence, exit 2, and nothing leaves."""
    found = command("send", "board", "--folder", board.folder, *options)
    assert found.status == 2
    assert said in found.err
    assert board.control.counts("stativate")["requests"] == 0


def test_mode_dry_sends_nothing(deploy: Any, command: Command) -> None:
    """A dry sync reaches no account, by hand neither."""
    operated = deploy(readings=READINGS, board=BOARD.replace("sandbox", "dry"))
    operated.export(DAY, ROWS)
    found = command("send", "board", "--folder", operated.folder, "--limit", 1)
    assert found.status == 2
    assert "mode dry" in found.err
