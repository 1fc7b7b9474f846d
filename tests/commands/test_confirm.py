"""`pipelines confirm`: a live account at a new address sends nothing until somebody says whose it is."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from pipelines.components.deployment import load_deployment
from pipelines.home import Home
from pipelines.sandbox import SandboxServer
from tests.commands.conftest import BOARD, TABLE, Command
from tests.components.conftest import Write
from tests.components.deploying import READS_YAML, Deployment

pytestmark = READS_YAML

DAY = "2013-01-01"
ROWS = 145
FILTER = "  where: kpi = 'departures'\n"
SELECTED = 29


@pytest.fixture
def folder(write: Write) -> Path:
    """A deployment with a live sync."""
    return write({"readings": TABLE, "board": BOARD.replace("mode: sandbox", "mode: live") + FILTER})


@pytest.fixture
def moved(
    folder: Path,
    home: Home,
    instance: dg.DagsterInstance,
    server: SandboxServer,
    monkeypatch: pytest.MonkeyPatch,
    command: Command,
) -> Deployment:
    """After a delivery to one address the account's URL names another; behind both is the same server."""
    monkeypatch.setenv("STATIVATE_API_KEY", "sandbox")
    monkeypatch.setenv("STATIVATE_RATE", "1000/s")
    monkeypatch.setenv("STATIVATE_URL", f"{server.url}/stativate/v1")
    deployment = Deployment(load_deployment(folder), instance, home, folder, server.control)
    assert deployment.extract(DAY, table="readings").success
    trust(command, folder)
    assert deployment.deliver("board", DAY).success
    monkeypatch.setenv("STATIVATE_URL", f"{server.url.replace('127.0.0.1', 'localhost')}/stativate/v1")
    deployment.control.reset_counts()
    return deployment


def trust(command: Command, folder: Path) -> None:
    """Let the sync write to the account as it is addressed now."""
    assert command("adopt", "board", "--trust-source", "--yes", "--folder", folder).status == 0


def requests(deployment: Deployment) -> int:
    """Requests to Stativate since the address has changed."""
    return deployment.control.counts("stativate")["requests"]


def test_a_changed_address_stops_the_sync(moved: Deployment) -> None:
    """Nothing is sent to a server that may be another tenant's; the sentence gives both commands."""
    told = moved.deliver("board", DAY)
    assert not told.success
    assert "is not the one that the ledger's state was delivered to" in told.failure
    assert "pipelines confirm stativate --same-tenant" in told.failure
    assert "pipelines confirm stativate --new-tenant" in told.failure
    assert requests(moved) == 0


@pytest.mark.parametrize(
    ("answer", "words", "outcome", "sent"),
    [
        ("--same-tenant", "its state applies to it", "unchanged", 0),
        ("--new-tenant", "it starts with an empty state", "accepted", SELECTED),
    ],
)
def test_the_answer_decides_what_is_sent(
    answer: str, words: str, outcome: str, sent: int, moved: Deployment, command: Command, folder: Path
) -> None:
    """The same tenant: what it was told counts, nothing is sent again. Another one is adopted, and told everything."""
    said = command("confirm", "stativate", answer, "--folder", folder)
    assert said.status == 0
    assert "localhost" in said.out
    assert words in said.out
    if answer == "--new-tenant":
        assert "pipelines adopt board" in moved.deliver("board", DAY).failure
        trust(command, folder)
    told = moved.deliver("board", DAY)
    assert told.success
    assert told.counts("board") == {DAY: {"extracted": ROWS, "not_selected": ROWS - SELECTED, outcome: SELECTED}}
    assert requests(moved) == sent


def test_a_second_answer_changes_nothing(moved: Deployment, command: Command, folder: Path) -> None:
    """Confirming twice, also the other way round, neither forgets nor takes over a state."""
    command("confirm", "stativate", "--same-tenant", "--folder", folder)
    said = command("confirm", "stativate", "--new-tenant", "--folder", folder)
    assert said.status == 0
    assert said.out == "stativate: nothing had changed.\n"
    moved.deliver("board", DAY)
    assert requests(moved) == 0


def test_an_account_that_is_not_live_is_named(command: Command, folder: Path, home: Home) -> None:
    """A misspelt account is one sentence, and exit 2."""
    said = command("confirm", "stativat", "--same-tenant", "--folder", folder)
    assert said.status == 2
    assert "no sync in mode live uses an account stativat" in said.err
    assert "Traceback" not in said.err


def test_somebody_has_to_decide(command: Command, folder: Path, home: Home) -> None:
    """Neither answer is the default: without one the command refuses."""
    assert command("confirm", "stativate", "--folder", folder).status == 2


def test_an_error_is_printed_as_it_is(command: Command, folder: Path, home: Home) -> None:
    """Brackets in an error are text, not markup."""
    said = command("confirm", "[/x]", "--same-tenant", "--folder", folder)
    assert said.status == 2
    assert "account [/x]" in said.err
