"""`pipelines ledger schema`: the ledger's tables for people who ask it with SQL, written down from its own schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sqlalchemy import Table

from pipelines.commands.markdown import contents, grid, prose
from pipelines.delivery.ledger import schema

_TITLE = f"""\
# The ledger's tables

The ledger is one database: `ledger.db` in the home (SQLite), or whatever `PIPELINES_LEDGER_URL` names (PostgreSQL).
Read it as you like, and write nothing: what runs decide rests on it. `pipelines ledger` and `pipelines why` answer the
usual questions without SQL. `pipelines ledger schema` prints this page from the tables' own comments: edit those.

These are the tables of schema version {schema.SCHEMA_VERSION}. All times are Unix seconds: `datetime(at, 'unixepoch')`
in SQLite and `to_timestamp(at)` in PostgreSQL make them readable. Payloads are JSON text, `rows` JSON lists of row
numbers in the partition's stored extract. A `scope` is one account in one mode at one address.
"""

_USUAL: Mapping[str, str] = {
    "id": "number of the record, in the order of writing",
    "scope": "number of the account in `scopes`",
    "account": "name of the account",
    "sync": "name of the sync",
    "key": "what the record is about, within its account",
    "partition": "partition of the row that says so",
    "as_of": "the time of what it says",
    "payload": "what was to be sent",
    "fingerprint": "hash of the payload in the form that is compared",
    "rows": "JSON: numbers of the source rows in the partition",
    "run": "Dagster's id of the run",
    "at": "when",
    "since": "since when",
    "first_at": "when it was first so",
    "last_at": "when it was last so",
    "accepted_at": "when",
    "who": "login name of whoever ran the command",
    "reason": "why",
    "name": "name of the fact",
    "value": "its value",
}
"""What a column of this name means where its table does not say."""

QUERIES: Mapping[str, str] = {
    "What is open, by sync and reason": """\
SELECT a.account, a.mode, o.sync, o.outcome, o.reason, count(*) AS keys, min(o.first_at) AS since
FROM open_outcomes o JOIN scopes a ON a.id = o.scope AND a.current
GROUP BY a.account, a.mode, o.sync, o.outcome, o.reason
ORDER BY keys DESC""",
    "What one key was told, newest first": """\
SELECT d.at, d.outcome, d.old, d.new, d."partition", d."rows", d.run
FROM deliveries d JOIN scopes a ON a.id = d.scope
WHERE a.account = 'stativate' AND a.mode = 'live' AND d.key = 'on_time_pct-EWR-AA'
ORDER BY d.id DESC LIMIT 20""",
    "What a run delivered, by sync and outcome": """\
SELECT sync, outcome, count(*) AS keys, min(at) AS first, max(at) AS last
FROM deliveries WHERE run = 'the id of the run in Dagster'
GROUP BY sync, outcome""",
    "What was delivered of each partition, and when last": """\
SELECT sync, "partition", count(DISTINCT key) AS keys, count(*) AS deliveries, max(at) AS last
FROM deliveries GROUP BY sync, "partition"
ORDER BY last DESC""",
    "Where a configuration changed: the first delivery under each": """\
SELECT sync, config, min(at) AS since, count(*) AS deliveries
FROM deliveries GROUP BY sync, config
ORDER BY since""",
    "What each sync holds at its account": """\
SELECT a.account, a.mode, s.sync, count(*) AS keys, count(s.removed_at) AS removed, max(s.accepted_at) AS last
FROM state s JOIN scopes a ON a.id = s.scope AND a.current
GROUP BY a.account, a.mode, s.sync""",
    "Sent, and never answered": """\
SELECT a.account, t.sync, t.key, t.run, t.at
FROM attempts t JOIN scopes a ON a.id = t.scope AND a.current
ORDER BY t.at""",
    "Who decided what, newest first": """\
SELECT at, what, sync, who, reason, run FROM decisions ORDER BY id DESC LIMIT 50""",
}
"""Questions, and the SQL that answers them in SQLite and PostgreSQL alike."""


def render() -> str:
    """The document, as Markdown."""
    tables = [_section(table) for table in schema.metadata.sorted_tables]
    queries = [f"### {question}\n\n```sql\n{sql};\n```\n" for question, sql in QUERIES.items()]
    parts = ["## Tables\n", *tables, "## Queries\n", *queries]
    return "\n".join([_TITLE, contents(parts), *parts])


def _section(table: Table) -> str:
    return f"### {table.name}\n\n{prose(_sentence(table.comment or ''))}\n\n" + grid(
        ("Column", "Type", "Key", "Meaning"), _columns(table)
    )


def _columns(table: Table) -> Iterator[tuple[str, ...]]:
    for column in table.columns:
        kind = column.type.__class__.__name__.lower() + (" or null" if column.nullable else "")
        yield (
            f"`{column.name}`",
            kind,
            "yes" if column.primary_key else "",
            prose(column.comment or _USUAL[column.name]),
        )


def _sentence(comment: str) -> str:
    return f"{comment[:1].upper()}{comment[1:]}." if comment else ""
