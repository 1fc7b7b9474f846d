"""Rows -> upserts, so that each source row stands in exactly one upsert or one dropped record."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from pipelines.delivery.errors import PipelinesError
from pipelines.delivery.fingerprint import canonical, fingerprint
from pipelines.delivery.upsert import Built, Dropped, Outcome, Payload, Upsert
from pipelines.destinations.columns import Columns, Problem, nan_to_null
from pipelines.destinations.conditions import ROWS, bad_condition, connect
from pipelines.destinations.texts import unfit_keys

FRAME = ("row", "partition", "as_of")
"""The columns that every frame has: source row number, partition key, time of what the row says."""

Normalise = Callable[[Payload], Payload]
Ambiguous = Callable[[str, int], str]


class Shaped(NamedTuple):
    """What an API's mapping makes of rows, by position: a key and a payload, or a problem.

    A row with a problem has a key only where one could be made, else an empty text; its payload means nothing.
    """

    keys: Sequence[str]
    payloads: Sequence[Payload]
    problems: Mapping[int, Problem]


class _Source(NamedTuple):
    """Where the rows of a frame come from, by position."""

    rows: list[int]
    partitions: list[str]
    as_of: list[str]

    @classmethod
    def of(cls, frame: pd.DataFrame) -> _Source:
        columns = Columns(frame)
        return cls(*(columns.values(name) for name in FRAME))


def select(frame: pd.DataFrame, where: str | None) -> tuple[pd.DataFrame, list[Dropped]]:
    """The rows for which the SQL condition is true, and a record of the others (false or null).

    Raises:
        ConfigurationError: DuckDB refuses the condition, or it fails on a value.
    """
    if where is None:
        return frame, []
    table = pa.Table.from_pandas(frame, preserve_index=False)
    for at, field in enumerate(table.schema):
        if pa.types.is_floating(field.type):
            table = table.set_column(at, field, nan_to_null(table.column(at)))
    at = _unused("__at", table.column_names)
    table = table.append_column(at, pa.array(np.arange(table.num_rows)))
    with connect() as connection:
        connection.register(ROWS, table)
        try:
            # The line break keeps a trailing comment in the condition from swallowing the parenthesis.
            found = connection.execute(f"SELECT {at} FROM {ROWS} WHERE ({where}\n)").fetchnumpy()  # noqa: S608  # the person who configures the sync writes SQL here
        except duckdb.Error as error:
            raise bad_condition(where, error) from error
    chosen = np.zeros(len(frame), dtype=bool)
    chosen[found[at]] = True
    if chosen.all():
        return frame, []
    left_out = frame.loc[~chosen]
    reason = f"where: not {' '.join(where.split())}"
    source = _Source.of(left_out)
    problems = dict.fromkeys(range(len(left_out)), Problem(reason, Outcome.NOT_SELECTED))
    return frame.loc[chosen], _dropped(source, problems, {})


def _unused(name: str, taken: Collection[str]) -> str:
    """The name, with as many underscores behind it as make it one that is not taken; DuckDB knows no capitals."""
    known = {one.lower() for one in taken}
    while name in known:
        name += "_"
    return name


def assemble(frame: pd.DataFrame, shaped: Shaped, normalise: Normalise, ambiguous: Ambiguous) -> Built:
    """Upserts and dropped records out of shaped rows.

    Rows of one partition with the same key, time and payload become one upsert. Rows with the same key and time but
    different payloads are all invalid: `ambiguous` makes the reason of the key and the number of rows.
    """
    source = _Source.of(frame)
    shaped = _with_fit_keys(shaped)
    problems = dict(shaped.problems)
    good = [at for at in range(len(frame)) if at not in problems] if problems else range(len(frame))
    merged, clashes = _settle(good, source, shaped, ambiguous)
    sent = [at for at in good if at not in clashes and merged.get(at) != ()] if merged or clashes else good
    # Rows that say the same share one payload object, whose fingerprint is made once.
    distinct = {id(shaped.payloads[at]): shaped.payloads[at] for at in sent}
    marks = {one: fingerprint(normalise(payload)) for one, payload in distinct.items()}
    fields = (
        map(shaped.keys.__getitem__, sent),
        map(source.as_of.__getitem__, sent),
        map(shaped.payloads.__getitem__, sent),
        (marks[id(shaped.payloads[at])] for at in sent),
        map(source.partitions.__getitem__, sent),
        (merged.get(at) or (source.rows[at],) for at in sent),
    )
    upserts = list(map(Upsert, *fields))
    problems |= clashes
    return Built(upserts, _dropped(source, problems, {at: shaped.keys[at] or None for at in problems}))


def _with_fit_keys(shaped: Shaped) -> Shaped:
    """Keys that no ledger and no address can hold are problems, and stand in no record."""
    complaints = unfit_keys(shaped.keys)
    if not complaints:
        return shaped
    keys = ["" if key in complaints else key for key in shaped.keys]
    unfit = {at: Problem(complaints[key]) for at, key in enumerate(shaped.keys) if key in complaints}
    return Shaped(keys, shaped.payloads, {**unfit, **shaped.problems})


def _settle(
    good: Sequence[int], source: _Source, shaped: Shaped, ambiguous: Ambiguous
) -> tuple[dict[int, tuple[int, ...]], dict[int, Problem]]:
    """Rows with the same key and time: position -> the source rows united there (none: elsewhere), and the clashes."""
    identities = [(shaped.keys[at], source.as_of[at]) for at in good]
    if len(set(identities)) == len(identities):
        return {}, {}
    groups: dict[tuple[str, str], list[int]] = {}
    for at, identity in zip(good, identities, strict=True):
        groups.setdefault(identity, []).append(at)
    merged: dict[int, tuple[int, ...]] = {}
    clashes: dict[int, Problem] = {}
    for (key, _), group in groups.items():
        if len(group) == 1:
            continue
        if len({canonical(shaped.payloads[at]) for at in group}) > 1:
            clashes.update(dict.fromkeys(group, Problem(ambiguous(key, len(group)))))
            continue
        heads: dict[str, int] = {}
        for at in group:
            head = heads.setdefault(source.partitions[at], at)
            merged[at] = ()
            merged[head] = (*merged[head], source.rows[at])
    return merged, clashes


def _dropped(source: _Source, problems: Mapping[int, Problem], keys: Mapping[int, str | None]) -> list[Dropped]:
    """One record per partition, key and reason."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for at in sorted(problems):
        problem = problems[at]
        identity = (problem.outcome, source.partitions[at], problem.reason, keys.get(at))
        groups.setdefault(identity, []).append(source.rows[at])
    return [
        Dropped(outcome, partition, tuple(rows), reason, key)
        for (outcome, partition, reason, key), rows in groups.items()
    ]


def check_conserved(frame: pd.DataFrame, built: Built) -> Built:
    """The same `Built`, once every row of the frame is known to stand in it exactly once.

    Raises:
        PipelinesError: a row is missing or stands there twice, which is a bug of a mapping.
    """
    placed = sum(len(upsert.rows) for upsert in built.upserts) + sum(len(one.rows) for one in built.dropped)
    if placed != len(frame):
        msg = f"{len(frame)} rows went into the mapping and {placed} came out"
        raise PipelinesError(msg, do="This is a bug of the mapping: nothing was sent; please report it.")
    return built
