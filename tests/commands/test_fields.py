from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner

import pipelines
from pipelines import tables
from pipelines.cli import app
from pipelines.commands.fields import ENVIRONMENT, render
from pipelines.commands.fields_rows import READ
from pipelines.commands.markdown import anchor, grid, prose
from pipelines.components.maintenance import KEEP_RUNS_DAYS
from pipelines.components.maintenance import VARIABLE as KEEP_RUNS
from pipelines.delivery.errors import ConfigurationError
from pipelines.delivery.ledger.retention import days_of, keep_days
from pipelines.destinations.base import SyncSpec
from pipelines.destinations.formats import FORMATS, formatter
from pipelines.home import Home
from pipelines.instance import has_database
from pipelines.tables.base_spec import BaseTableSpec
from pipelines.tables.convert import convert
from pipelines.tables.spec import AREA_CANONICAL, CANONICAL

COMPONENTS = pipelines.__all__
SYNCS = [name for name in COMPONENTS if issubclass(getattr(pipelines, name), SyncSpec)]


@pytest.fixture(scope="module")
def page() -> str:
    return render()


def _sections(page: str) -> dict[str, str]:
    """The text below each heading."""
    parts = re.split(r"^#+ (.+)\n", page, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _rows(section: str) -> list[list[str]]:
    """The cells of a section's table, without its head."""
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [re.split(r"(?<!\\)\|", line.removeprefix("| ").removesuffix(" |")) for line in lines[2:]]


def _cells(section: str) -> dict[str, list[str]]:
    return {row[0].strip(" `"): [cell.strip() for cell in row[1:]] for row in _rows(section)}


def test_the_shipped_page_is_the_models_own(page: str) -> None:
    """What FIELDS.md says of the fields is what the code takes."""
    shipped = Path(pipelines.__file__).with_name("FIELDS.md").read_text(encoding="utf-8")
    assert shipped == page, "the models have changed; write the page anew: pipelines fields > pipelines/FIELDS.md"


def test_the_command_prints_the_page(page: str) -> None:
    """`pipelines fields > pipelines/FIELDS.md` writes the page and nothing else."""
    result = CliRunner().invoke(app, ["fields"])
    assert (result.exit_code, result.stdout) == (0, page)


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_field_of_a_component_is_there(page: str, name: str) -> None:
    """No field of a component is left out, whether it is its own or one that all of its kind have."""
    component = getattr(pipelines, name)
    sections = _sections(page)
    kinds = {SyncSpec: "Every sync", BaseTableSpec: "Every table"}
    common = [heading for kind, heading in kinds.items() if issubclass(component, kind)]
    told = {field: cells for heading in (*common, name) for field, cells in _cells(sections[heading]).items()}
    assert str(component.__doc__) in sections[name]
    for field, info in component.model_fields.items():
        assert ("**required**" in told[info.alias or field][1]) == info.is_required(), field


def test_every_line_says_what_it_is_about(page: str) -> None:
    """Every part and field, nested ones too, and every variable has a description; no bar within tears a cell."""
    for heading, section in _sections(page).items():
        if " Field |" in section:
            assert not section.strip().startswith("|"), f"{heading} has no description: give its model a docstring"
        for row in _rows(section):
            assert len(row) in (3, 4), (heading, row)
            assert row[-1].strip(), f"{heading}: {row[0].strip()} has no description: give its Field one"


def test_every_part_stands_once_and_every_link_leads_to_it(page: str) -> None:
    """Whoever follows a type's link finds that part's fields."""
    headings = re.findall(r"^#+ (.+)$", page, flags=re.MULTILINE)
    anchors = [anchor(heading) for heading in headings]
    assert len(anchors) == len(set(anchors))
    links = set(re.findall(r"\]\(#([^)]+)\)", page))
    assert links
    assert links <= set(anchors)


@pytest.mark.parametrize("name", SYNCS)
def test_every_setting_of_an_account_is_there(page: str, name: str) -> None:
    """Every variable that an account reads stands there, and those whose value is secret are marked."""
    sections = _sections(page)
    told = _cells(sections["Every account"]) | _cells(sections[f"Accounts of {name}"])
    for field, info in getattr(pipelines, name).settings.model_fields.items():
        default, meaning = told[f"<ACCOUNT>_{field.upper()}"]
        assert ("Secret." in meaning) == ("SecretStr" in str(info.annotation)), field
        assert (default == "**required**") == info.is_required(), field


class _Noting(Mapping[str, str]):
    """An empty environment that notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.asked.add(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def test_the_packages_own_variables_are_all_there(page: str) -> None:
    """The page names the variables that a home, Dagster's database and what is kept are read from, and no others."""
    environ = _Noting()
    Home.of(environ)
    has_database(environ)
    keep_days(environ)
    days_of(environ, KEEP_RUNS, KEEP_RUNS_DAYS)
    assert environ.asked == set(ENVIRONMENT) == set(_cells(_sections(page)["The package's own variables"]))


@pytest.mark.parametrize(
    ("section", "field", "kind", "default"),
    [
        ("Every sync", "mode", "one of `sandbox`, `dry`, `live`", "**required**"),
        ("Every sync", "warn_above", "[Tolerance](#tolerance) or `null`", "`{count: 0}`"),
        ("Tolerance", "rejected", "[Threshold](#threshold)", ""),
        ("Every sync", "send_when", "list of text", ""),
        ("Every table", "rules", "list of [Rule](#rule)", ""),
        ("Rule", "required", "yes/no", "`false`"),
        ("Rule", "where", "names, each with text or list of text", ""),
        ("Schedule", "lookback", "whole number from 1 to 366", "`1`"),
        ("StativateSync", "key_pattern", "text", '`"[A-Za-z0-9_-]{1,64}"`'),
        ("State step", "for", "names, each with plain value or list of plain value", ""),
    ],
)
def test_types_and_defaults_read_as_they_are_written(
    page: str, section: str, field: str, kind: str, default: str
) -> None:
    """Types are in words, and a default is what one would write in the YAML."""
    assert _cells(_sections(page)[section])[field][:2] == [kind, default]


def test_a_description_cannot_break_the_page() -> None:
    """A bar stays in its cell; what looks like a tag or emphasis is shown as it is written, code untouched."""
    assert grid(("a",), [("`x|y`",)]).splitlines()[-1] == r"| `x\|y` |"
    assert prose("*.csv in <folder>, `<ACCOUNT>_*`") == r"\*.csv in \<folder>, `<ACCOUNT>_*`"


def test_values_are_read_as_the_page_shows_them() -> None:
    """Every example of how a type may be written is one that a table takes."""
    for kind, (texts, _) in READ.items():
        assert not len(convert(pa.array(texts), kind).bad), kind  # pyright: ignore[reportArgumentType] - a type's name


def test_every_rule_of_the_contract_is_explained(page: str) -> None:
    """No rule that a row can break is missing from the page; each is found there by the name that checks show."""
    told = set(_cells(_sections(page)["The contract"]))
    source = "".join(path.read_text(encoding="utf-8") for path in Path(tables.__file__).parent.glob("*.py"))
    rules = set(re.findall(r'"((?:date|key|line|number|parent|rule|text):[a-z_]+)"', source))
    assert len(rules) > 10
    assert rules | {"null", "type:number"} <= told


def test_the_columns_of_a_row_are_those_that_tables_have(page: str) -> None:
    """A table that maps everything has the columns that the page names, in that order."""
    sections = _sections(page)
    assert tuple(_cells(sections["Columns of a KPI's row"])) == CANONICAL
    assert tuple(_cells(sections["Columns of an area's row"])) == AREA_CANONICAL


def test_every_format_is_explained_with_what_it_writes(page: str) -> None:
    """The examples are the formats' own work, of which a board's reader would see the same."""
    told = {name.partition("`")[0]: cells for name, cells in _cells(_sections(page)["Formats"]).items()}
    assert set(told) == set(FORMATS)
    assert "104000 as `104K`" in told["compact"][1]
    assert "883 as `14:43`" in told["time"][1]
    assert all(name in FORMATS or f"{name[:-1]}N" in FORMATS for name in known_formats())


def known_formats() -> list[str]:
    """The formats that a misspelt one is told of."""
    with pytest.raises(ConfigurationError) as caught:
        formatter("nothing like it")
    return caught.value.do.partition("There are: ")[2].removesuffix(".").split(", ")
