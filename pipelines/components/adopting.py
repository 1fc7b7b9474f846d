"""First contact of a sync with its account: what it would cost to look, the look, and what is written down."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

from pipelines.components.said import newest_upserts
from pipelines.components.sync_run import config_hash
from pipelines.components.way import Errand, open_way
from pipelines.delivery.adoption import Adoption, Findings, Policy, Progress
from pipelines.delivery.destination import Effort, Surveying
from pipelines.delivery.errors import ConfigurationError
from pipelines.delivery.ledger import Ledger, Priority, Run
from pipelines.delivery.report import Traffic
from pipelines.delivery.upsert import Upsert
from pipelines.destinations.accounts import Account, read_account
from pipelines.destinations.base import SyncSpec
from pipelines.home import Home
from pipelines.tables.store import PartitionStore


@dataclass(frozen=True, slots=True)
class Contact:
    """A sync, its account, and the newest upsert of each key that the source has."""

    sync: SyncSpec
    home: Home
    account: Account
    upserts: Mapping[str, Upsert]

    @classmethod
    def of(cls, sync: SyncSpec, home: Home) -> Contact:
        """Read the account's settings and the stored rows; nothing is asked of the API.

        Raises:
            ConfigurationError: a setting is missing or wrong, or the table was never extracted.
            AccountUnavailable: mode sandbox, and this home never had a sandbox.
            TableError: a stored partition cannot be read.
        """
        account = read_account(sync.account, sync.settings, sync.mode, home=home)
        upserts = newest_upserts(sync, PartitionStore(home.store_url))
        if not upserts:
            raise ConfigurationError(
                f"sync {sync.name}: no stored row of {sync.table} makes an upsert, so that there is nothing to compare",
                do=f"Materialize {sync.table} first, all partitions that are to be delivered.",
            )
        return cls(sync, home, account, upserts)

    def effort(self) -> Effort | None:
        """What a look costs at most; None: this API cannot be surveyed."""
        destination = self.sync.connect(self.account)
        return destination.effort([*self.upserts.values()]) if isinstance(destination, Surveying) else None

    def look(self, policy: Policy | None, *, shown: int, progress: Progress | None = None) -> Findings:
        """Look at the account, and write down what is seen under the policy; `trusted` does not look.

        Raises:
            AccountStopped, AccountUnavailable: the account cannot be read.
            AddressChanged: a live account has state under another address.
            LedgerError: the ledger cannot be used.
        """
        return asyncio.run(self._look(policy, shown, progress))

    async def _look(self, policy: Policy | None, shown: int, progress: Progress | None) -> Findings:
        with closing(Ledger(self.home.ledger_url)) as ledger:
            async with open_way(self.sync, self.account, ledger, Errand(Priority.MANUAL, Traffic())) as way:
                run = Run(f"adopt:{uuid.uuid4()}", self.sync.name, config_hash(self.sync))
                adoption = Adoption(
                    way.ledger,
                    way.scope,
                    run,
                    way.turn,
                    way.destination,
                    way.caller,
                    policy=policy,
                    shown=shown,
                    progress=progress,
                )
                return adoption.trust() if policy is Policy.TRUSTED else await adoption.look(self.upserts)
