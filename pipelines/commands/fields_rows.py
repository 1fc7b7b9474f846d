"""The chapters of FIELDS.md about rows: how values are read, what a row has, its rules, and how it is written."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

from pipelines.commands.markdown import grid, prose
from pipelines.destinations.formats import FORMATS, FormatError, formatter
from pipelines.tables.areas import TREE_RULES
from pipelines.tables.contracts import CATALOGUE_TYPES, MEANINGS, Column, for_areas, for_readings
from pipelines.tables.rules import rule_and_words
from pipelines.tables.source_spec import BOOLEANS
from pipelines.tables.spec import AREA_CANONICAL, CANONICAL, AreaTableSpec, RuleSpec, TableSpec
from pipelines.tables.validate import NOT_A, ROW_RULES

READ: Mapping[str, tuple[Sequence[str], str]] = {
    "text": (("OTP", "1"), "Whatever stands there; codes are compared letter by letter."),
    "number": (
        ("1234.5", "-3", "1e3"),
        "`nan` and blank are no value. Other marks (1.234,5): the source's `decimal` and `thousands`.",
    ),
    "boolean": (tuple(BOOLEANS), "In capital or small letters; further words: `true_words`, `false_words`."),
    "date": (
        ("2026-01-31", "2026-01-31 14:30", "2026-01-31T14:30:00+01:00"),
        "A time with a zone counts on its day in the table's `timezone`. Other forms: `date_format`.",
    ),
}
"""How each type of column may be written as text."""
_VALUES: Sequence[Any] = (883, 0.8249, 60.0, 104_000, -1_234_567.5, "text", date(2026, 1, 31), True)
_OF_ROW = {
    "row": ("whole number", "Its number in the partition's stored extract, from 0"),
    "partition": ("text", "Its partition, such as 2026-01-31, or snapshot"),
    "as_of": ("text", "When it was true: the partition, or a snapshot's `as_of`"),
}
_READ = """\
Columns of a Parquet file or a database have a type of their own. As text, and so in every CSV file, values are written
like this; what cannot be read breaks the contract. A blank text is no value. A CSV file's separator (`,` `;` tab `|`)
is found in its header line unless `delimiter` names it.
"""
_COLUMNS = """\
These are the columns that templates, `where` and every field that names a column may use.

- What `columns` maps has our name, in the table above; what it does not map is not there.
- Every further column of the source keeps its name and its value (in CSV files: a text), unless `types` gives it a
  type. A column whose name is one of those above becomes `source.<name>`.
- Each catalogue adds its columns but its code and `valid_from`; for a code that it does not know they are empty. A
  name that stands there twice becomes `<catalogue>.<name>`: `{kpi.unit}` in a template, `"kpi.unit"` in `where`.
  By their names, {types}, unless the catalogue's `types` says otherwise.
"""
_CONTRACT = """\
A row that breaks a rule goes to the quarantine with every rule that it breaks, and the others go on. The check
`contract` of a table shows the rules that were broken, by these names, and the first rows.
"""
_TEMPLATES = """\
A template is a text with columns in braces: `"{kpi}-{team}"`. `{column:format}` writes the column in a format:
`"{actual:percent} of {kpi_name}"`; without one, as `plain`. A row in which a column of a required template is empty is
invalid. Double braces are another thing: `{{ env.NAME }}` is filled in when the file is read.
"""
_MISSING = "is missing; `actual` only with `nulls: quarantine`"
_FORMATS = """\
Numbers are rounded half up, with a point and without marks between thousands. A format stands in a template behind a
colon, or in a field `format`; there, `{by: unit, cases: {Time: time}}` chooses one by another column's text.
"""


def chapters() -> Iterator[str]:
    """The chapters, as Markdown."""
    yield "## Rows\n"
    yield f"### How values are read\n\n{_READ}\n" + grid(("Type", "Written like", "Beside"), _read())
    yield f"### Columns of a KPI's row\n\n{_columns(CANONICAL)}"
    yield f"### Columns of an area's row\n\n{_columns(AREA_CANONICAL)}"
    types = " and ".join(f"`{name}` is a {kind}" for name, kind in CATALOGUE_TYPES.items())
    yield f"### Further columns\n\n{_COLUMNS.replace('{types}', types)}"
    yield f"### The contract\n\n{_CONTRACT}\n" + grid(("Rule", "Of", "A row breaks it whose value"), _rules())
    yield "## Templates and formats\n"
    yield f"### Templates\n\n{_TEMPLATES}"
    yield f"### Formats\n\n{_FORMATS}\n" + grid(("Format", "Meaning", "Examples"), _formats())


def _read() -> Iterator[tuple[str, str, str]]:
    for kind, (texts, beside) in READ.items():
        yield kind, ", ".join(f"`{text}`" for text in texts), prose(beside)


def _columns(names: Sequence[str]) -> str:
    told = {name: (str(kind), words) for name, (kind, words) in MEANINGS.items()} | _OF_ROW
    return grid(("Column", "Type", "Meaning"), ((f"`{name}`", told[name][0], prose(told[name][1])) for name in names))


def _rules() -> Iterator[tuple[str, str, str]]:
    broken: dict[tuple[str, str], list[str]] = {}
    for column in _contract_columns():
        if column.required:
            broken.setdefault(("null", _MISSING), []).append(column.name)
        broken.setdefault((f"type:{column.kind}", NOT_A[column.kind]), []).append(column.name)
        for check in column.schema.checks:
            broken.setdefault(rule_and_words(str(check.error)), []).append(column.name)
    for (rule, words), columns in sorted(broken.items()):
        yield f"`{rule}`", ", ".join(f"`{name}`" for name in dict.fromkeys(columns)), words
    for rule, (of, words) in {**ROW_RULES, **TREE_RULES}.items():
        yield f"`{rule}`", of, words
    for name in ("min", "max", "one_of", "matches"):
        meaning = RuleSpec.model_fields[name].description or ""
        yield f"`rule:{name}`", "your own [rules](#rule)", f"is not what the rule's `{name}` asks for. {prose(meaning)}"


def _contract_columns() -> Iterator[Column]:
    """The columns of tables that map all of them, in every grain."""
    source, start = {"files": "a.csv"}, "2024-01-01"
    whole = {"date": "d", "sub_tile": "s"}
    for grain in ("daily", "weekly", "monthly"):
        spec = {"name": "t", "source": source, "grain": grain, "start": start, "columns": whole, "nulls": "quarantine"}
        yield from for_readings(TableSpec.model_validate(spec)).columns
    snapshot = {"name": "t", "source": source, "grain": "snapshot", "columns": {"as_of": "a"}}
    yield from for_readings(TableSpec.model_validate(snapshot)).columns
    areas = {name: name for name in AREA_CANONICAL if name not in _OF_ROW}
    yield from for_areas(AreaTableSpec.model_validate({"name": "t", "source": source, "columns": areas})).columns


def _formats() -> Iterator[tuple[str, str, str]]:
    for name, meaning in FORMATS.items():
        words = meaning if isinstance(meaning, str) else (inspect.getdoc(meaning) or "").partition("\n")[0]
        numbered = name.endswith("N")
        yield (
            f"`{name}`" + (", N from 0 to 9; here 2" if numbered else ""),
            prose(words.partition(": ")[0].removesuffix(".")),
            ", ".join(_examples(name[:-1] + "2" if numbered else name)),
        )


def _examples(name: str) -> Iterator[str]:
    written = formatter(name)
    for value in _VALUES:
        try:
            text = written(value)
        except FormatError:
            continue
        if name == "plain" or not isinstance(value, str | bool | date):
            yield f"{value} as `{text}`"
