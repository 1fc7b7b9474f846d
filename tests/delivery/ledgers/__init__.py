"""Ledgers as earlier releases wrote them.

`version_1.sql`: the sample deployment's January 2013, as SQL of SQLite.
"""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy import Engine, create_engine

VERSION_1 = Path(__file__).with_name("version_1.sql").read_text(encoding="utf-8")
STATUS_BOARD, FLIGHT_STATUSES, ORG_UNITS = 165, 33, 39
"""How many keys each sync had delivered."""
KEYS = STATUS_BOARD + FLIGHT_STATUSES + ORG_UNITS


def load_version_1(url: str) -> None:
    """Write the ledger of version 1 into an empty database, SQLite or PostgreSQL."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        for statement in _statements(engine):
            connection.exec_driver_sql(statement)
    engine.dispose()


def _statements(engine: Engine) -> list[str]:
    text = re.sub(r"^(BEGIN TRANSACTION|COMMIT);$", "", VERSION_1, flags=re.MULTILINE)
    found = [part.strip() for part in re.split(r";\s*\n", text) if part.strip()]
    return found if engine.dialect.name == "sqlite" else [*map(_for_postgresql, found), *_COUNT_ON]


_COUNT_ON = [
    f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))"
    for table in ("deliveries", "scopes")
]


def _for_postgresql(statement: str) -> str:
    """What version 1 would have written there: its types, and true for 1."""
    if not statement.startswith("INSERT"):
        changed = statement.replace(" WITHOUT ROWID", "").replace("DOUBLE", "DOUBLE PRECISION")
        return re.sub(r"(TABLE (?:deliveries|scopes) \(\s*id) INTEGER", r"\1 BIGSERIAL", changed)
    if statement.startswith('INSERT INTO "scopes"'):
        return re.sub(r",1\)$", ",true)", statement)
    return statement.replace("%", "%%")
