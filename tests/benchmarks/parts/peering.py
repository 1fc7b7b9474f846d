"""Peers: other programs on the same rows, each in its own process, from an environment of their own."""

from __future__ import annotations

import resource
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.benchmarks.parts.machine import Timed, ratio, say
from tests.benchmarks.parts.server import Server

_SCRIPTS = Path(__file__).parent.parent / "peers"


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
        """The same rows twice: how fast they arrive, and what an unchanged run sends again.

        `rows_per_second` is that between the first and the last request: what the peer does before is not held
        against it.
        """
        with tempfile.TemporaryDirectory() as name:
            first, counts, arrivals = self._run(peer, rows, Path(name))
            second, again, _ = self._run(peer, rows, Path(name))
        figures = {
            "rows": rows.num_rows,
            "process_seconds": first.wall,
            "process_cpu_seconds": first.cpu,
            "process_seconds_when_unchanged": second.wall,
            "rows_per_second": _rate(rows.num_rows, arrivals),
            "most_in_flight": counts["most_in_flight"],
            "requests": counts["writes"],
            "requests_when_unchanged": again["writes"],
        }
        say(peer.name, figures)
        return figures

    def _run(self, peer: Peer, rows: pa.Table, folder: Path) -> tuple[Timed, dict[str, int], list[float]]:
        pq.write_table(rows, folder / "rows.parquet")
        self.server.reset()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with Timed() as timed:
            done = subprocess.run(
                [str(self.python), str(_SCRIPTS / peer.script), self.server.url, *peer.options],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        timed.cpu = round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 3)
        counts = self.server.counts()
        if done.returncode or counts["items"] != rows.num_rows:
            said = f"{done.stdout[-2000:]}{done.stderr[-2000:]}"
            msg = f"{peer.name} sent {counts['items']} of {rows.num_rows} rows: {said}"
            raise RuntimeError(msg)
        return timed, counts, self.server.arrivals()


def _rate(rows: int, arrivals: list[float]) -> float | None:
    """Rows a second, from the first request to the last, which is as long as all but one of them take."""
    seconds = arrivals[-1] - arrivals[0]
    return round(rows * (1 - 1 / len(arrivals)) / seconds, 1) if seconds else None


def peer_ratios(
    rows: int, product: dict[str, Any], peers: dict[str, Any] | None, given: Sequence[Peer]
) -> dict[str, float | None]:
    """Rows a second of our whole run, to those of the fastest peer as it comes, and to the fastest of all."""
    speeds = {peer: (peers or {}).get(peer.name, {}).get("rows_per_second") or 0.0 for peer in given}
    as_they_come = max(speed for peer, speed in speeds.items() if not peer.tuned)
    rate = rows / product["seconds"]
    return {"to_peers_as_they_come": ratio(rate, as_they_come), "to_best_peer": ratio(rate, max(speeds.values()))}
