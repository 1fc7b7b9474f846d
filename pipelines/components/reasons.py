"""Why rows did not simply arrive, as a table that fits on a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipelines.delivery.report import Reason
from pipelines.delivery.upsert import Outcome
from pipelines.tables.failures import Broken

_SHOWN = 10


def reasons_table(reasons: Mapping[tuple[Outcome, str], Reason]) -> str:
    """The most frequent reasons first, each with its outcome, rows and a few keys, as Markdown."""
    if not reasons:
        return "none"
    ordered = sorted(reasons.items(), key=lambda item: -item[1].rows)
    lines = ["| rows | outcome | why | for example |", "| ---: | --- | --- | --- |"]
    lines += [
        f"| {reason.rows} | {outcome} | {_cell(why)} | {_cell(', '.join(reason.keys))} |"
        for (outcome, why), reason in ordered[:_SHOWN]
    ]
    if len(ordered) > _SHOWN:
        lines.append(f"| | | and {len(ordered) - _SHOWN} more reasons | |")
    return "\n".join(lines)


def rules_table(broken: Sequence[Broken]) -> str:
    """The rules broken most often first, each with its column, rows and a few values, as Markdown."""
    if not broken:
        return "none"
    lines = ["| rows | column | rule | for example |", "| ---: | --- | --- | --- |"]
    lines += [
        f"| {one.count} | {_cell(one.column)} | {_cell(one.rule)} | {_cell(', '.join(one.samples))} |"
        for one in sorted(broken, key=lambda one: -one.count)[:_SHOWN]
    ]
    if len(broken) > _SHOWN:
        lines.append(f"| | | and {len(broken) - _SHOWN} more rules | |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
