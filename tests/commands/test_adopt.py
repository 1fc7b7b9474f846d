"""`pipelines adopt`: a live sync writes only when somebody has seen what stands there, and said what counts."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from pipelines.components.adopting import seconds_for
from pipelines.delivery.destination import Limits, Window
from pipelines.delivery.ledger import Ledger
from pipelines.home import Home
from pipelines.sandbox import SandboxServer
from tests.commands.conftest import BOARD, Command, Said
from tests.commands.hand import by_hand
from tests.commands.operating import DAY, NEXT, READINGS, Operated, counts
from tests.components.conftest import Write
from tests.components.deploying import READS_YAML

pytestmark = READS_YAML

AA, B6, DL = "departures-EWR-AA", "departures-JFK-B6", "departures-JFK-DL"
ROWS = [("EWR-AA", "departures", 10), ("JFK-B6", "departures", 40), ("JFK-DL", "departures", 50)]
FLOOR = """type: pipelines.ValueStreamerSync
attributes:
  name: floor
  table: readings
  account: valuestreamer
  mode: sandbox
  team_id: valuestreamer_team_id
  kpi_id: valuestreamer_kpi_id
  actual: {column: actual, id: valuestreamer_actual_id}
  target: none
"""
STATUSES = """type: pipelines.DnsimpleSync
attributes:
  name: statuses
  table: readings
  account: dnsimple
  mode: sandbox
  resource: dnsimple_resource
  context: departures
  state: {column: actual, steps: [{at_least: 40, state: ok}], otherwise: error}
  title: "{actual:integer} departures"
"""
AREAS = """type: pipelines.AreaTable
attributes:
  name: areas
  source: {files: "exports/areas.csv"}
  timezone: America/New_York
"""
UNITS = """type: pipelines.FeedbackHouseSync
attributes: {name: units, table: areas, account: feedback_house, mode: sandbox, tags: null}
"""


@pytest.fixture
def live(home: Home, server: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """All accounts have settings as real ones do, without a limit that a test would wait for."""
    card = home.read_card()
    assert card is not None
    for api, settings in card.accounts.items():
        for name, value in {**settings, "RATE": "1000/s", "IN_FLIGHT": "8"}.items():
            monkeypatch.setenv(f"{api}_{name}".upper(), value)


@pytest.fixture
def deploy(write: Write, home: Home, live: None, server: SandboxServer) -> Any:
    """Deploy tables and syncs, these in mode live."""

    def deployed(**files: str) -> Operated:
        return Operated(
            write({name: text.replace("sandbox", "live") for name, text in files.items()}), home, server.control
        )

    return deployed


@pytest.fixture
def board(deploy: Any, home: Home) -> Operated:
    """A board where somebody works by hand: one status is the same, one differs, one is missing, two are others."""
    operated = deploy(readings=READINGS, board=BOARD)
    operated.export(DAY, ROWS)
    set_status(home, AA, "10", name="Departures EWR-AA")
    set_status(home, B6, "41", name="Departures JFK-B6")
    set_status(home, "canteen", "SOUP", name="Canteen")
    operated.control.reset_counts()
    return operated


def set_status(home: Home, key: str, value: str, **fields: Any) -> None:
    """Somebody sets a status."""
    body = {"type": "text", "value": value, "accessType": "private", **fields}
    by_hand(home, "stativate", "POST", f"/status-keys/{key}", body)


def adopt(command: Command, operated: Operated, sync: str, *options: object) -> tuple[int, dict[str, Any]]:
    """Exit status and what `--json` tells."""
    said = command("adopt", sync, "--folder", operated.folder, "--json", *options)
    return said.status, orjson.loads(said.out)


def numbers(told: dict[str, Any]) -> tuple[int, int, int, int]:
    """How many keys are the same, differ, are only here, are only there."""
    return told["same"], told["differ"], told["only_here"], told["only_there"]


def values(operated: Operated) -> dict[str, str]:
    """The board's values by key."""
    return {key: one["value"] for key, one in operated.control.state("stativate")["statuses"].items()}


def decisions(command: Command, sync: str) -> list[tuple[str, str]]:
    """What was decided about a sync."""
    told = orjson.loads(command("ledger", "decisions", "--about", sync, "--json").out)["decisions"]
    return [(one["what"], one["reason"].partition(":")[0]) for one in told]


def test_a_live_sync_sends_nothing_before_its_account_was_adopted(board: Operated) -> None:
    """The run says which command to use, and makes no request."""
    result = board.deliver("board", DAY)
    assert counts(result) == {"not_sent": 3}
    assert "pipelines adopt board" in result.report.stopped
    assert board.control.counts("stativate")["requests"] == 0


def test_looking_alone_shows_and_writes_nothing(board: Operated, command: Command) -> None:
    """Every key is told with its fields, strangers too; without a choice nothing is written down: exit 1."""
    said = command("adopt", "board", "--folder", board.folder)
    assert said.status == 1
    assert said.line("same") == "same: 1, differ: 1, only here: 1, only there: 1"
    assert "canteen" in said.out
    assert "pipelines adopt board --take-over" in said.out
    assert "Looking takes about 4 requests (the list of statuses, then each key that is in it), 1 s" in said.err
    status, told = adopt(command, board, "board")
    assert (status, numbers(told), told["policy"], told["adopted"]) == (1, (1, 1, 1, 1), None, False)
    assert told["differences"] == [{"key": B6, "fields": {"value": {"here": "40", "there": "41"}}}]
    assert told["strangers"] == [{"key": "canteen", "name": "Canteen"}]
    assert board.control.counts("stativate")["requests"] == 6
    assert counts(board.deliver("board", DAY)) == {"not_sent": 3}


def test_taking_over_sends_what_differs_and_no_more(board: Operated, command: Command) -> None:
    """What is the same is not sent again, what differs is overwritten, what is only there stays; the old is kept."""
    status, told = adopt(command, board, "board", "--take-over", "--yes")
    assert (status, numbers(told), told["adopted"]) == (0, (1, 1, 1, 1), True)
    assert values(board) == {AA: "10", B6: "41", "canteen": "SOUP"}
    board.control.reset_counts()
    assert counts(board.deliver("board", DAY)) == {"unchanged": 1, "accepted": 2}
    assert board.control.counts("stativate")["requests"] == 2
    assert values(board) == {AA: "10", B6: "40", DL: "50", "canteen": "SOUP"}
    told = orjson.loads(command("ledger", "deliveries", "--key", B6, "--json").out)["deliveries"]
    assert [(one["old"]["value"], one["new"]["value"]) for one in told] == [("41", "40")]
    assert decisions(command, "board") == [("adopt", "take_over")]


def test_keeping_leaves_theirs_until_the_source_changes(board: Operated, command: Command) -> None:
    """What people have set stays as it is, until the source itself says something new."""
    assert adopt(command, board, "board", "--keep", "--yes")[0] == 0
    assert counts(board.deliver("board", DAY)) == {"unchanged": 2, "accepted": 1}
    assert values(board)[B6] == "41"
    board.export(NEXT, [("JFK-B6", "departures", 40), ("EWR-AA", "departures", 11)])
    assert counts(board.deliver("board", NEXT)) == {"unchanged": 1, "accepted": 1}
    assert values(board)[B6] == "41"
    board.export("2013-01-03", [("JFK-B6", "departures", 44)])
    assert counts(board.deliver("board", "2013-01-03")) == {"accepted": 1}
    assert values(board)[B6] == "44"


def test_a_key_that_comes_later_is_sent_without_a_look_and_that_is_said(board: Operated, command: Command) -> None:
    """First contact is about the keys of that time: the command says so, and a new one overwrites what stands there."""
    said = command("adopt", "board", "--keep", "--yes", "--folder", board.folder)
    assert "Keys that the source gains later are sent without another look" in said.out
    set_status(board.home, "departures-LGA-AA", "7")
    board.export(NEXT, [("LGA-AA", "departures", 60)])
    assert counts(board.deliver("board", NEXT)) == {"accepted": 1}
    assert values(board)["departures-LGA-AA"] == "60"


def test_an_account_that_cannot_be_read_needs_trust(
    board: Operated, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 403 says what trusting the source costs; trusting makes no request, and the next run overwrites everything."""
    board.control.add_faults(
        {"api": "stativate", "method": "GET", "kind": "status", "times": None, "params": {"code": 403}}
    )
    said = command("adopt", "board", "--take-over", "--yes", "--folder", board.folder)
    assert said.status == 2
    assert "403" in said.err
    assert "pipelines adopt board --trust-source" in said.err
    board.control.reset_counts()
    said = command("adopt", "board", "--trust-source", "--yes", "--folder", board.folder)
    assert said.status == 0
    assert "overwrites what people have set" in said.err
    assert board.control.counts("stativate")["requests"] == 0
    assert counts(board.deliver("board", DAY)) == {"accepted": 3}
    assert decisions(command, "board") == [("adopt", "trusted")]


def test_a_broken_look_goes_on_where_it_was(board: Operated, command: Command) -> None:
    """What was read is written down at once; the account counts as seen when all was; nothing is read twice."""
    fault = {"api": "stativate", "path_contains": B6, "kind": "status", "times": 1, "params": {"code": 403}}
    board.control.add_faults(fault)
    status, told = adopt(command, board, "board", "--take-over", "--yes")
    assert (status, told["adopted"], list(told["unread"])) == (1, False, [B6])
    assert counts(board.deliver("board", DAY)) == {"unchanged": 1, "not_sent": 2}
    board.control.reset_counts()
    status, told = adopt(command, board, "board", "--take-over", "--yes")
    assert (status, told["adopted"], told["recorded_before"], told["differ"]) == (0, True, 1, 1)
    assert board.control.counts("stativate")["requests"] == 2
    assert counts(board.deliver("board", DAY)) == {"unchanged": 1, "accepted": 2}


def test_a_lost_ledger_is_rebuilt(board: Operated, command: Command, home: Home) -> None:
    """After the ledger is gone, the same command finds what was delivered, and nothing of it is sent again."""
    assert adopt(command, board, "board", "--take-over", "--yes")[0] == 0
    board.deliver("board", DAY)
    for file in home.path.glob("ledger.db*"):
        file.unlink()
    status, told = adopt(command, board, "board", "--take-over", "--yes")
    assert (status, numbers(told)) == (0, (3, 0, 0, 1))
    board.control.reset_counts()
    assert counts(board.deliver("board", DAY)) == {"unchanged": 3}
    assert board.control.counts("stativate")["requests"] == 0


def test_a_status_without_a_key_is_a_stranger(board: Operated, command: Command) -> None:
    """What was made in the app has no key: it is told by its name."""
    listed = [{"statusId": "1", "statusKey": None, "shareId": "s", "name": "By hand"}]
    fault = {"api": "stativate", "path_contains": "/user/status", "kind": "other_json", "params": {"body": listed}}
    board.control.add_faults(fault)
    _, told = adopt(command, board, "board")
    assert told["strangers"] == [{"key": None, "name": "By hand"}]


def test_keys_of_another_sync_are_told(deploy: Any, command: Command) -> None:
    """A key that another sync has delivered is neither looked at nor taken; what it delivered beside is no stranger."""
    other = BOARD.replace("name: board", "name: other") + "  where: team = 'EWR-AA'\n"
    operated = deploy(readings=READINGS, board=BOARD, other=other)
    operated.export(DAY, ROWS)
    assert adopt(command, operated, "other", "--take-over", "--yes")[0] == 0
    operated.deliver("other", DAY)
    status, told = adopt(command, operated, "board", "--take-over", "--yes")
    assert (status, numbers(told), told["of_other_syncs"]) == (0, (0, 0, 2, 0), {AA: "other"})
    assert counts(operated.deliver("board", DAY)) == {"invalid": 1, "accepted": 2}


def test_dnsimple_is_read_in_one_list(deploy: Any, command: Command, home: Home) -> None:
    """Statuses by resource and context: same, differing by fields, missing, and those of others."""
    operated = deploy(readings=READINGS, statuses=STATUSES)
    operated.export(DAY, ROWS)
    for resource, context, state, title in (
        ("domain:102", "departures", "error", "10 departures"),
        ("domain:115", "departures", "warning", "by hand"),
        ("domain:102", "ssl", "ok", "certificate"),
    ):
        body = {"resource": resource, "context": context, "state": state, "title": title}
        by_hand(home, "dnsimple", "POST", "/1010/platform/statuses", body)
    status, told = adopt(command, operated, "statuses", "--take-over", "--yes")
    assert (status, told["adopted"]) == (0, True)
    assert told["strangers"] == [{"key": "domain:102/ssl", "name": "certificate"}]
    assert numbers(told) == (1, 1, 1, 1)
    assert told["differences"][0]["fields"] == {
        "state": {"here": "ok", "there": "warning"},
        "title": {"here": "40 departures", "there": "by hand"},
    }
    assert operated.control.counts("dnsimple")["requests"] == 4
    assert counts(operated.deliver("statuses", DAY)) == {"unchanged": 1, "accepted": 2}
    assert len(operated.control.state("dnsimple")["history"]) == 5


def test_valuestreamer_is_read_by_team_and_kpi(deploy: Any, command: Command, home: Home) -> None:
    """Datasets of the source's teams, KPIs and dates: same, differing by value, missing, and other days' between."""
    operated = deploy(readings=READINGS, floor=FLOOR)
    operated.export(DAY, ROWS[:2])
    operated.export("2013-02-20", ROWS[:1])
    team, kpi = "c24c5a07-4a5d-5371-b3e7-4dbb764590cf", "2c154b7a-e914-50f2-8cf5-bd00190d9de7"
    actual = "dbabb8fd-8001-5ffa-9bd6-a82984598b13"
    for day, value in ((DAY, 10), ("2013-01-15", 7), ("2013-02-20", 11)):
        body = {"values": [{"kpiValueId": actual, "value": value}]}
        by_hand(home, "valuestreamer", "PUT", f"/exchange/kpi-data/{day}/{team}/{kpi}", body)
    operated.control.reset_counts()
    status, told = adopt(command, operated, "floor", "--take-over", "--yes")
    assert (status, numbers(told)) == (0, (1, 1, 1, 1))
    key = f"2013-02-20/{team}/{kpi}"
    assert told["differences"] == [{"key": key, "fields": {f"values[{actual}].value": {"here": 10, "there": 11}}}]
    assert told["strangers"] == [{"key": f"2013-01-15/{team}/{kpi}", "name": ""}]
    assert operated.control.counts("valuestreamer")["requests"] == 3
    assert counts(operated.deliver("floor", DAY, "2013-02-20")) == {"unchanged": 1, "accepted": 2}


@pytest.mark.parametrize("visible", [True, False])
def test_areas_are_found_by_key_or_by_name_and_parents(
    visible: bool, deploy: Any, command: Command, home: Home
) -> None:
    """An area without our key is known by its path; its id is kept, so that it can be given the key, not made anew."""
    operated = deploy(areas=AREAS, units=UNITS)
    exports = operated.folder / "exports"
    exports.mkdir()
    rows = ["area_code,area_name,parent_code,active,tags", "C,Company,,true,", "P,Plant,C,true,", "L,Line,P,true,"]
    (exports / "areas.csv").write_text("\n".join([*rows, "N,New,P,true,"]) + "\n")
    operated.extract("snapshot", table="areas")
    operated.control.configure(feedback_house={"correlation_visible": visible})
    company = make_area(home, correlationID="C", name="Company")
    plant = make_area(home, name="Plant", parent=company)
    make_area(home, name="Line", parent=company)
    line = make_area(home, name="Line", parent=plant, active=False)
    status, told = adopt(command, operated, "units", "--take-over", "--yes")
    assert (status, told["adopted"]) == (0, True)
    assert numbers(told) == ((1, 2, 1, 1) if visible else (0, 3, 1, 1))
    assert set(told["loose"]) == ({"P", "L"} if visible else {"C", "P", "L"})
    assert [one["name"] for one in told["strangers"]] == ["Company > Line"]
    different = {one["key"]: set(one["fields"]) for one in told["differences"]}
    assert (different["P"], different["L"]) == ({"key"}, {"key", "active"})
    assert remote_ids(home) == {"C": company, "P": plant, "L": line}
    assert counts(operated.deliver("units", "snapshot")).get("unchanged", 0) == told["same"]
    areas = operated.control.state("feedback_house")["areas"].values()
    assert len(areas) == 5
    assert {area["correlationID"]: area["id"] for area in areas if area["correlationID"] not in {None, "N"}} == {
        "C": company,
        "P": plant,
        "L": line,
    }


def test_areas_of_one_name_are_not_guessed(deploy: Any, command: Command, home: Home) -> None:
    """Where two areas could be ours, neither is taken, and it is said."""
    operated = deploy(areas=AREAS, units=UNITS)
    exports = operated.folder / "exports"
    exports.mkdir()
    (exports / "areas.csv").write_text("area_code,area_name,parent_code,active,tags\nC,Company,,true,\n")
    operated.extract("snapshot", table="areas")
    for _ in range(2):
        make_area(home, name="Company")
    _, told = adopt(command, operated, "units")
    assert (told["only_here"], told["only_there"], list(told["unclear"])) == (1, 2, ["C"])


def make_area(home: Home, **fields: Any) -> str:
    """Somebody makes an area; returns its id."""
    body = {"areas": [{"active": True, "allowCandidatesApply": False, **fields}]}
    return by_hand(home, "feedback_house", "POST", "/planning/area/v1/update-or-create", body)["data"][0]["id"]


def remote_ids(home: Home) -> dict[str, str | None]:
    """The API's own ids, as the ledger has them."""
    ledger = Ledger(home.ledger_url)
    try:
        with ledger.reading() as connection:
            rows = connection.exec_driver_sql("select key, remote_id from state").all()
    finally:
        ledger.close()
    return dict(map(tuple, rows))


def test_mode_dry_reads_nothing(write: Write, home: Home, server: SandboxServer, command: Command) -> None:
    """A dry sync reaches no account: the command tells what a look would cost, and takes no choice."""
    operated = Operated(write({"readings": READINGS, "board": BOARD.replace("sandbox", "dry")}), home, server.control)
    operated.export(DAY, ROWS)
    said = command("adopt", "board", "--folder", operated.folder)
    assert said.status == 1
    assert "about 4 requests" in said.err
    assert command("adopt", "board", "--take-over", "--yes", "--folder", operated.folder).status == 2
    assert server.control.counts("stativate")["requests"] == 0


def refused(command: Command, board: Operated, *options: str) -> Said:
    """A call that asks for something impossible."""
    said = command("adopt", "board", *options, "--folder", board.folder)
    assert said.status == 2
    return said


def test_what_cannot_be_meant_is_refused(board: Operated, command: Command) -> None:
    """Two choices, nobody to confirm one, or a table that was never extracted: a sentence, and nothing is read."""
    assert "exclude each other" in refused(command, board, "--keep", "--take-over", "--yes").err
    assert "--yes" in refused(command, board, "--keep").err
    for file in (board.home.path / "store" / "readings_valid").glob("*.parquet"):
        file.unlink()
    assert "Materialize readings first" in refused(command, board, "--keep", "--yes").err
    assert board.control.counts("stativate")["requests"] == 0


@pytest.mark.parametrize(
    ("windows", "share", "seconds"),
    [
        ((), 1.0, None),
        ((Window(1, 1.0),), 1.0, 145.0),
        ((Window(5, 1.0), Window(100, 3600.0)), 1.0, 5220.0),
        ((Window(10, 1.0),), 0.5, 29.0),
    ],
)
def test_how_long_a_look_takes(windows: tuple[Window, ...], share: float, seconds: float | None) -> None:
    """The slowest of an account's limits decides, and the sync's share of it."""
    assert seconds_for(145, Limits(windows), share) == seconds
