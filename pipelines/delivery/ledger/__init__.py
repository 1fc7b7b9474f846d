"""The ledger: what was last accepted per key, what was attempted, what was delivered, what is still open.

One database, SQLite by default and PostgreSQL when several machines share it. `schema` declares the tables and
`versions` brings them up to date, `database` opens it, `scopes` says which state applies, `store` reads and writes in
groups, `removals` and `people` do so for vanished keys and for decisions, `turn` says who may send for an account now.
"""

from pipelines.delivery.ledger.records import Attempt, Hold, Known, Parked, Record, Run, Scope, State
from pipelines.delivery.ledger.store import Ledger
from pipelines.delivery.ledger.turn import Priority, Turn

__all__ = ["Attempt", "Hold", "Known", "Ledger", "Parked", "Priority", "Record", "Run", "Scope", "State", "Turn"]
