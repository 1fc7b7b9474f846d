"""The ledger's tables. People ask with SQL, LEDGER.md is made of the comments, `versions` brings them up to date.

All times are Unix seconds, payloads are JSON text, `rows` are JSON lists of row numbers in the partition's stored
extract. `scope` is one account in one mode at one address: state of the sandbox never answers for the live account.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

SCHEMA_VERSION = 3

metadata = MetaData()
_row_id = BigInteger().with_variant(Integer, "sqlite")

meta = Table(
    "pipelines_meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    comment="the version of these tables, and the ledger's own id",
)

scopes = Table(
    "scopes",
    metadata,
    Column("id", Integer, primary_key=True, comment="what `scope` means in the other tables"),
    Column("account", Text, nullable=False),
    Column("mode", Text, nullable=False, comment="sandbox, dry, live"),
    Column("address", Text, nullable=False, comment="hash of the base URL"),
    Column("sandbox", Text, nullable=False, comment="id of the sandbox, empty elsewhere"),
    Column("since", Double, nullable=False, comment="when the address was first seen, or confirmed"),
    Column("current", Boolean, nullable=False, comment="false: an address the account no longer has"),
    UniqueConstraint("account", "mode", "address", "sandbox"),
    comment="accounts, each in one mode at one address",
)

state = Table(
    "state",
    metadata,
    Column("scope", Integer, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("sync", Text, nullable=False, comment="a key belongs to one sync"),
    Column("as_of", Text, nullable=False, comment="the time of what it says; empty: taken over from what stood there"),
    Column("payload", Text, nullable=False, comment="the last payload that the API accepted"),
    Column(
        "fingerprint",
        Text,
        nullable=False,
        comment="hash of the payload in the form that is compared; empty: it may have changed since",
    ),
    Column("fingerprint_version", Integer, nullable=False, comment="which way of hashing"),
    Column("remote_id", Text, comment="the API's own id, where its answers tell it"),
    Column("partition", Text, nullable=False, comment="where its newest row stands"),
    Column("accepted_at", Double, nullable=False),
    Column("run", Text, nullable=False, comment="the run that delivered it, or adopt:... of `pipelines adopt`"),
    Column("removed_at", Double, comment="the key was taken away; what stood there remains here"),
    sqlite_with_rowid=False,
    comment="what was last accepted at each key",
)

attempts = Table(
    "attempts",
    metadata,
    Column("scope", Integer, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("sync", Text, nullable=False),
    Column("as_of", Text, nullable=False),
    Column("payload", Text, nullable=False, comment="what was sent"),
    Column("fingerprint", Text, nullable=False),
    Column("partition", Text, nullable=False),
    Column("rows", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("at", Double, nullable=False),
    sqlite_with_rowid=False,
    comment="committed before the request leaves, gone with its answer: what stands here may or may not have arrived",
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", _row_id, primary_key=True),
    Column("scope", Integer, nullable=False),
    Column("sync", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("partition", Text, nullable=False),
    Column("as_of", Text, nullable=False),
    Column("outcome", Text, nullable=False, comment="created, updated, accepted; removed"),
    Column("status", Integer, comment="HTTP status; empty where a read-back settled it"),
    Column("old", Text, comment="the payload that stood there before, as far as the ledger knew"),
    Column("new", Text, nullable=False, comment="JSON null for a removal"),
    Column("rows", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("config", Text, nullable=False, comment="hash of the sync's configuration"),
    Column("at", Double, nullable=False),
    Index("deliveries_by_key", "scope", "key"),
    Index("deliveries_by_time", "at"),
    comment="append-only: every accepted change",
)

open_outcomes = Table(
    "open_outcomes",
    metadata,
    Column("scope", Integer, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("sync", Text, nullable=False),
    Column("partition", Text, nullable=False),
    Column("as_of", Text, nullable=False),
    Column("outcome", Text, nullable=False, comment="rejected, failed, unknown, not_sent; removal_failed"),
    Column("reason", Text, nullable=False, comment="the API's own words, or why it was not sent"),
    Column("status", Integer, comment="HTTP status, where there was an answer"),
    Column("payload", Text, nullable=False),
    Column("tries", Integer, nullable=False, comment="runs that ended so for this key"),
    Column("first_at", Double, nullable=False),
    Column("last_at", Double, nullable=False),
    Column("run", Text, nullable=False),
    Column("fingerprint", Text, nullable=False, server_default="", comment="of that payload"),
    Column(
        "same",
        Integer,
        nullable=False,
        server_default="0",
        comment="rejections of this very payload in a row; from the sync's park_after on it is parked",
    ),
    Index("open_outcomes_by_partition", "scope", "sync", "partition"),
    comment="what somebody or some later run has to come back to; gone when the key is settled",
)

paces = Table(
    "paces",
    metadata,
    Column("quota", Text, primary_key=True, comment="mode and account, or the name of what accounts share"),
    Column("state", Text, nullable=False, comment="JSON: the recent send times, and who has the turn"),
    Column(
        "reserved",
        Integer,
        nullable=False,
        comment="sends the holder may have made since `state` was written",
    ),
    comment="how fast an allowance was used, as it passes from one holder of the turn to the next",
)

waiters = Table(
    "waiters",
    metadata,
    Column("id", Text, primary_key=True, comment="drawn by lot"),
    Column("quota", Text, nullable=False, comment="as in paces"),
    Column("priority", Integer, nullable=False, comment="0 scheduled, 1 manual, 2 backfill, 3 check"),
    Column("since", Double, nullable=False),
    Column("seen", Double, nullable=False, comment="sign of life; older than a few seconds: gone"),
    comment="who wants to send for an account next",
)

reads = Table(
    "reads",
    metadata,
    Column("scope", Integer, primary_key=True),
    Column("sync", Text, primary_key=True),
    Column("partition", Text, primary_key=True),
    Column("read_at", Double, nullable=False, comment="when the run that read it last began to; the ledger's clock"),
    Column("run", Text, nullable=False),
    Column("done", Boolean, nullable=False, comment="that run has left nothing of it undelivered"),
    sqlite_with_rowid=False,
    comment="the newest reading of each partition: what an older reader would still change is up to the newer one",
)

contacts = Table(
    "contacts",
    metadata,
    Column("scope", Integer, primary_key=True),
    Column("sync", Text, primary_key=True),
    Column("since", Double, nullable=False),
    Column("policy", Text, nullable=False, comment="take_over, keep, trusted; known: had state before contacts"),
    Column("found", Text, nullable=False, comment="JSON: how many keys were same, differ, only_here, only_there"),
    comment="syncs that may write to an account: somebody has looked at what stood there before",
)

holds = Table(
    "holds",
    metadata,
    Column("sync", Text, primary_key=True),
    Column("since", Double, nullable=False),
    Column("who", Text, nullable=False),
    Column("reason", Text, nullable=False),
    comment="syncs that send nothing until they are released",
)

acknowledged = Table(
    "acknowledged",
    metadata,
    Column("sync", Text, primary_key=True),
    Column("partition", Text, primary_key=True),
    Column(
        "tried",
        Text,
        nullable=False,
        comment="the runs that tried it last and failed, of its table and of the sync; with another try this is over",
    ),
    Column("since", Double, nullable=False),
    Column("who", Text, nullable=False),
    Column("reason", Text, nullable=False),
    sqlite_with_rowid=False,
    comment="partitions whose trouble somebody puts up with: they are shown, and no longer red",
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", _row_id, primary_key=True),
    Column("at", Double, nullable=False),
    Column(
        "what",
        Text,
        nullable=False,
        comment="adopt, hold, release, retry, override, confirm, rename, acknowledge, withdraw",
    ),
    Column("sync", Text, nullable=False, comment="the sync, or the account where it is about one"),
    Column("who", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("run", Text, nullable=False, comment="empty for a command"),
    comment="append-only: what people decided",
)
