"""How long the ledger keeps its history. What was last accepted, and what is open, is never deleted by age."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import Table, delete, select

from pipelines.delivery.errors import ConfigurationError
from pipelines.delivery.ledger import schema
from pipelines.delivery.ledger.database import Database

VARIABLE = "PIPELINES_KEEP_DELIVERIES_DAYS"
KEEP_DAYS = 400
"""A year, and the month in which somebody asks about it."""
DAY_S = 86_400.0
_GROUP = 2_000
"""Rows in one transaction: some ten milliseconds, so that no other writer waits long."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many records were deleted."""

    deliveries: int
    decisions: int


def keep_days(environ: Mapping[str, str]) -> int:
    """For how many days deliveries and decisions are kept.

    Raises:
        ConfigurationError: the variable says no whole number above 0.
    """
    return days_of(environ, VARIABLE, KEEP_DAYS)


def days_of(environ: Mapping[str, str], variable: str, default: int) -> int:
    """A number of days from the environment. Raises as `keep_days`."""
    said = environ.get(variable) or str(default)
    if not (said.isascii() and said.isdigit() and int(said) > 0):
        raise ConfigurationError(f"{variable} is {said!r}", do="Say a whole number of days, at least 1.")
    return int(said)


def prune(
    ledger: Database,
    days: int,
    *,
    group: int = _GROUP,
    clock: Callable[[], float] = time.time,
    timer: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Pruned:
    """Delete deliveries and decisions older than so many days, in transactions of `group` rows.

    After each the ledger is left alone for as long as it took, so that other writers come in between.
    """
    before = clock() - days * DAY_S

    def emptied(table: Table) -> int:
        total = 0
        while True:
            started = timer()
            count = _delete_oldest(ledger, table, before, group)
            total += count
            if count < group:
                return total
            sleep(timer() - started)

    return Pruned(emptied(schema.deliveries), emptied(schema.decisions))


def _delete_oldest(ledger: Database, table: Table, before: float, most: int) -> int:
    oldest = select(table.c.id).where(table.c.at < before).order_by(table.c.at).limit(most)
    with ledger.engine.begin() as connection:
        return connection.execute(delete(table).where(table.c.id.in_(oldest))).rowcount
