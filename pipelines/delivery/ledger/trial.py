"""Whether a ledger can be opened and written, found out without leaving anything behind."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection, select

from pipelines.delivery.errors import LedgerError
from pipelines.delivery.ledger import schema
from pipelines.delivery.ledger.address import address_of, file_of
from pipelines.delivery.ledger.database import Database
from pipelines.home import standing


@contextmanager
def trial(url: str) -> Iterator[Connection]:
    """A transaction of the ledger as it is, or as it would be created; whatever it writes is taken back.

    Raises:
        LedgerError: it cannot be opened or written, or is of a newer release.
    """
    file = file_of(address_of(url))
    if file is None or file.exists():
        with closing(Database(url, trial=True)) as ledger, ledger.trying() as connection:
            yield connection
        return
    folder = standing(file.parent)
    try:
        with (
            tempfile.TemporaryDirectory(prefix=".pipelines-check-", dir=folder) as made,
            closing(Database(f"sqlite:///{Path(made) / 'ledger.db'}", trial=True)) as ledger,
            ledger.trying() as connection,
        ):
            yield connection
    except OSError as error:
        raise LedgerError(
            f"the ledger cannot be made at {file}: {error.strerror} ({folder})",
            do="Check PIPELINES_HOME and PIPELINES_LEDGER_URL, and the rights of the folder.",
        ) from error


def live_address(connection: Connection, account: str) -> str | None:
    """The hash of the address that a live account had last; None: nothing was ever sent there."""
    table = schema.scopes
    wanted = (table.c.account == account, table.c.mode == "live", table.c.current)
    return connection.scalar(select(table.c.address).where(*wanted))
