"""Where a deployment keeps its own files, and how the parts of one machine find each other.

$PIPELINES_HOME/            default: a folder under the user's data directory
    ledger.db               unless PIPELINES_LEDGER_URL moves it
    store/                  unless PIPELINES_STORE_URL moves it
    dagster/                DAGSTER_HOME of `pipelines dev` and `pipelines demo`
    sandbox/                state of the sandbox
    sandbox.json            address, id and credentials of this home's sandbox
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson
from platformdirs import user_data_path

SANDBOX_URL = "http://127.0.0.1:4180"
"""Where `pipelines sandbox` listens unless told otherwise."""


def standing(path: Path) -> Path:
    """The path, or the nearest thing above it that is there."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


@dataclass(frozen=True, slots=True)
class SandboxCard:
    """What a running sandbox tells the syncs of the same home: `accounts` maps an API to its settings."""

    id: str
    url: str
    accounts: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of a deployment, and the addresses of the two stores that can be moved elsewhere."""

    path: Path
    ledger_url: str
    store_url: str

    @classmethod
    def of(cls, environ: Mapping[str, str] | None = None) -> Home:
        """The home that the environment names."""
        env = os.environ if environ is None else environ
        path = Path(env.get("PIPELINES_HOME") or user_data_path("pipelines")).expanduser().absolute()
        return cls(
            path=path,
            ledger_url=env.get("PIPELINES_LEDGER_URL") or f"sqlite:///{path / 'ledger.db'}",
            store_url=env.get("PIPELINES_STORE_URL") or str(path / "store"),
        )

    @property
    def dagster(self) -> Path:
        """The Dagster instance's folder."""
        return self.path / "dagster"

    @property
    def sandbox(self) -> Path:
        """The sandbox's state."""
        return self.path / "sandbox"

    @property
    def _card(self) -> Path:
        return self.path / "sandbox.json"

    def write_card(self, card: SandboxCard) -> None:
        """Tell the syncs of this home where the sandbox is."""
        self.path.mkdir(parents=True, exist_ok=True)
        draft = self._card.with_suffix(".tmp")
        draft.write_bytes(orjson.dumps({"id": card.id, "url": card.url, "accounts": dict(card.accounts)}))
        draft.replace(self._card)

    def read_card(self) -> SandboxCard | None:
        """The card of this home's sandbox; None where none was ever started."""
        try:
            card = orjson.loads(self._card.read_bytes())
        except FileNotFoundError:
            return None
        return SandboxCard(id=card["id"], url=card["url"], accounts=card["accounts"])
