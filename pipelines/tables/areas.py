"""What only the whole table of areas shows: parents that do not exist, and circles."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipelines.tables.failures import Failure

TREE_RULES = {
    "parent:missing": ("`parent_code`", "is no area of this table"),
    "parent:circle": ("`parent_code`", "leads back to the area itself"),
}
"""The rules about the whole tree: what they are about, and their words."""


def tree_failures(areas: pa.Table) -> list[Failure]:
    """Rows whose parent is not in the table, and rows that are their own ancestors.

    A parent counts as there when any row has its code, even one that is itself at fault: a child is not
    to be blamed for its parent.
    """
    if "parent_code" not in areas.column_names:
        return []
    codes, parents = areas["area_code"].to_pylist(), areas["parent_code"].to_pylist()
    parent_of = {code: parent for code, parent in zip(codes, parents, strict=True) if code is not None}
    orphans = [at for at, parent in enumerate(parents) if parent is not None and parent not in parent_of]
    circular = _on_circles(parent_of)
    looped = [at for at, code in enumerate(codes) if code in circular]
    return [
        Failure(np.array(at, np.int64), "parent_code", rule, TREE_RULES[rule][1])
        for rule, at in (("parent:missing", orphans), ("parent:circle", looped))
    ]


def _on_circles(parent_of: dict[str, str | None]) -> set[str]:
    """The codes that can be reached from themselves."""
    settled: set[str] = set()
    circular: set[str] = set()
    for start in parent_of:
        path: list[str] = []
        at: str | None = start
        while at is not None and at in parent_of and at not in settled:
            settled.add(at)
            path.append(at)
            at = parent_of[at]
        if at in path:
            circular.update(path[path.index(at) :])
    return circular
