"""A plan for programs: one JSON document, or a CSV file with a line per field."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from pipelines.delivery.compare import ABSENT
from pipelines.delivery.errors import ConfigurationError
from pipelines.delivery.upsert import Outcome

if TYPE_CHECKING:
    from pipelines.components.area_tree import Branch
    from pipelines.components.changes import Change
    from pipelines.components.planning import Preview
    from pipelines.components.sync_run import SyncResult

HEAD = ("key", "partition", "verb", "field", "old", "new")
_NO_UPSERT = (Outcome.QUARANTINED, Outcome.NOT_SELECTED, Outcome.INVALID, Outcome.REJECTED)


def left_out(result: SyncResult) -> dict[str, int]:
    """Rows of which nothing can be sent, by why; rejected: parked, since they were refused too often as they are."""
    counted = {one: sum(account.counts[one] for account in result.results.values()) for one in _NO_UPSERT}
    return {"parked" if one is Outcome.REJECTED else str(one): rows for one, rows in counted.items() if rows}


def as_document(plan: Preview, result: SyncResult, shown: int | None) -> dict[str, Any]:
    """All of a plan; an absent value of a field is null, and the field's other side tells it from an empty one."""
    from pipelines.components.changes import Verb

    return {
        "sync": plan.sync,
        "account": plan.account,
        "mode": plan.mode,
        "partitions": plan.partitions,
        "missing": result.missing,
        "counts": {
            **{str(verb): plan.total(verb) for verb in Verb},
            "unchanged": plan.unchanged,
            "superseded": plan.superseded,
        },
        "rows_left_out": left_out(result),
        "changes": [
            {
                "key": one.key,
                "partition": one.partition,
                "verb": one.verb,
                "fields": {name: {"old": old, "new": new} for name, (old, new) in one.fields.items()},
            }
            for one in plan.changes[:shown]
        ],
        "changes_in_all": plan.touched,
        "areas": [_area(branch) for branch in plan.tree(shown)],
        "ceilings": [
            {
                "name": one.name,
                "keys": one.count,
                "ceiling": None if one.ceiling is None else str(one.ceiling),
                "allowed": one.allowed,
                "exceeded": one.exceeded,
            }
            for one in plan.measured
        ],
        "requests": plan.cost.effort.requests,
        "requests_rest_on": plan.cost.effort.why,
        "seconds": plan.cost.seconds,
        "pace": plan.cost.pace,
        "notes": plan.notes,
        "obstacles": [{"barrier": one.barrier, "why": one.why} for one in plan.obstacles],
        "may_be_sent": not plan.obstacles,
    }


def _area(branch: Branch) -> dict[str, Any]:
    return {
        "key": branch.key,
        "name": branch.name,
        "said": branch.said,
        "below": [_area(below) for below in branch.below],
    }


def write_csv(path: Path, changes: Sequence[Change]) -> None:
    """A line per field of each change; `-`: to the standard output.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    if path == Path("-"):
        csv.writer(sys.stdout, lineterminator="\n").writerows(_lines(changes))
        return
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(_lines(changes))
    except OSError as error:
        raise ConfigurationError(
            f"the plan cannot be written to {path}: {error.strerror}", do="Name another file, or - to print it."
        ) from None


def _lines(changes: Iterable[Change]) -> Iterator[Sequence[str]]:
    yield HEAD
    for one in changes:
        # A key that is sent although no field differs must not be missing.
        for name, (old, new) in one.fields.items() or [("", (ABSENT, ABSENT))]:
            yield one.key, one.partition, str(one.verb), name, _cell(old), _cell(new)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return "" if value == ABSENT else value
    return orjson.dumps(value).decode()
