"""`pipelines check`: a line per table, sync and account, each with what to do, and never a stack trace."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from pipelines.delivery.ledger import Ledger, Record, Run
from pipelines.delivery.upsert import Outcome, Verdict
from pipelines.home import Home
from pipelines.sandbox import SandboxServer
from tests.commands.conftest import BOARD, TABLE, Command
from tests.components.conftest import Write
from tests.components.deploying import READS_YAML, move_sandbox
from tests.delivery.fakes import upsert

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
    assert said.line("✓ home") == f"✓ home: {home.path}"
    assert said.line("✓ ledger") == f"✓ ledger: sqlite:///{home.path}/ledger.db can be written"
    assert said.line("✓ store") == f"✓ store: {home.path}/store can be written"
    assert len(said.out.splitlines()) == 8
    assert [path.name for path in home.path.iterdir()] == ["sandbox.json"]


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
SHARED = STATUSES.replace("account: dnsimple", "account: stativate")
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


def test_a_home_that_is_a_file(
    write: Write, command: Command, empty_home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The variable and the file are named; what lies in the home is not tried."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("PIPELINES_HOME", str(tmp_path / "file"))
    said = command("check", "--folder", write({"readings": TABLE, "board": BOARD.replace("sandbox", "dry")}))
    assert said.status == 1
    assert said.line("✗") == (
        f"✗ home: PIPELINES_HOME names {tmp_path}/file, which is a file. Name a folder; it is made where it is missing."
    )


def test_a_ledger_and_a_store_that_cannot_be_written(
    write: Write, command: Command, empty_home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each is a line with its address and what to check."""
    (tmp_path / "broken.db").write_text("this is no database, though it is long enough to be taken for one" * 20)
    (tmp_path / "file").touch()
    monkeypatch.setenv("PIPELINES_LEDGER_URL", f"sqlite:///{tmp_path}/broken.db")
    monkeypatch.setenv("PIPELINES_STORE_URL", str(tmp_path / "file" / "store"))
    said = command("check", "--folder", write({"readings": TABLE, "board": BOARD.replace("sandbox", "dry")}))
    assert said.status == 1
    assert f"the ledger at sqlite:///{tmp_path}/broken.db is no usable database" in said.line("✗ ledger: ")
    assert f"the partition store at {tmp_path}/file/store cannot be written: " in said.line("✗ store: ")
    assert "Check PIPELINES_HOME and PIPELINES_STORE_URL" in said.line("✗ store: ")


def test_a_live_account_that_moved(
    write: Write, command: Command, empty_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address that is not the ledger's is told before the first run is, and nothing is asked there."""
    monkeypatch.setenv("STATIVATE_URL", "https://127.0.0.1:9/v1")
    monkeypatch.setenv("STATIVATE_API_KEY", "key")
    with closing(Ledger(empty_home.ledger_url)) as ledger:
        ledger.scope("stativate", "live", "another", "", 1.0)
        content = Path(f"{empty_home.path}/ledger.db").read_bytes()
        said = command("check", "--folder", write({"readings": TABLE, "board": BOARD.replace("sandbox", "live")}))
        assert Path(f"{empty_home.path}/ledger.db").read_bytes() == content
    assert said.status == 1
    line = said.line("✗ account stativate (live): account stativate: its address is not the one that the ledger's")
    assert "pipelines confirm stativate --same-tenant" in line


def test_keys_of_a_sync_that_is_gone(write: Write, command: Command, home: Home) -> None:
    """Keys under a name that the deployment does not have are told, with the command that hands them over."""
    with closing(Ledger(home.ledger_url)) as ledger:
        scope = ledger.scope("stativate", "sandbox", "x", "", 1.0)
        delivered = [Record(upsert("k", 1), Verdict(Outcome.ACCEPTED))]
        with ledger.engine.begin() as connection:
            ledger.record(connection, scope, Run("run", "old_board", "config"), delivered, 2.0)
    said = command("check", "--folder", write({"readings": TABLE, "board": BOARD}))
    assert said.status == 0
    assert said.line("! ledger").startswith("! ledger: account stativate: old_board is no sync of this deployment.")
    assert "`pipelines ledger rename old_board board`" in said.line("! ledger")


def test_variables_that_nothing_reads(
    write: Write, command: Command, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A misspelt setting of an account or of the package is a warning with the nearest one; others' are left alone."""
    monkeypatch.setenv("STATIVATE_APIKEY", "hush")
    monkeypatch.setenv("STATIVAT_RATE_FILE", "x")
    monkeypatch.setenv("PIPELINES_HOM", "x")
    monkeypatch.setenv("STATIVATE_WORD", "x")
    monkeypatch.setenv("SOMETHING_ELSE", "x")
    board = BOARD.replace('"{kpi_name} {team}"', '"{kpi_name} {team} {{ env.STATIVATE_WORD }}"')
    said = command("check", "--folder", write({"readings": TABLE, "board": board}))
    assert said.status == 0
    assert [line for line in said.out.splitlines() if line.startswith("!")] == [
        f"! environment: {name} is no setting of {whose}, and nothing reads it. Did you mean {meant}?"
        for name, whose, meant in (
            ("PIPELINES_HOM", "the package", "PIPELINES_HOME"),
            ("STATIVATE_APIKEY", "account stativate", "STATIVATE_API_KEY"),
            ("STATIVAT_RATE_FILE", "account stativate", "STATIVATE_RATE_FILE"),
        )
    ]


def test_one_name_for_accounts_of_two_apis(write: Write, command: Command, home: Home) -> None:
    """An account is one set of credentials: two APIs under one name would read each other's variables."""
    said = command("check", "--folder", write({"readings": TABLE, "board": BOARD, "statuses": SHARED}))
    assert said.status == 1
    assert "name the same account stativate, which is one of stativate there and of dnsimple here" in said.line("✗")


def test_a_folder_that_is_not_there(command: Command, home: Home, tmp_path: Path) -> None:
    """A misspelt folder is one line."""
    said = command("check", "--folder", tmp_path / "nowhere")
    assert said.status == 1
    assert said.out == f"✗ deployment: there is no folder {tmp_path}/nowhere. Name the folder that holds `defs/`.\n"


def test_a_sqlite_source_that_is_not_there_is_not_made(
    write: Write, command: Command, home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """SQLite makes a missing file when it connects: the check names it and leaves it missing."""
    monkeypatch.setenv("MART_URL", f"sqlite:///{tmp_path}/mart.db")
    table = TABLE.replace('{files: "sample/kpi_readings.parquet"}', "{database_env: MART_URL, table: kpi}")
    said = command("check", "--folder", write({"readings": table}))
    assert said.status == 1
    assert f"the database of MART_URL is no file: {tmp_path}/mart.db. Correct the path" in said.line("✗ table readings")
    assert not (tmp_path / "mart.db").exists()
