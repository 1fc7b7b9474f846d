"""Why rows did not simply arrive, as a table that fits on a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipelines.delivery.report import Reason
from pipelines.delivery.upsert import Outcome
from pipelines.tables.failures import Broken

_SHOWN = 10
_LONGEST = 400
_WORST = (
    Outcome.UNKNOWN,
    Outcome.FAILED,
    Outcome.NOT_SENT,
    Outcome.REJECTED,
    Outcome.INVALID,
    Outcome.NOT_SELECTED,
)
_MENDS: Mapping[Outcome, str] = {
    Outcome.UNKNOWN: "Run the partition again: what stands there is read back first. `pipelines why {sync} {key}`",
    Outcome.FAILED: "Run the partition again when the API is well. `pipelines ledger --sync {sync}`",
    Outcome.NOT_SENT: "Mend what is said, then run the partition again: only what is missing is sent.",
    Outcome.REJECTED: "Mend the row or the sync's field, and extract again. `pipelines why {sync} {key}`",
    Outcome.INVALID: "Mend the row or the sync's field, and extract again.",
    Outcome.NOT_SELECTED: "Nothing, if that is meant: the sync's `where` or `on_null` leaves it out.",
}


def reasons_table(reasons: Mapping[tuple[Outcome, str], Reason], sync: str) -> str:
    """The worst outcomes first, then the most frequent reasons: rows, a few keys, and what mends it, as Markdown."""
    if not reasons:
        return "none"
    ordered = sorted(reasons.items(), key=lambda item: (_rank(item[0][0]), -item[1].rows))
    lines = ["| rows | outcome | why | for example | what to do |", "| ---: | --- | --- | --- | --- |"]
    lines += [
        f"| {reason.rows} | {outcome} | {cell(why)} | {cell(', '.join(reason.keys))} | {_mend(outcome, reason, sync)} |"
        for (outcome, why), reason in ordered[:_SHOWN]
    ]
    if len(ordered) > _SHOWN:
        lines.append(f"| | | and {len(ordered) - _SHOWN} more reasons | | |")
    return "\n".join(lines)


def _rank(outcome: Outcome) -> int:
    return _WORST.index(outcome) if outcome in _WORST else len(_WORST)


def _mend(outcome: Outcome, reason: Reason, sync: str) -> str:
    return cell(_MENDS.get(outcome, "Nothing.").format(sync=sync, key=f"'{reason.keys[0]}'" if reason.keys else "KEY"))


def rules_table(broken: Sequence[Broken]) -> str:
    """The rules broken most often first, each with its column, rows and a few values, as Markdown."""
    if not broken:
        return "none"
    lines = ["| rows | column | rule | for example |", "| ---: | --- | --- | --- |"]
    lines += [
        f"| {one.count} | {cell(one.column)} | {cell(one.rule)} | {cell(', '.join(one.samples))} |"
        for one in sorted(broken, key=lambda one: -one.count)[:_SHOWN]
    ]
    if len(broken) > _SHOWN:
        lines.append(f"| | | and {len(broken) - _SHOWN} more rules | |")
    return "\n".join(lines)


def cell(text: str) -> str:
    """A text for a cell of a Markdown table: on one line, cut where it is long."""
    line = " ".join(text.replace("|", "\\|").split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
