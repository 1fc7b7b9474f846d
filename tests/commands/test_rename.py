"""`pipelines ledger rename`: a sync that got another name finds its keys again."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from pipelines.home import Home
from pipelines.sandbox import SandboxServer
from tests.commands.conftest import BOARD, Command
from tests.commands.operating import DAY, READINGS, Operated, counts
from tests.components.conftest import Write
from tests.components.deploying import READS_YAML

pytestmark = READS_YAML

ROWS = [("EWR-AA", "departures", 10), ("JFK-B6", "departures", 40)]


@pytest.fixture
def renamed(write: Write, home: Home, server: SandboxServer) -> Operated:
    """A deployment whose sync `board` has delivered two keys, and is called `wall` since."""
    folder = write({"readings": READINGS, "board": BOARD})
    before = Operated(folder, home, server.control)
    before.export(DAY, ROWS)
    assert counts(before.deliver("board")) == {"accepted": 2}
    rename_in_file(folder, "board", "wall")
    return Operated(folder, home, server.control)


def rename_in_file(folder: Path, old: str, new: str) -> None:
    file = folder / "defs" / "board" / "defs.yaml"
    file.write_text(file.read_text().replace(f"name: {old}", f"name: {new}"))


def test_a_renamed_sync_is_told_how_to_get_its_keys_and_gets_them(renamed: Operated, command: Command) -> None:
    """Its rows are invalid and name the command; after it nothing that is unchanged is sent again."""
    refused = renamed.deliver("wall")
    assert counts(refused) == {"invalid": 2}
    ((_, reason),) = refused.report.reasons[DAY]
    assert "the key belongs to the sync board" in reason
    assert "`pipelines ledger rename board wall`" in reason

    said = command("ledger", "rename", "board", "wall", "--yes", "--folder", renamed.folder)
    assert said.status == 0
    assert said.out.startswith("At account stativate, board has 2 keys, 0 open, 0 attempted without an answer, ")
    assert "what is unchanged is not sent again" in said.out
    renamed.control.reset_counts()
    assert counts(renamed.deliver("wall")) == {"unchanged": 2}
    assert renamed.control.counts("stativate")["requests"] == 0
    told = orjson.loads(command("ledger", "decisions", "--about", "wall", "--json").out)["decisions"]
    assert [one["what"] for one in told] == ["rename"]


def test_nothing_changes_until_somebody_says_yes(renamed: Operated, command: Command) -> None:
    """The counts are shown first; without a terminal to ask at, --yes is needed."""
    said = command("ledger", "rename", "board", "wall", "--folder", renamed.folder)
    assert said.status == 2
    assert "board has 2 keys" in said.out
    assert "Say --yes where no terminal is" in said.err
    assert counts(renamed.deliver("wall")) == {"invalid": 2}


def test_a_sync_that_is_still_there_keeps_its_keys(renamed: Operated, command: Command) -> None:
    """The old name is a sync of the deployment: two syncs claim the keys, and no command takes them from the first."""
    rename_in_file(renamed.folder, "wall", "board")
    other = renamed.folder / "defs" / "other"
    other.mkdir()
    (other / "defs.yaml").write_text(BOARD.replace("name: board", "name: wall"))
    said = command("ledger", "rename", "board", "wall", "--yes", "--folder", renamed.folder)
    assert said.status == 2
    assert "the sync board is still in the deployment" in said.err


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("bord", "wall", "holds nothing of a sync bord at account stativate. Keys there belong to board, which the"),
        ("board", "wal", 'there is no sync "wal". Did you mean wall?'),
    ],
)
def test_a_misspelt_name_is_told(old: str, new: str, words: str, renamed: Operated, command: Command) -> None:
    """A name that nobody has is an error with the one that was meant."""
    said = command("ledger", "rename", old, new, "--yes", "--folder", renamed.folder)
    assert said.status == 2
    assert words in said.err


def test_adopt_tells_of_keys_under_a_former_name(renamed: Operated, command: Command) -> None:
    """Whoever looks at the account under the new name is told of the command as well."""
    said = command("adopt", "wall", "--folder", renamed.folder)
    assert "2 keys were delivered by another sync and stay invalid here" in said.out
    assert (
        "board is no sync of this deployment. If wall is its new name: `pipelines ledger rename board wall`" in said.out
    )
