"""`pipelines hold` and `pipelines release`: somebody stops a sync, and lets it go on."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import orjson
import pytest

from pipelines.components.deployment import load_deployment
from pipelines.delivery.ledger.people import who
from pipelines.home import Home
from pipelines.sandbox import SandboxServer
from tests.commands.conftest import BOARD, TABLE, Command
from tests.components.conftest import Write
from tests.components.deploying import READS_YAML, Deployment

pytestmark = READS_YAML

DAY = "2013-01-01"
SELECTED = 29


@pytest.fixture
def folder(write: Write) -> Path:
    return write({"readings": TABLE, "board": f"{BOARD}  where: kpi = 'departures'\n"})


def test_a_held_sync_sends_nothing_until_it_is_released(
    folder: Path, home: Home, instance: dg.DagsterInstance, server: SandboxServer, command: Command
) -> None:
    """The run says who holds it since when and why; after the release the same partition is delivered."""
    deployment = Deployment(load_deployment(folder), instance, home, folder, server.control)
    assert deployment.extract(DAY, table="readings").success
    said = command("hold", "board", "--reason", "the plant is closed", "--folder", folder)
    assert said.status == 0
    told = deployment.deliver("board", DAY)
    assert not told.success
    assert f"by {who()}: the plant is closed" in told.failure
    assert "pipelines release board" in told.failure
    assert told.counts("board")[DAY]["not_sent"] == SELECTED
    assert server.control.counts("stativate")["requests"] == 0
    assert command("release", "board").status == 0
    assert deployment.deliver("board", DAY).counts("board")[DAY]["accepted"] == SELECTED


def test_holds_are_written_down(folder: Path, empty_home: Home, command: Command) -> None:
    """Who held and released what, and why, is found later, also where a hold was renewed."""
    command("hold", "board", "--reason", "first", "--folder", folder)
    assert f"by {who()}: first" in command("hold", "board", "--reason", "second", "--folder", folder).out
    command("release", "board")
    told = orjson.loads(command("ledger", "decisions", "--about", "board", "--json").out)["decisions"]
    assert [(one["what"], one["reason"]) for one in told] == [("release", ""), ("hold", "second"), ("hold", "first")]


def test_a_misspelt_sync_is_not_held(folder: Path, empty_home: Home, command: Command) -> None:
    """A hold that would hold nothing back is an error that names the sync that was meant."""
    said = command("hold", "bord", "--reason", "r", "--folder", folder)
    assert said.status == 2
    assert "Did you mean board?" in said.err
    assert command("hold", "board", "--reason", " ", "--folder", folder).status == 2


def test_a_release_of_what_is_not_held_says_what_is(folder: Path, empty_home: Home, command: Command) -> None:
    """Exit 1, and the syncs that are held: the one that was meant is among them."""
    command("hold", "board", "--reason", "repairs", "--folder", folder)
    said = command("release", "bord")
    assert said.status == 1
    assert "bord was not held. Held are: board (since" in said.out
    assert "repairs" in said.out
