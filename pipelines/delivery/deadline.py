"""When a run must have ended."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.delivery.errors import AccountUnavailable


@dataclass(frozen=True, slots=True)
class Deadline:
    """`at` in epoch seconds: from then on nothing leaves. `minutes` is what the run was given, for people."""

    at: float
    minutes: float

    def error(self, who: str, what: str) -> AccountUnavailable:
        """What ends the run: `what` was not possible in time, for the account `who`."""
        return AccountUnavailable(
            f"account {who}: {what} within the {self.minutes:g} minutes that the run was given (max_minutes)",
            do="Nothing more was sent. Run the partitions again: only what is missing is sent. "
            "A run that needs longer needs a larger max_minutes in its sync.",
            account=who,
        )
