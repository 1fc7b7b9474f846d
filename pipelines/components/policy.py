"""What holds for every asset of a deployment."""

from __future__ import annotations

OWNER = "team:data-platform"
"""Who answers for an asset, shown in Dagster's catalog."""
TABLE_CHUNK = 92
"""Partitions per run when a table is backfilled: one query each, and memory for about a quarter of daily rows."""
SYNC_CHUNK = 31
"""Partitions per run when a sync is backfilled: what a retry after a failed day repeats at most."""
