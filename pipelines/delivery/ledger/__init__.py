"""The ledger: what was last accepted per key, what was attempted, what was delivered, what is still open.

One database, SQLite by default and PostgreSQL when several machines share it. `schema` declares the tables and their
version, `database` opens it, `scopes` says which state applies, `store` reads and writes in groups, `turn` says who may
send for an account now.
"""

from pipelines.delivery.ledger.records import Attempt, Record, Run, Scope, State
from pipelines.delivery.ledger.store import Ledger
from pipelines.delivery.ledger.turn import Priority, Turn

__all__ = ["Attempt", "Ledger", "Priority", "Record", "Run", "Scope", "State", "Turn"]
