"""LEDGER.md: the ledger's tables for people who ask it with SQL."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

import pipelines
from pipelines.cli import app
from pipelines.commands.ledger_page import QUERIES, render
from pipelines.commands.markdown import anchor
from pipelines.delivery.ledger import Ledger, Record, Run, schema
from pipelines.delivery.upsert import Outcome, Verdict
from tests.delivery.fakes import upsert


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    fresh: Callable[[], str] = request.getfixturevalue("postgres")
    return fresh()


def test_the_shipped_page_is_the_tables_own() -> None:
    """What LEDGER.md says of the tables is what they are."""
    shipped = Path(pipelines.__file__).with_name("LEDGER.md").read_text(encoding="utf-8")
    assert shipped == render(), "write the page anew: pipelines ledger schema > pipelines/LEDGER.md"


def test_the_command_prints_the_page() -> None:
    """`pipelines ledger schema > pipelines/LEDGER.md` writes the page and nothing else."""
    result = CliRunner().invoke(app, ["ledger", "schema"])
    assert (result.exit_code, result.stdout) == (0, render())


def test_every_table_and_column_is_there_with_its_meaning() -> None:
    """Nobody who reads the page has to guess what a column holds."""
    sections = re.split(r"^### (.+)\n", render(), flags=re.MULTILINE)
    told = dict(zip(sections[1::2], sections[2::2], strict=True))
    for table in schema.metadata.sorted_tables:
        words, *lines = told[table.name].strip().splitlines()
        assert words.endswith("."), table.name
        rows = {line.split("`")[1]: line for line in lines if line.startswith("| `")}
        assert list(rows) == [column.name for column in table.columns]
        assert all(line.rsplit("|", 2)[1].strip() for line in rows.values()), table.name


def test_every_link_leads_somewhere() -> None:
    """The list at the top leads to every table and query."""
    page = render()
    headings = {anchor(heading) for heading in re.findall(r"^#+ (.+)$", page, flags=re.MULTILINE)}
    links = set(re.findall(r"\]\(#([^)]+)\)", page))
    assert len(links) > len(QUERIES)
    assert links <= headings


def test_every_query_answers(url: str) -> None:
    """The queries of the page are taken by both databases, and find what was delivered, rejected and decided."""
    ledger = Ledger(url)
    try:
        scope = ledger.scope("stativate", "live", "x", "", 0.0)
        run = Run("the id of the run in Dagster", "board", "config")
        good, bad, lost = upsert("on_time_pct-EWR-AA", 1), upsert("bad", 1), upsert("lost", 1)
        with ledger.engine.begin() as connection:
            ledger.begin(connection, scope, run, [lost], 1.0)
            records = [Record(good, Verdict(Outcome.CREATED, "", 201)), Record(bad, Verdict(Outcome.REJECTED, "no"))]
            ledger.record(connection, scope, run, records, 2.0)
            connection.execute(
                schema.decisions.insert().values(at=3.0, what="hold", sync="board", who="me", reason="r", run="")
            )
        with ledger.reading() as connection:
            found = {question: len(connection.execute(text(sql)).all()) for question, sql in QUERIES.items()}
    finally:
        ledger.close()
    assert found == dict.fromkeys(QUERIES, 1)
