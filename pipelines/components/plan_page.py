"""A plan as metadata that Dagster shows: of each partition its changes; of the run its verdict, ceilings and cost.

What is about the run as a whole has a name that begins with `run_`.
"""

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


def plan_of_partition(preview: Preview, partition: str) -> dict[str, Any]:
    """What a run would do to one partition: how many keys, and the first changes."""
    counts = preview.counts.get(partition, {})
    return {
        **{f"would_{verb}": counts.get(verb, 0) for verb in Verb},
        "changes": dg.MetadataValue.md(_changes(preview, partition)),
        "run_verdict": dg.MetadataValue.md(verdict(preview)),
    }


def plan_of_run(preview: Preview) -> dict[str, Any]:
    """What a run over all these partitions would cost and be measured by, to be told once."""
    cost = preview.cost
    metadata: dict[str, Any] = {
        "run_partitions": len(preview.partitions),
        **{f"run_would_{verb}": preview.total(verb) for verb in Verb},
        "run_ceilings": dg.MetadataValue.md(_ceilings(preview)),
        "run_expected_requests": cost.effort.requests,
        "run_expected_requests_rest_on": cost.effort.why,
        "run_expected_pace": cost.pace,
    }
    if cost.seconds is not None:
        metadata["run_expected_seconds"] = round(cost.seconds, 1)
    if tree := preview.tree():
        metadata["run_areas"] = dg.MetadataValue.md("\n".join(_tree(tree)))
    if preview.notes:
        metadata["run_notes"] = dg.MetadataValue.md("\n".join(f"- {as_cell(note)}" for note in preview.notes))
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
