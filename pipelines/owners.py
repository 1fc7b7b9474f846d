"""Who answers for a table or a sync, as it is written in YAML."""

from __future__ import annotations

OWNER = r"^(team:[A-Za-z0-9_.-]+|[A-Za-z0-9][A-Za-z0-9._%+-]*@[A-Za-z0-9][A-Za-z0-9.-]*\.[A-Za-z]{2,7})$"
"""A team or an e-mail address: what Dagster's catalog takes for an owner."""
