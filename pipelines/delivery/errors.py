"""Every error of the product, split by what its reader does next.

PipelinesError
 +- ConfigurationError     mend what you wrote: a field, a setting, a file; nothing was sent
 |   +- MissingSetting     an environment variable is not set
 +- TableError             the source cannot be used: unreadable, a column is missing, no rows
 |   +- SourceUnavailable  try again later: the source cannot be reached, or somebody else holds it
 +- AccountStopped         the account must be left alone until a person has acted
 |   +- CredentialsRefused 401
 |   +- MediaTypeRefused   415
 |   +- PlanRefused        402 or 403 several times in a row
 |   +- AddressChanged     the account's address is not the one the ledger knows
 +- AccountUnavailable     try again later: unreachable, or failing again and again
 +- LedgerError            the ledger cannot be used: a newer schema, another holder

What concerns one upsert only (rejected, unknown) is no exception but an `Outcome`: one bad row blocks nothing but
itself.
All of them pickle, since Dagster may carry them from one process to another.
"""

from __future__ import annotations

from typing import Any


class PipelinesError(Exception):
    """Base of the tree. `what` says what was tried and on what, `do` what the reader should do next."""

    def __init__(self, what: str, *, do: str = "", **facts: Any) -> None:
        super().__init__(what, do, facts)
        self.what = what
        self.do = do
        self.facts = facts

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.what, self.do, self.facts)

    def __str__(self) -> str:
        sentence = self.what if self.what.endswith((".", "!", "?")) else f"{self.what}."
        return f"{sentence} {self.do}".rstrip()


def _rebuild(kind: type[PipelinesError], what: str, do: str, facts: dict[str, Any]) -> PipelinesError:
    return kind(what, do=do, **facts)


class ConfigurationError(PipelinesError):
    """Something the user wrote is wrong; nothing was sent."""


class MissingSetting(ConfigurationError):
    """A required environment variable is not set. Facts: `setting`."""


class TableError(PipelinesError):
    """A source table cannot be used. Facts, where known: `table`, `column`, `partitions`, `file`."""


class SourceUnavailable(TableError):
    """The source itself may be well, but is away or in use now: a later try may succeed, and nobody need mend it."""


class AccountStopped(PipelinesError):
    """Nothing more may be sent for this account until a person has acted. Facts: `account`, `status`."""


class CredentialsRefused(AccountStopped):
    """The API answered 401: every further try would drain a quota or lock the user out."""


class MediaTypeRefused(AccountStopped):
    """The API answered 415: the media type is wrong for every request alike."""


class PlanRefused(AccountStopped):
    """The API answered 402 or 403 several times in a row with no acceptance between."""


class AddressChanged(AccountStopped):
    """The account's base address differs from the one its ledger state belongs to."""


class AccountUnavailable(PipelinesError):
    """The API cannot be reached or keeps failing; what was not sent stays `not sent`. Facts: `account`."""


class LedgerError(PipelinesError):
    """The ledger cannot be used as it is."""
