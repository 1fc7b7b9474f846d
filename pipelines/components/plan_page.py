"""A plan as metadata that Dagster shows: the changes of one partition as Markdown, counts, verdict, cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
import orjson

from pipelines.components.area_tree import Branch
from pipelines.components.changes import Change, Verb, in_lines, of_partition
from pipelines.components.planning import Preview
from pipelines.components.reasons import as_cell, bounded

_LONGEST_LIST = 200


def plan_metadata(preview: Preview, partition: str) -> dict[str, Any]:
    """What a dry run says of a partition; verdict, cost and notes are about the run as a whole."""
    counts = preview.counts.get(partition, {})
    metadata: dict[str, Any] = {f"would_{verb}": counts.get(verb, 0) for verb in Verb}
    metadata |= {
        "changes": dg.MetadataValue.md(_changes(preview, partition)),
        "verdict": dg.MetadataValue.md(verdict(preview)),
        "ceilings": dg.MetadataValue.md(_ceilings(preview)),
        "expected_requests": preview.cost.effort.requests,
        "expected_requests_rest_on": preview.cost.effort.why,
        "expected_pace": preview.cost.pace,
    }
    if preview.cost.seconds is not None:
        metadata["expected_seconds"] = round(preview.cost.seconds, 1)
    if tree := preview.tree():
        metadata["areas"] = dg.MetadataValue.md("\n".join(_tree(tree)))
    if preview.notes:
        metadata["notes"] = dg.MetadataValue.md("\n".join(f"- {as_cell(note)}" for note in preview.notes))
    return metadata


def verdict(preview: Preview) -> str:
    """Whether a run would be let through, and if not, what to do; on one line each."""
    return "\n".join(f"- {as_cell(one.why)}" for one in preview.obstacles) or "nothing stands in the way"


def _changes(preview: Preview, partition: str) -> str:
    changes = of_partition(preview.changes, partition)
    rows = [row for change in changes for row in _rows(change)]
    left = sum(preview.counts.get(partition, {}).values()) - len(changes)
    more = f"keys: `pipelines plan {preview.sync} --partitions {partition} --all`"
    return bounded(("key", "what", "field", "old", "new"), rows, len(rows) + left, more)


def _rows(change: Change) -> Iterator[tuple[str, ...]]:
    first = (change.key, change.verb.replace("_", " "))
    for at, (name, old, new) in enumerate(in_lines(change)):
        yield *(first if at == 0 else ("", "")), name, _text(old), _text(new)


def _ceilings(preview: Preview) -> str:
    rows = [
        (one.name, one.count, one.ceiling or "none", "any" if one.allowed is None else f"{one.allowed:g}")
        for one in preview.measured
    ]
    return bounded(("", "keys", "ceiling", "allowed here"), rows, len(rows), "ceilings")


def _tree(branches: Sequence[Branch], depth: int = 0) -> Iterator[str]:
    for branch in branches:
        said = f": **{as_cell('; '.join(branch.said))}**" if branch.said else ""
        yield f"{'  ' * depth}- {as_cell(branch.name)} ({as_cell(branch.key)}){said}"
        yield from _tree(branch.below, depth + 1)


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= _LONGEST_LIST else f"{text[: _LONGEST_LIST - 1]}…"
