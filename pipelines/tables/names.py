"""The names of a table's three assets."""

from __future__ import annotations


def valid_of(table: str) -> str:
    """The asset with the rows that keep the contract."""
    return f"{table}_valid"


def quarantine_of(table: str) -> str:
    """The asset with the rows that break it, and why."""
    return f"{table}_quarantine"
