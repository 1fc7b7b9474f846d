"""Who has read a partition last, and whether all of it is delivered. Functions over a connection.

A run may wait for hours between reading its rows and sending them. Whoever reads the same partition later knows better:
what the older reader would still change there is up to the newer one.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, select, update

from pipelines.delivery.ledger import schema
from pipelines.delivery.ledger.database import Database
from pipelines.delivery.ledger.records import Run, Scope


def note_reads(ledger: Database, connection: Connection, scope: Scope, run: Run, partitions: Collection[str]) -> None:
    """The run has read these partitions. To be committed before the run looks at the state of their keys."""
    rows = [
        {"scope": scope.id, "sync": run.sync, "partition": one, "read_at": run.read_at, "run": run.id, "done": False}
        for one in sorted(partitions)
    ]
    ledger.put(connection, schema.reads, rows, unless_newer="read_at")


def note_done(ledger: Database, connection: Connection, scope: Scope, run: Run, partitions: Collection[str]) -> None:
    """Nothing of these partitions, as the run has read them, is undelivered."""
    table = schema.reads
    mine = (table.c.scope == scope.id, table.c.sync == run.sync, table.c.run == run.id, table.c.read_at == run.read_at)
    connection.execute(update(table).where(*mine, ledger.among(table.c.partition, [*partitions])).values(done=True))


def read_later(
    ledger: Database, connection: Connection, scope: Scope, run: Run, partitions: Collection[str] | None = None
) -> dict[str, bool]:
    """Those of the partitions, or of all, that another run has read later, and whether it is done with them.

    Nobody notes a later reading before the transaction ends.
    """
    table = schema.reads
    wanted = [table.c.scope == scope.id, table.c.sync == run.sync, table.c.read_at > run.read_at]
    if partitions is not None:
        wanted.append(ledger.among(table.c.partition, [*partitions]))
    rows = connection.execute(select(table.c.partition, table.c.done).where(*wanted).with_for_update(read=True))
    return dict(map(tuple, rows))
