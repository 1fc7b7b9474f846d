"""`pipelines status`: a morning in one screen."""

from __future__ import annotations

import os
import time
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from pipelines.delivery.ledger import Ledger
from pipelines.delivery.ledger.people import hold
from pipelines.home import Home
from pipelines.instance import prepare_instance
from tests.commands.conftest import BOARD, TABLE, Command
from tests.components.conftest import Write
from tests.components.deploying import READS_YAML

pytestmark = READS_YAML
TOLD = """type: pipelines.Operations
attributes:
  ui_url: https://dagster.example.com
  webhook_env: HOOK
  alerts: true
"""


@pytest.fixture
def folder(write: Write) -> Path:
    return write({"readings": TABLE, "board": BOARD, "told": TOLD})


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No Dagster instance of whoever runs the tests is looked at."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)


@pytest.mark.usefixtures("elsewhere")
def test_a_new_deployment_has_a_screen_and_is_well(folder: Path, empty_home: Home, command: Command) -> None:
    """Before the first run, without ledger or instance: a line per sync, exit 0, and nothing is made."""
    said = command("status", "--folder", folder)
    assert said.status == 0
    assert "1 green" in said.out
    assert "daemon: never seen" in said.out
    assert "board (sandbox)" in said.out
    assert not empty_home.path.exists()


@pytest.mark.usefixtures("elsewhere")
def test_what_is_red_is_said_with_its_next_command(folder: Path, empty_home: Home, command: Command) -> None:
    """Colour, reason, age and command, each on a line that can be copied; exit 1, for scripts."""
    with closing(Ledger(empty_home.ledger_url)) as ledger, ledger.engine.begin() as connection:
        hold(ledger, connection, "board", "repairs", time.time() - 3 * 86_400 - 60)
    said = command("status", "--folder", folder)
    assert said.status == 1
    assert said.line("● 1 red")
    assert said.line("● red board: held by").endswith(": repairs (since 3 d)")
    assert said.line("  next: ") == "  next: pipelines release board"


@pytest.mark.usefixtures("elsewhere")
def test_programs_read_the_same_as_json(folder: Path, empty_home: Home, command: Command) -> None:
    """Colours, newest partition, problems with their next command, owners, daemon: all by name."""
    with closing(Ledger(empty_home.ledger_url)) as ledger, ledger.engine.begin() as connection:
        hold(ledger, connection, "board", "repairs", 0.0)
    said = command("status", "--json", "--folder", folder)
    assert said.status == 1
    told = orjson.loads(said.out)
    assert (told["colour"], told["daemon"]["seen"], told["problems"]) == ("red", None, [])
    (sync,) = told["syncs"]
    assert (sync["sync"], sync["colour"], sync["next"]) == ("board", "red", "pipelines release board")
    assert sync["owners"] == ["team:data-platform"]
    assert sync["newest"]["state"] == "not yet"
    (problem,) = sync["problems"]
    assert problem["since"] == "1970-01-01T00:00:00+00:00"


@pytest.mark.usefixtures("elsewhere")
def test_two_files_that_say_what_is_told_are_refused(write: Write, empty_home: Home, command: Command) -> None:
    """Both are named, so that one can be taken away."""
    folder = write({"readings": TABLE, "board": BOARD, "told": TOLD, "also": TOLD})
    said = command("status", "--folder", folder)
    assert said.status == 2
    assert "defs/also/defs.yaml" in said.err
    assert "defs/told/defs.yaml" in said.err


@pytest.mark.usefixtures("elsewhere")
def test_the_instance_that_ships_is_looked_into(folder: Path, empty_home: Home, command: Command) -> None:
    """It is the home's own, whether or not DAGSTER_HOME is set; what it says of where its files are is not needed."""
    prepare_instance(empty_home, {})
    said = command("status", "--folder", folder)
    assert (said.status, said.err) == (0, "")
    assert "DAGSTER_HOME" not in os.environ


@pytest.mark.usefixtures("elsewhere")
def test_an_instance_that_cannot_be_opened_is_a_sentence(folder: Path, empty_home: Home, command: Command) -> None:
    """Its folder is named, and what to mend."""
    empty_home.dagster.mkdir(parents=True)
    (empty_home.dagster / "dagster.yaml").write_text("storage: nowhere\n")
    said = command("status", "--folder", folder)
    assert said.status == 2
    assert "cannot be opened" in said.err
    assert str(empty_home.dagster) in said.err.replace(" ", "")
