"""`pipelines acknowledge`: somebody puts up with what is red."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.commands.status import home_instance
from pipelines.components.deployment import load_deployment
from pipelines.home import Home
from pipelines.instance import prepare_instance
from pipelines.sandbox import SandboxServer
from tests.commands.conftest import BOARD, TABLE, Command
from tests.components.conftest import Write
from tests.components.deploying import READS_YAML, Deployment, move_sandbox

pytestmark = READS_YAML
DAY = "2013-01-01"


@pytest.fixture
def folder(write: Write, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table and a sync; no Dagster instance of whoever runs the tests is looked at."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return write({"readings": TABLE, "board": BOARD})


def test_a_day_that_nobody_will_mend_is_put_up_with(
    folder: Path, home: Home, server: SandboxServer, command: Command
) -> None:
    """Red with its run; acknowledged, green and listed; withdrawn, red again."""
    prepare_instance(home, {})
    move_sandbox(home)
    with home_instance(home, {}) as instance:
        assert instance is not None
        deployment = Deployment(load_deployment(folder), instance, home, folder, server.control)
        assert deployment.extract(DAY, table="readings").success
        failed = deployment.deliver("board", DAY).result.run_id
    said = command("status", "--folder", folder)
    assert (said.status, f"  run:  {failed}" in said.out) == (1, True)
    assert command("acknowledge", "board", DAY, "--folder", folder).status == 2
    span = "2013-01-01...2013-01-31"
    done = command("acknowledge", "board", span, "--reason", "the plant was sold", "--folder", folder)
    assert (done.status, done.line("Acknowledged for board: ")[:35]) == (0, f"Acknowledged for board: {DAY}.")
    said = command("status", "--folder", folder)
    assert said.status == 0
    assert f"acknowledged: board: {DAY}: the plant was sold (" in said.out
    again = command("acknowledge", "board", DAY, "--reason", "sold", "--folder", folder)
    assert again.status == 2
    assert f"sync board is not red for {DAY}; it is for no partition" in again.err
    assert command("acknowledge", "board", DAY, "--withdraw", "--folder", folder).status == 0
    assert command("acknowledge", "board", DAY, "--withdraw", "--folder", folder).status == 1
    assert command("status", "--folder", folder).status == 1


@pytest.mark.usefixtures("empty_home")
def test_what_is_no_partition_is_refused(folder: Path, command: Command) -> None:
    """Also a sync that there is not; each is named."""
    for sync, partitions, named in (
        ("bord", DAY, "board"),
        ("board", "yesterday", "'yesterday' is no daily partition"),
    ):
        said = command("acknowledge", sync, partitions, "--reason", "sold", "--folder", folder)
        assert said.status == 2
        assert named in said.err
