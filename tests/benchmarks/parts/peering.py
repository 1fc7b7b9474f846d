"""Peers: other programs on the same rows, each in its own process, from an environment of their own."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.benchmarks.parts.machine import Timed, say
from tests.benchmarks.parts.server import Server

_SCRIPTS = Path(__file__).parent.parent / "peers"
_FEW = 20
"""A run of so many rows tells what starting costs."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A program under `peers/`, and its options."""

    name: str
    script: str
    options: tuple[str, ...] = ()
    tuned: bool = False


@dataclass(frozen=True, slots=True)
class Peers:
    """The peers' interpreter, and the server that they send to."""

    python: Path
    server: Server

    def measure(self, peer: Peer, rows: pa.Table) -> dict[str, Any]:
        """The same rows twice, and a few of them: rows a second beyond the start, and what an unchanged run resends."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            few, _ = self._run(peer, rows.slice(0, _FEW), folder / "few")
            first, counts = self._run(peer, rows, folder / "all")
            second, again = self._run(peer, rows, folder / "all")
        beyond = rows.num_rows - _FEW
        figures = {
            "rows": rows.num_rows,
            "start_seconds": few,
            "first_seconds": first,
            "second_seconds": second,
            "rows_per_second": round(beyond / (first - few), 1) if beyond > 0 and first > few else None,
            "most_in_flight": counts["most_in_flight"],
            "requests": counts["writes"],
            "requests_when_unchanged": again["writes"],
        }
        say(peer.name, figures)
        return figures

    def _run(self, peer: Peer, rows: pa.Table, folder: Path) -> tuple[float, dict[str, int]]:
        folder.mkdir(exist_ok=True)
        pq.write_table(rows, folder / "rows.parquet")
        self.server.reset()
        with Timed() as timed:
            done = subprocess.run(
                [str(self.python), str(_SCRIPTS / peer.script), self.server.url, *peer.options],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
        counts = self.server.counts()
        if done.returncode or counts["items"] != rows.num_rows:
            said = f"{done.stdout[-2000:]}{done.stderr[-2000:]}"
            msg = f"{peer.name} sent {counts['items']} of {rows.num_rows} rows: {said}"
            raise RuntimeError(msg)
        return timed.wall, counts
