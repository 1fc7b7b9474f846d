"""What a deployment needs around it, for `pipelines check`: home, ledger, store, and the environment's variables."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from sqlalchemy.engine import make_url

from pipelines.commands.fields import ENVIRONMENT
from pipelines.commands.rename import former_name
from pipelines.delivery.errors import ConfigurationError
from pipelines.delivery.ledger.renaming import owners
from pipelines.delivery.ledger.trial import live_address, trial
from pipelines.destinations.accounts import variable
from pipelines.destinations.base import SyncSpec
from pipelines.home import Home
from pipelines.tables.store import PartitionStore

_LIKELY = 0.88
"""So much alike is a variable outside of an account's name to be taken for a misspelt one of it."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger knows of the accounts: the hash of each live one's address, and who holds keys at each."""

    addresses: Mapping[str, str] = field(default_factory=dict)
    owners: Mapping[str, Collection[str]] = field(default_factory=dict)


def check_home(home: Home) -> str:
    """That the home is a folder, or may become one.

    Raises:
        ConfigurationError: it is a file.
    """
    if home.path.exists() and not home.path.is_dir():
        raise ConfigurationError(
            f"PIPELINES_HOME names {home.path}, which is a file", do="Name a folder; it is made where it is missing."
        )
    return str(home.path)


def check_store(home: Home) -> str:
    """That the partition store can be written. Raises as `PartitionStore.trial`."""
    store = PartitionStore(home.store_url)
    return f"{store.trial()} can be written"


def check_ledger(home: Home, accounts: Iterable[str]) -> tuple[Known, str]:
    """That the ledger can be opened and written, and what it knows.

    Raises:
        LedgerError: it cannot.
    """
    with trial(home.ledger_url) as connection:
        named = sorted(set(accounts))
        addresses = {name: found for name in named if (found := live_address(connection, name)) is not None}
        held = {name: list(owners(connection, name)) for name in named}
    return Known(addresses, held), f"{make_url(home.ledger_url).render_as_string(hide_password=True)} can be written"


def former_owners(known: Known, syncs: Iterable[SyncSpec]) -> Iterator[str]:
    """A sentence for each sync that holds keys at an account and is not in the deployment."""
    syncs = list(syncs)
    names = {sync.name for sync in syncs}
    for account, holders in known.owners.items():
        heirs = [sync.name for sync in syncs if sync.account == account and sync.name not in holders]
        for holder in holders:
            if holder not in names and heirs:
                new = next(iter(get_close_matches(holder, heirs, n=1, cutoff=0)), heirs[0])
                yield f"account {account}: {former_name(holder, new)}"


def unknown_variables(
    syncs: Iterable[SyncSpec], environ: Mapping[str, str], used: Collection[str] = ()
) -> Iterator[str]:
    """A sentence for each variable that looks like a setting and is none; `used` are those that files name."""
    own = dict.fromkeys(ENVIRONMENT, "the package")
    settings = {
        f"{variable(sync.account, field_name)}{ending}": f"account {sync.account}"
        for sync in syncs
        for field_name in sync.settings.model_fields
        for ending in ("", "_FILE")
    }
    known = {**own, **settings}
    prefixes = {f"{sync.account.upper()}_": f"account {sync.account}" for sync in syncs} | {"PIPELINES_": "the package"}
    for name in sorted(set(environ) - set(known) - set(used)):
        whose = next((prefixes[one] for one in sorted(prefixes, key=len, reverse=True) if name.startswith(one)), None)
        among = [one for one, owner in known.items() if whose in (None, owner)]
        close = get_close_matches(name, among, n=1, cutoff=0.5 if whose else _LIKELY)
        if whose or close:
            hint = f" Did you mean {close[0]}?" if close else ""
            yield f"{name} is no setting of {whose or known[close[0]]}, and nothing reads it.{hint}"
