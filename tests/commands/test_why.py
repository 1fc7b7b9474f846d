"""`pipelines why`: one key's story, from the source to what stands at the account."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from pipelines.delivery.compare import ABSENT, differing, flat
from pipelines.delivery.ledger import Ledger, Run, Scope
from pipelines.home import Home
from pipelines.sandbox import SandboxServer
from tests.commands.conftest import BOARD, Command
from tests.commands.hand import by_hand
from tests.commands.operating import DAY, NEXT, READINGS, Operated
from tests.components.conftest import Write
from tests.components.deploying import READS_YAML, move_sandbox
from tests.delivery.fakes import upsert

pytestmark = READS_YAML

KEY = "departures-EWR-AA"
ROWS = [("EWR-AA", "departures", 10), ("JFK-B6", "departures", 40)]


@pytest.fixture
def operated(write: Write, home: Home, server: SandboxServer) -> Operated:
    """A board of which the first day was delivered."""
    operated = Operated(write({"readings": READINGS, "board": BOARD}), home, server.control)
    operated.export(DAY, ROWS)
    operated.deliver("board", DAY)
    return operated


def tell(command: Command, operated: Operated, key: str = KEY, *options: str) -> tuple[int, dict[str, Any]]:
    """Exit status and story."""
    said = command("why", "board", key, "--folder", operated.folder, "--json", *options)
    return said.status, orjson.loads(said.out)


def test_a_key_that_is_as_it_should_be(operated: Operated, command: Command) -> None:
    """Source row, acceptance, history, the next run's decision and the account agree: exit 0."""
    status, told = tell(command, operated)
    story = told["story"]
    assert (status, told["well"], told["drifted"]) == (0, True, False)
    (source,) = story["said"]["newest"]
    assert (source["partition"], source["rows"], source["payload"]["value"]) == (DAY, [0], "10")
    assert (story["accepted"]["run"], story["accepted"]["as_of"]) == ("run-1", DAY)
    assert [one["new"]["value"] for one in story["deliveries"]] == ["10"]
    assert story["next"] == "nothing: unchanged"
    assert story["fields"]["value"] == {"source": "10", "accepted": "10", "there": "10"}


def test_the_story_in_words(operated: Operated, command: Command) -> None:
    """People read the same as a page: where the value comes from, what was told, and what happens next."""
    operated.export(NEXT, [("EWR-AA", "departures", 12)])
    said = command("why", "board", KEY, "--folder", operated.folder)
    assert said.status == 1
    assert said.line("source ").startswith(f"source    {NEXT} row 0 says so, as of {NEXT}:")
    assert "from run run-1, as of 2013-01-01" in said.line("accepted ")
    assert said.line("next ") == "next      a run over its newest partition would: update it"
    assert said.line("there now").startswith('there now {"name"')
    assert "What the account was told, newest first" in said.out


def test_somebody_else_changed_it(operated: Operated, command: Command) -> None:
    """What stands there is compared field by field with what was accepted: a drift is exit 1 although all is sent."""
    by_hand(operated.home, "stativate", "POST", f"/status-keys/{KEY}", {"value": "77"})
    status, told = tell(command, operated)
    assert (status, told["drifted"]) == (1, True)
    assert told["story"]["fields"]["value"] == {"source": "10", "accepted": "10", "there": "77"}
    assert told["story"]["next"] == "nothing: unchanged"


def test_offline_makes_no_request(operated: Operated, command: Command) -> None:
    """`--offline` tells what ledger and store know, and asks nobody."""
    operated.control.reset_counts()
    status, told = tell(command, operated, KEY, "--offline")
    assert (status, told["story"]["there"]["asked"]) == (0, False)
    assert operated.control.counts("stativate")["requests"] == 0


def test_an_account_that_cannot_be_read_ends_no_story(operated: Operated, command: Command, home: Home) -> None:
    """Where nothing listens, the rest is told all the same, with the reason; it is not well."""
    move_sandbox(home)
    status, told = tell(command, operated)
    assert status == 1
    assert "nothing listens" in told["story"]["there"]["unread"]
    assert told["story"]["said"]["newest"]


def test_an_older_reading_is_superseded(operated: Operated, command: Command) -> None:
    """A key whose newest partition is not stored any more is left alone, and the story says why."""
    operated.export(NEXT, [("EWR-AA", "departures", 12)])
    operated.deliver("board", NEXT)
    for stored in ("readings", "readings_valid"):
        (operated.home.path / "store" / stored / f"{NEXT}.parquet").unlink()
    status, told = tell(command, operated)
    assert (status, told["story"]["next"].split(",")[0]) == (0, "nothing: superseded")


def test_a_rejection_is_told_with_its_words(operated: Operated, command: Command) -> None:
    """An open outcome stands there with the API's words and tries; parked, the next run does not send it."""
    operated.control.add_faults(
        {"api": "stativate", "method": "POST", "kind": "status", "times": None, "params": {"code": 400}}
    )
    operated.export(NEXT, [("EWR-AA", "departures", 12)])
    for _ in range(3):
        operated.deliver("board", NEXT)
    operated.control.clear_faults()
    status, told = tell(command, operated)
    still_open = told["story"]["still_open"]
    assert (status, still_open["outcome"], still_open["tries"], still_open["parked"]) == (1, "rejected", 3, True)
    assert "parked after 3 rejections" in told["story"]["next"]
    assert "rejected, parked (400)" in command("why", "board", KEY, "--folder", operated.folder).line("open ")


def test_a_hold_and_an_attempt_without_answer_are_told(operated: Operated, command: Command) -> None:
    """What keeps a key from being settled is part of its story."""
    operated.export(NEXT, [("EWR-AA", "departures", 12)])
    command("hold", "board", "--reason", "repairs", "--folder", operated.folder)
    ledger = Ledger(operated.home.ledger_url)
    with ledger.engine.begin() as connection:
        (scope,) = {row.scope for row in connection.exec_driver_sql("select scope from state")}
        ledger.begin(connection, Scope(scope, "stativate", "sandbox"), Run("dead", "board", ""), [upsert(KEY, 1)], 0.0)
    ledger.close()
    said = command("why", "board", KEY, "--folder", operated.folder)
    assert said.status == 1
    assert "by run dead, without an answer" in said.line("attempted")
    assert said.line("held").endswith("repairs")
    assert "not update it: held since" in said.line("next")


def test_rows_that_make_no_upsert_are_told(operated: Operated, command: Command) -> None:
    """A key that does not move since its row is invalid or in quarantine is explained by that row."""
    operated.export(NEXT, [("EWR-AA", "departures", ""), ("JFK-B6", "departures", 1), ("JFK-B6", "departures", 2)])
    _, told = tell(command, operated)
    assert told["story"]["said"]["dropped"][0]["outcome"] == "invalid"
    assert told["story"]["said"]["dropped"][0]["partition"] == NEXT
    _, other = tell(command, operated, "departures-JFK-B6")
    assert other["story"]["said"]["quarantined"] == [[NEXT, [1, 2]]]
    said = command("why", "board", "departures-JFK-B6", "--folder", operated.folder)
    assert f"{NEXT} row 1, 2 is in quarantine" in said.out


def test_an_unknown_key_is_answered_with_its_like(operated: Operated, command: Command) -> None:
    """A misspelt key is no story: exit 1, and the delivered keys that contain it."""
    said = command("why", "board", "DEPARTURES", "--folder", operated.folder)
    assert said.status == 1
    assert "Nothing is known of the key DEPARTURES" in said.out
    assert KEY in said.out


def test_objects_in_lists_are_compared_by_their_first_text() -> None:
    """Values of a dataset are compared by their id, in whatever order they stand."""
    here = {"values": [{"id": "a", "value": 1}, {"id": "b", "value": 2}], "tags": ["x"], "none": None}
    there = {"values": [{"id": "b", "value": 2}, {"id": "a", "value": 3}], "tags": ["x"]}
    assert flat(here) == {"values[a].value": 1, "values[b].value": 2, "tags": ["x"], "none": None}
    assert differing(here, there) == {"values[a].value": (1, 3), "none": (None, ABSENT)}
