"""A deployment's files: what is wrong in them is said with file, line and field, and YAML means what Python means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from jsonschema import Draft202012Validator

from pipelines.components.deployment import build_deployment, load_deployment, read_deployment
from pipelines.components.stativate import StativateSync
from pipelines.delivery.errors import ConfigurationError, MissingSetting
from pipelines.destinations.stativate import StativateSpec
from pipelines.tables.spec import TableSpec
from tests.components.conftest import Write
from tests.components.deploying import READS_YAML

pytestmark = READS_YAML

TABLE = """type: pipelines.KpiTable
attributes:
  name: readings
  source: {files: "exports/kpi_{date}.csv"}
  catalogues: {kpi: "sample/kpis.parquet", team: "sample/teams.parquet"}
  start: "2013-01-01"
  timezone: America/New_York
  columns: {date: reading_date, team: team_code, kpi: kpi_code, actual: value}
  schedule: {at: "05:30", lookback: 7}
"""
BOARD = """type: pipelines.StativateSync
attributes:
  name: board
  table: readings
  account: stativate
  mode: sandbox
  key: "{kpi}-{team}"
  label: "{kpi_name} {team}"
  value: {column: actual, format: compact}
  color: {column: actual, steps: [{for: {kpi: [on_time_pct]}, below: 80, color: 1}], otherwise: 5}
"""
TABLE_FILE, BOARD_FILE = (f"livedeployment/defs/{name}/defs.yaml" for name in ("readings", "board"))


def said(folder: Path) -> str:
    """The sentence with which loading the deployment fails."""
    with pytest.raises(ConfigurationError) as failed:
        load_deployment(folder)
    return str(failed.value)


WRONG_BOARDS = {
    "a field that does not exist": (
        "  key:",
        "  colour: 5\n  key:",
        f"{BOARD_FILE}:7: colour: there is no such field; ",
    ),
    "a word that is none of those": (
        "mode: sandbox",
        "mode: prod",
        f"{BOARD_FILE}:6: mode: must be 'sandbox', 'dry' or 'live'. Correct",
    ),
    "a word that is nearly one of those": (
        "mode: sandbox",
        "mode: sandbx",
        f"{BOARD_FILE}:6: mode: must be 'sandbox', 'dry' or 'live'; did you mean sandbox? Correct",
    ),
    "a field that is missing": ("  account: stativate\n", "", f"{BOARD_FILE}:2: account: must be given"),
    "a template that cannot be read": (
        '"{kpi}-{team}"',
        '"{kpi-{team}"',
        f'{BOARD_FILE}:7: key: the template "{{kpi-{{team}}" has a brace without its twin',
    ),
    "a format that does not exist": ("compact", "compakt", 'there is no format "compakt". Did you mean compact?'),
    "a colour that does not exist": (
        "otherwise: 5",
        "otherwise: 15",
        f"{BOARD_FILE}:10: color.otherwise: 15 is",
    ),
    "a table that does not exist": (
        "table: readings",
        "table: reading",
        f'{BOARD_FILE}: sync board, field table: there is no table "reading". Did you mean readings?',
    ),
    "double braces around a column": (
        "{kpi_name} {team}",
        "{{kpi_name}} {team}",
        f"{BOARD_FILE}:8: label: '{{{{kpi_name}}}} {{team}}' cannot be filled in: there is no 'kpi_name'. In ",
    ),
    "a field within a field": (
        "format: compact",
        "formt: compact",
        f"{BOARD_FILE}:9: value.formt: there is no such field; did you mean format?",
    ),
    "a text that YAML takes for something else": (
        'label: "{kpi_name} {team}"',
        "label: no",
        f"{BOARD_FILE}:8: label: must be a text: put it in quotation marks, since YAML takes yes, no, on and off for",
    ),
    "broken YAML": ("otherwise: 5}", "otherwise: 5", f"{BOARD_FILE}:11: this is no YAML: "),
    "a tab": ("  key:", "\tkey:", f"{BOARD_FILE}:7: this is no YAML: a tab stands where only spaces may stand"),
    "a field twice": ("  key:", "  mode: live\n  key:", f"{BOARD_FILE}:7: mode stands here twice, of which only the"),
    "a component that does not exist": (
        "StativateSync",
        "StativteSync",
        f'{BOARD_FILE}:1: type: there is no component "pipelines.StativteSync"; did you mean pipelines.StativateSync?',
    ),
    "a component without its package": (
        "pipelines.StativateSync",
        "StativateSync",
        f'{BOARD_FILE}:1: type: there is no component "StativateSync"; did you mean pipelines.StativateSync?',
    ),
    "a module that does not exist": (
        "pipelines.StativateSync",
        "pipeline.StativateSync",
        f'{BOARD_FILE}:1: type: there is no component "pipeline.StativateSync"; did you mean pipelines.StativateSync?',
    ),
    "no component at all": (
        "type: pipelines.StativateSync\n",
        "",
        f"{BOARD_FILE}:1: type: must be given. Write the component's name, such as `type: pipelines.",
    ),
    "attributes under another name": (
        "attributes:",
        "attribute:",
        f"{BOARD_FILE}:2: attribute: there is no such field; did you mean attributes?",
    ),
    "no fields at all": (BOARD, "just a text\n", f"{BOARD_FILE}:1: a component's file begins with its type."),
}


@pytest.mark.parametrize("case", WRONG_BOARDS)
def test_what_is_wrong_in_a_file_is_said_with_file_and_field(case: str, write: Write) -> None:
    """Loading fails with one sentence for the person who wrote the file: where, which field, what would be right."""
    old, new, expected = WRONG_BOARDS[case]
    assert old in BOARD
    assert expected in said(write({"readings": TABLE, "board": BOARD.replace(old, new)}))


def test_every_wrong_field_is_said_at_once(write: Write) -> None:
    """Nobody has to mend a file, and run, once per mistake."""
    wrong = TABLE.replace('"2013-01-01"', '"soon"').replace("lookback: 7", "lookback: 0") + "  grain: dayly\n"
    sentence = said(write({"readings": wrong}))
    assert f"{TABLE_FILE}:9: schedule.lookback: " in sentence
    assert (
        f"{TABLE_FILE}:10: grain: must be 'daily', 'weekly', 'monthly' or 'snapshot'; did you mean daily?" in sentence
    )


def test_what_a_wrong_field_holds_is_not_repeated(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value from the environment may be a secret: the sentence names the field, and so does its stack trace."""
    monkeypatch.setenv("SOMETHING", "hush-hush")
    files = {"readings": TABLE, "board": BOARD.replace("mode: sandbox", 'mode: "{{ env.SOMETHING }}"')}
    folder = write(files)
    with pytest.raises(ConfigurationError) as failed:
        load_deployment(folder)
    error: BaseException | None = failed.value
    while error is not None:
        assert "hush-hush" not in str(error)
        error = error.__cause__


def test_two_things_of_one_name_are_named_with_their_files(write: Write) -> None:
    """A name is an asset: the sentence says which two files claim it."""
    sentence = said(write({"readings": TABLE, "board": BOARD, "other": BOARD}))
    assert sentence.startswith(
        "sync board (livedeployment/defs/board/defs.yaml) and sync board (livedeployment/defs/other"
    )
    assert "both make the asset board" in sentence


def test_a_sync_may_not_be_named_like_an_asset_of_a_table(write: Write) -> None:
    """Also the assets that a table makes by itself are names: a clash is said before Dagster trips over it."""
    sentence = said(write({"readings": TABLE, "board": BOARD.replace("name: board", "name: readings_valid")}))
    assert "both make the asset readings_valid" in sentence


def test_a_folder_that_is_no_project_is_named(tmp_path: Path) -> None:
    """A wrong folder is a sentence with its name."""
    with pytest.raises(ConfigurationError, match=r"Could not find config file .*pyproject\.toml"):
        read_deployment(tmp_path)


def test_a_mistake_in_a_users_own_python_keeps_its_stack_trace(write: Write) -> None:
    """What is not about YAML is not disguised: the person who wrote the code sees where it broke."""
    folder = write({"readings": TABLE})
    (folder / "defs" / "own.py").write_text("undefined_name\n")
    with pytest.raises(NameError, match="undefined_name"):
        load_deployment(folder)


def keys(defs: dg.Definitions) -> dict[str, list[str]]:
    """Assets and what they depend on, checks, jobs and schedules."""
    return {
        **{
            spec.key.to_user_string(): sorted(dep.asset_key.to_user_string() for dep in spec.deps)
            for spec in defs.resolve_all_asset_specs()
        },
        "checks": sorted(str(key) for key in defs.resolve_asset_graph().asset_check_keys),
        "jobs": sorted(job.name for job in defs.resolve_all_job_defs()),
        "schedules": sorted(schedule.name for schedule in defs.schedules or ()),
    }


def test_python_makes_the_same_deployment_as_yaml(write: Write) -> None:
    """The same fields in Python objects: the same assets, checks, jobs, schedules, and equal specs."""
    folder = write({"readings": TABLE, "board": BOARD})
    table = TableSpec.model_validate(
        {
            "name": "readings",
            "source": {"files": "exports/kpi_{date}.csv"},
            "catalogues": {"kpi": "sample/kpis.parquet", "team": "sample/teams.parquet"},
            "start": "2013-01-01",
            "timezone": "America/New_York",
            "columns": {"date": "reading_date", "team": "team_code", "kpi": "kpi_code", "actual": "value"},
            "schedule": {"at": "05:30", "lookback": 7},
        }
    )
    step = {"for": {"kpi": ["on_time_pct"]}, "below": 80, "color": 1}
    sync = StativateSpec.model_validate(
        {
            "name": "board",
            "table": "readings",
            "account": "stativate",
            "mode": "sandbox",
            "key": "{kpi}-{team}",
            "label": "{kpi_name} {team}",
            "value": {"column": "actual", "format": "compact"},
            "color": {"column": "actual", "steps": [step], "otherwise": 5},
        }
    )
    assert keys(load_deployment(folder)) == keys(build_deployment([table], [sync], folder=folder))
    _, tables, syncs = read_deployment(folder)
    assert [one.model_dump() for one in (*tables, *syncs)] == [table.model_dump(), sync.model_dump()]


FILLED: Mapping[str, tuple[str, str, str, Callable[[Any], object]]] = {
    "mode": ("mode: sandbox", "mode: {}", "dry", lambda read: read[2][0].mode),
    "account": ("account: stativate", "account: {}", "other", lambda read: read[2][0].account),
    "part of a text": ('key: "', 'key: "{}-', "prod", lambda read: read[2][0].key.partition("-")[0]),
    "files": ('files: "exports', 'files: "{}', "/data", lambda read: read[1][0].source.files.partition("/kpi")[0]),
    "start": ('start: "2013-01-01"', "start: {}", "2014-01-01", lambda read: read[1][0].start),
    "a number": ("lookback: 7", "lookback: {}", "3", lambda read: str(read[1][0].schedule.lookback)),
}


@pytest.mark.parametrize("field", FILLED)
def test_a_field_can_be_filled_from_the_environment(field: str, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """`{{ env.NAME }}` works in every field, also where only some words, a date or a number may stand."""
    old, new, value, found = FILLED[field]
    template = "{{ env.SOMETHING }}"
    new = new.replace("{}", template if '"' in new else f'"{template}"')
    monkeypatch.setenv("SOMETHING", value)
    folder = write({"readings": TABLE.replace(old, new), "board": BOARD.replace(old, new)})
    assert found(read_deployment(folder)) == value


def test_a_variable_that_is_not_set_is_named(write: Write) -> None:
    """A path with `None` in it would look like a missing file: the sentence names variable, file, line and field."""
    folder = write({"readings": TABLE.replace("exports/", "{{ env.NO_SUCH_FOLDER }}/")})
    with pytest.raises(MissingSetting) as failed:
        load_deployment(folder)
    expected = f"{TABLE_FILE}:4: files: the environment variable NO_SUCH_FOLDER is not set"
    assert str(failed.value).startswith(expected)


def test_a_text_that_looks_like_a_number_stays_a_text(write: Write) -> None:
    """Dagster's templates make numbers of such texts; only a text that holds a template is given to them."""
    rules = '  rules: [{column: line, one_of: ["1", "2"], where: {shift: "3"}}]\n'
    (table,) = read_deployment(write({"readings": TABLE + rules}))[1]
    assert table.rules[0].one_of == ["1", "2"]
    assert table.rules[0].where == {"shift": "3"}


@pytest.mark.parametrize(
    ("mode", "words"),
    [("{{ env.MODE }}", []), ("dry", []), ("prod", ["'prod' is not one of ['sandbox', 'dry', 'live']"])],
)
def test_the_schema_takes_a_template_where_words_are_prescribed(mode: str, words: list[str]) -> None:
    """`dg check yaml` and editors, which ask this schema, refuse a wrong word and no template."""
    model = StativateSync.get_model_cls()
    assert model is not None
    attributes = yaml.safe_load(BOARD)["attributes"] | {"mode": mode}
    faults = Draft202012Validator(model.model_json_schema()).iter_errors(attributes)
    assert [fault.message for fault in faults] == words


def test_a_component_of_the_users_own_is_left_to_dagster(write: Write) -> None:
    """A type from another module that is there is no fault of the file."""
    own = "type: dagster.TemplatedSqlComponent\nattributes: {sql_template: select 1, connection: nowhere}\n"
    _, tables, syncs = read_deployment(write({"readings": TABLE, "own": own}))
    assert ([table.name for table in tables], syncs) == (["readings"], [])


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A misspelt folder is a sentence with its path."""
    with pytest.raises(ConfigurationError, match=r"there is no folder .*/nowhere\. Name the folder that holds `defs/`"):
        load_deployment(tmp_path / "nowhere")
