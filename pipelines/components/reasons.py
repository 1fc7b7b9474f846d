"""Why rows did not simply arrive, as a table that fits on a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pipelines.delivery.report import Reason
from pipelines.delivery.upsert import Outcome
from pipelines.tables.failures import Broken

SHOWN = 10
"""Rows of a table at most."""
NO_ROWS = "none"
"""What stands where a table would have no rows."""
_COLUMNS = 12
_LONGEST = 400
_WORST = (
    Outcome.UNKNOWN,
    Outcome.FAILED,
    Outcome.NOT_SENT,
    Outcome.REJECTED,
    Outcome.INVALID,
    Outcome.QUARANTINED,
    Outcome.NOT_SELECTED,
)
_MENDS: Mapping[Outcome, str] = {
    Outcome.UNKNOWN: "Run the partition again: what stands there is read back first. `pipelines why {sync} {key}`",
    Outcome.FAILED: "Run the partition again when the API is well. `pipelines ledger --sync {sync}`",
    Outcome.NOT_SENT: "Mend what is said, then run the partition again: only what is missing is sent.",
    Outcome.REJECTED: "Mend the row or the sync's field, and extract again. `pipelines why {sync} {key}`",
    Outcome.INVALID: "Mend the row or the sync's field, and extract again.",
    Outcome.QUARANTINED: "Mend the rows in the source, then extract the partition again.",
    Outcome.NOT_SELECTED: "Nothing, if that is meant: the sync's `where` or `on_null` leaves it out.",
}
_DRY = "dry: "
"""How the reason of what a dry run did not send begins."""
_MENDS_RULES: Mapping[str, str] = {
    "type:date": "Correct the value, or say in `date_format` how the source writes dates",
    "type:": "Correct the value in the source",
    "null": "Fill in the value in the source",
    "key:duplicate": "Leave one row per key in the source, or name the column that tells them apart in `columns`",
    "parent:": "Correct the parents in the source",
    "rule:": "Correct the value in the source, or the table's own `rules`",
    "date:window": "Put the row into the file of its date",
    "line:": "Correct the line in the file, or its `delimiter` or `encoding`",
}
"""How the name of a broken rule begins -> what mends it."""


def reasons_table(reasons: Mapping[tuple[Outcome, str], Reason], sync: str) -> str:
    """The worst outcomes first, then the most frequent reasons: rows, a few keys, and what mends it, as Markdown."""
    ordered = sorted(reasons.items(), key=lambda item: (_rank(item[0][0]), -item[1].rows))
    rows = [
        (reason.rows, outcome, why, ", ".join(reason.keys), _mend(outcome, why, reason, sync))
        for (outcome, why), reason in ordered[:SHOWN]
    ]
    return bounded(("rows", "outcome", "why", "for example", "what to do"), rows, len(ordered), "reasons")


def bounded(heads: Sequence[str], rows: Sequence[Sequence[object]], total: int, what: str) -> str:
    """A table as Markdown, whose first rows are given, with a line for those that are not; `NO_ROWS` without any."""
    if not rows:
        return NO_ROWS
    numbers = ["---:" if isinstance(cell, int | float) else "---" for cell in rows[0]]
    lines = [f"| {' | '.join(heads)} |", f"| {' | '.join(numbers)} |"]
    lines += [f"| {' | '.join(as_cell(str(cell)) for cell in row)} |" for row in rows]
    if total > len(rows):
        # Not below a number, which stands in a narrow column.
        indent = "| " if isinstance(rows[0][0], int | float) else ""
        lines.append(f"{indent}| and {total - len(rows)} more {what} |{' |' * (len(heads) - 1 - bool(indent))}")
    return "\n".join(lines)


def _rank(outcome: Outcome) -> int:
    return _WORST.index(outcome) if outcome in _WORST else len(_WORST)


def _mend(outcome: Outcome, why: str, reason: Reason, sync: str) -> str:
    if outcome is Outcome.NOT_SENT and why.startswith(_DRY):
        return "Run it without `dry_run`, or in another `mode`: then it is sent."
    return _MENDS.get(outcome, "Nothing.").format(sync=sync, key=f"'{reason.keys[0]}'" if reason.keys else "KEY")


def rules_table(broken: Sequence[Broken]) -> str:
    """The rules broken most often first, each with its column, rows, a few values and what mends it, as Markdown."""
    ordered = sorted(broken, key=lambda one: -one.count)
    rows = [(one.count, one.column, one.rule, ", ".join(one.samples), _mend_rule(one.rule)) for one in ordered[:SHOWN]]
    return bounded(("rows", "column", "rule", "for example", "what to do"), rows, len(ordered), "rules")


def _mend_rule(rule: str) -> str:
    named = next((mend for start, mend in _MENDS_RULES.items() if rule.startswith(start)), "Correct the source")
    return f"{named}, then extract the partition again."


def sample_table(
    rows: Sequence[Mapping[str, str | None]] | Sequence[Mapping[str, str]], count: int, first: Iterable[str] = ()
) -> str:
    """Some of `count` rows of a source, as Markdown; the columns `first` come first, and of the others some."""
    shown = rows[:SHOWN]
    there = list(dict.fromkeys(name for row in shown for name in row))
    names = [*dict.fromkeys([*(name for name in first if name in there), *there])][:_COLUMNS]
    lines = [f"| {' | '.join(map(as_cell, names))} |", f"| {' | '.join('---' for _ in names)} |"]
    lines += [f"| {' | '.join(as_cell(row.get(name) or '') for name in names)} |" for row in shown]
    if count > len(shown):
        lines.append(f"\nand {count - len(shown)} more")
    return "\n".join(lines)


def as_cell(text: str) -> str:
    """A text for a cell of a Markdown table: on one line, cut where it is long."""
    line = " ".join(text.replace("|", "\\|").split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
