"""Which errors of a source may pass by themselves: it cannot be reached, or somebody else holds it.

Only what is known for certain: an error that nobody recognises is for a person, as is a wrong password or a broken
file.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import duckdb
from sqlalchemy.exc import DBAPIError

_AWAY = (ConnectionError, TimeoutError, socket.gaierror)
_SAID = re.compile(
    # What libpq, the MySQL clients, ODBC drivers and SQLite say of a server or a file, as its documentation has it.
    r"connection refused|connection timed out|timeout expired|connection timeout|no route to host"
    r"|network is unreachable|connection reset|could not translate host name|name or service not known"
    r"|temporary failure in name resolution|server closed the connection|lost connection to"
    r"|can't connect to .*server|the database system is (starting up|shutting down|in recovery mode)"
    r"|too many (clients|connections)|remaining connection slots are reserved|database is locked",
    re.IGNORECASE,
)
_KNOWN_AND_REFUSED = re.compile(r"authentication failed|access denied|login failed|permission denied", re.IGNORECASE)
"""Said of one of a host's addresses where others do not listen: a person has to mend it, and tries lock accounts."""
_HELD = "Could not set lock on file"
"""What DuckDB says of a file that another process writes."""


def is_away(error: BaseException | None) -> bool:
    """Whether this error, or one that it came from, is of a source that is away or held."""
    return any(_is(one) for one in _chain(error))


def _is(error: BaseException) -> bool:
    if isinstance(error, DBAPIError):
        said = str(error.orig)
        return not _KNOWN_AND_REFUSED.search(said) and (error.connection_invalidated or bool(_SAID.search(said)))
    if isinstance(error, duckdb.Error):
        return _HELD in str(error)
    return isinstance(error, _AWAY)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
