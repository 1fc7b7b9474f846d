"""The names of a table's three assets, and of what is stored beside them."""

from __future__ import annotations


def valid_of(table: str) -> str:
    """The asset with the rows that keep the contract."""
    return f"{table}_valid"


def quarantine_of(table: str) -> str:
    """The asset with the rows that break it, and why."""
    return f"{table}_quarantine"


def suspects_of(table: str) -> str:
    """The quarantined rows in the form of valid ones, as far as they could be converted: whose keys they may be."""
    return f"{table}_suspects"
