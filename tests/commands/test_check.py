"""`pipelines check`: a line per table, sync and account, each with what to do, and never a stack trace."""

from __future__ import annotations

import pytest

from pipelines.home import Home
from pipelines.sandbox import SandboxServer
from tests.commands.conftest import BOARD, TABLE, Command
from tests.components.conftest import Write
from tests.components.deploying import READS_YAML, move_sandbox

pytestmark = READS_YAML


def test_all_is_well(write: Write, command: Command, home: Home, server: SandboxServer) -> None:
    """Exit 0, and a line each: names, definitions, the table's source, the sync, the account's own answer."""
    said = command("check", "--folder", write({"readings": TABLE, "board": BOARD}))
    assert said.status == 0
    assert said.line("✓ deployment") == "✓ deployment: 1 tables, 1 syncs"
    assert said.line("✓ definitions") == "✓ definitions: load"
    assert said.line("✓ table readings").startswith("✓ table readings: sample/kpi_readings.parquet: ")
    assert said.line("✓ sync board") == "✓ sync board: mode sandbox"
    assert f"✓ account stativate (sandbox): {server.url}/stativate/v1 answered 200 in " in said.out
    assert len(said.out.splitlines()) == 5


def test_the_sample_deployment_is_fit_to_run(command: Command, home: Home) -> None:
    """Without a folder it is the package's own deployment that is checked, with every account at the sandbox."""
    said = command("check")
    assert said.status == 0, said.out
    assert "✓ sync shop_floor: mode sandbox" in said.out
    assert "✓ account valuestreamer (sandbox): " in said.out


def test_a_sandbox_that_is_down(write: Write, command: Command, home: Home) -> None:
    """Nothing listens: exit 1, the address, and the command that starts it."""
    url = move_sandbox(home)
    said = command("check", "--folder", write({"readings": TABLE, "board": BOARD}))
    assert said.status == 1
    line = said.line("✗")
    assert line.startswith(f"✗ account stativate (sandbox): {url}/stativate/v1 cannot be reached: ")
    assert line.endswith("Start the sandbox with `pipelines sandbox`.")


def test_a_sandbox_that_never_was(write: Write, command: Command, empty_home: Home) -> None:
    """A new home: exit 1 and the command that starts a sandbox."""
    said = command("check", "--folder", write({"readings": TABLE, "board": BOARD}))
    assert said.status == 1
    assert "was never started. Run `pipelines sandbox`" in said.line("✗ account stativate (sandbox)")


def test_wrong_credentials(
    write: Write, command: Command, home: Home, server: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """401: the API's words and the settings to check, without the key."""
    monkeypatch.setenv("STATIVATE_URL", f"{server.url}/stativate/v1")
    monkeypatch.setenv("STATIVATE_API_KEY", "hush-hush-key")
    said = command("check", "--folder", write({"readings": TABLE, "board": BOARD}))
    assert said.status == 1
    line = said.line("✗ account stativate (sandbox)")
    assert f"{server.url}/stativate/v1/checkAuth answered 401" in line
    assert line.endswith("Check the settings STATIVATE_...")
    assert "hush-hush-key" not in said.out + said.err


STATUSES = """type: pipelines.DnsimpleSync
attributes:
  name: statuses
  table: readings
  account: dnsimple
  mode: sandbox
  resource: "domain:{actual:integer}"
  state: ok
"""
AREAS = """type: pipelines.FeedbackHouseSync
attributes: {name: org, table: areas, account: feedback_house, mode: sandbox}
"""
AREA_TABLE = """type: pipelines.AreaTable
attributes: {name: areas, source: {files: "sample/areas.parquet"}}
"""


def test_another_account_of_the_token(
    write: Write, command: Command, home: Home, server: SandboxServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The credentials are right and the number in the paths is not: every write would be refused."""
    monkeypatch.setenv("DNSIMPLE_URL", f"{server.url}/dnsimple/v2")
    monkeypatch.setenv("DNSIMPLE_TOKEN", "sandbox")
    monkeypatch.setenv("DNSIMPLE_ACCOUNT", "2020")
    said = command("check", "--folder", write({"readings": TABLE, "statuses": STATUSES}))
    assert said.status == 1
    assert "DNSIMPLE_ACCOUNT is 2020, but the token belongs to account 1010" in said.line("✗")


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (
            {"body": {"status": "ERROR", "message": "API key disabled"}},
            "it is no page of areas: 200 OK: API key disabled.",
        ),
        ({"html": "<html>Please log in</html>"}, "by an HTML page: did the API itself answer?"),
    ],
)
def test_a_success_that_is_none(
    write: Write, command: Command, home: Home, server: SandboxServer, params: dict[str, object], words: str
) -> None:
    """A 200 proves nothing by itself: what it says is judged by the destination."""
    fault = {"api": "feedback_house", "method": "GET", "kind": "status", "params": {"code": 200, **params}}
    server.control.add_faults(fault)
    try:
        said = command("check", "--folder", write({"areas": AREA_TABLE, "org": AREAS}))
    finally:
        server.control.clear_faults()
    assert said.status == 1
    assert said.line("✗").endswith(f"was answered, but {words} Check the settings FEEDBACK_HOUSE_...")


def test_a_missing_setting_of_a_live_account(write: Write, command: Command, home: Home) -> None:
    """`mode: live` takes nothing from the sandbox: the variable that is missing is named."""
    said = command("check", "--folder", write({"readings": TABLE, "board": BOARD.replace("sandbox", "live")}))
    assert said.status == 1
    assert said.line("✗").startswith("✗ account stativate (live): account stativate: STATIVATE_API_KEY is not set.")


def test_a_dry_sync_needs_no_account(write: Write, command: Command, empty_home: Home) -> None:
    """`mode: dry` sends nothing, so no account is asked."""
    said = command("check", "--folder", write({"readings": TABLE, "board": BOARD.replace("sandbox", "dry")}))
    assert said.status == 0
    assert "account" not in said.out


def test_a_source_column_that_is_missing(write: Write, command: Command, home: Home) -> None:
    """The line names the file, the table, the column, and the closest one that is there."""
    said = command("check", "--folder", write({"readings": TABLE.replace("actual: value", "actual: valeu")}))
    assert said.status == 1
    line = said.line("✗ table readings: livedeployment/defs/readings/defs.yaml: table readings: ")
    assert "has no column 'valeu'" in line
    assert "Did you mean 'value'?" in line


@pytest.mark.parametrize(
    ("wrong", "field", "column", "hint"),
    [
        ('"{kpi_nam} {team}"', "label", "kpi_nam", "Did you mean kpi_name"),
        ('"{[/red]}"', "label", "[/red]", "There are: "),
    ],
)
def test_an_unknown_column_in_a_template(
    wrong: str, field: str, column: str, hint: str, write: Write, command: Command, home: Home
) -> None:
    """The line names the file, the sync, the field, the column as it is written, and the closest one that is there."""
    board = BOARD.replace('"{kpi_name} {team}"', wrong)
    said = command("check", "--folder", write({"readings": TABLE, "board": board}))
    assert said.status == 1
    line = said.line("✗ sync board: livedeployment/defs/board/defs.yaml: ")
    assert f'sync board, {field}: there is no column "{column}". ' in line
    assert hint in line


def test_a_wrong_field_is_one_line(write: Write, command: Command, home: Home) -> None:
    """What cannot be read is one line with file, line and field; the rest is not tried."""
    said = command("check", "--folder", write({"readings": TABLE, "board": BOARD + "  colour: 5\n"}))
    assert said.status == 1
    where = "livedeployment/defs/board/defs.yaml:10"
    words = "colour: there is no such field; did you mean color? Correct the file."
    assert said.out.splitlines() == [f"✗ deployment: {where}: {words}"]
    assert said.err == ""


def test_a_sync_without_its_table(write: Write, command: Command, home: Home) -> None:
    """Names that do not fit are one line with the file; sources and accounts are checked all the same."""
    board = BOARD.replace("table: readings", "table: reading")
    said = command("check", "--folder", write({"readings": TABLE, "board": board}))
    assert said.status == 1
    assert said.line("✗").startswith("✗ deployment: livedeployment/defs/board/defs.yaml: sync board, field table: ")
    assert said.line("✓ table readings")
    assert said.line("✓ account stativate (sandbox)")


def readings_of(text: str) -> str:
    """The table over a CSV file."""
    return text.replace("sample/kpi_readings.parquet", "readings.csv")


def test_rows_without_a_date_are_a_warning(write: Write, command: Command, home: Home) -> None:
    """Some rows that belong to no partition stop nothing and are said, with what stands there."""
    folder = write({"readings": readings_of(TABLE)})
    lines = ["reading_date,team_code,kpi_code,value", "2013-01-01,T,K,1", "01.02.2013,T,K,2"]
    (folder / "readings.csv").write_text("\n".join(lines))
    said = command("check", "--folder", folder)
    assert said.status == 0
    assert said.line("✓ table readings").endswith(" columns, dates from 2013-01-01 to 2013-01-01")
    assert said.line("!").startswith("! table readings: 1 rows have no date that can be read: '01.02.2013'. ")


def test_a_table_in_which_no_row_has_a_date(write: Write, command: Command, home: Home) -> None:
    """No row could ever be delivered: a fault, with the field that reads such dates."""
    folder = write({"readings": readings_of(TABLE)})
    (folder / "readings.csv").write_text("reading_date,team_code,kpi_code,value\n01.02.2013,T,K,2\n")
    said = command("check", "--folder", folder)
    assert said.status == 1
    assert "none of the 1 rows of readings.csv has a date that can be read" in said.line("✗ table readings")
    assert "date_format" in said.line("✗ table readings")


def test_an_unknown_column_in_a_condition(write: Write, command: Command, home: Home) -> None:
    """`where` is checked like every other field that names columns, before any row is read."""
    board = BOARD + "  where: \"kpii = 'departures'\"\n"
    said = command("check", "--folder", write({"readings": TABLE, "board": board}))
    assert said.status == 1
    line = said.line("✗ sync board: livedeployment/defs/board/defs.yaml: ")
    assert 'sync board, where: there is no column "kpii". Did you mean kpi' in line


def test_an_unknown_function_in_a_condition(write: Write, command: Command, home: Home) -> None:
    """What is wrong whatever the columns are is said when the files are read, with file and line."""
    board = BOARD + "  where: \"starswith(kpi, 'dep')\"\n"
    said = command("check", "--folder", write({"readings": TABLE, "board": board}))
    assert said.status == 1
    assert said.line("✗").startswith("✗ deployment: livedeployment/defs/board/defs.yaml:10: where: ")
    assert "starswith does not exist" in said.out
