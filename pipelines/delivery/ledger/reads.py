"""Who has read a partition last. Functions over a connection.

A run may wait for hours between reading its rows and sending them. Whoever reads the same partition later knows better:
what the older reader would still change there is up to the newer one.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, select

from pipelines.delivery.ledger import schema
from pipelines.delivery.ledger.database import Database
from pipelines.delivery.ledger.records import Run, Scope


def note_reads(ledger: Database, connection: Connection, scope: Scope, run: Run, partitions: Collection[str]) -> None:
    """The run has read these partitions. To be committed before the run looks at the state of their keys."""
    rows = [
        {"scope": scope.id, "sync": run.sync, "partition": partition, "read_at": run.read_at}
        for partition in sorted(partitions)
    ]
    ledger.put(connection, schema.reads, rows, most=("read_at",))


def read_later(
    ledger: Database, connection: Connection, scope: Scope, run: Run, partitions: Collection[str] | None = None
) -> set[str]:
    """Those of the partitions, or of all, that another run has read later; nobody notes more until the commit."""
    table = schema.reads
    wanted = [table.c.scope == scope.id, table.c.sync == run.sync, table.c.read_at > run.read_at]
    if partitions is not None:
        wanted.append(ledger.among(table.c.partition, [*partitions]))
    return set(connection.scalars(select(table.c.partition).where(*wanted).with_for_update(read=True)))
