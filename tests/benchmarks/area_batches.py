"""Areas, 100 in a request, to a server with 20 ms answers and no limit, beside transport, loop and peers."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipelines.tables.grains import SNAPSHOT
from tests.benchmarks.parts import clients, rows
from tests.benchmarks.parts.delivering import Cost, deliver
from tests.benchmarks.parts.machine import Timed, apart, ratio, say
from tests.benchmarks.parts.peering import Peer, Peers, peer_ratios
from tests.benchmarks.parts.server import Server

_BATCH = 100
PEERS = (
    Peer("dlt", "dlt_rows.py", ("areas",)),
    Peer("dlt in files, 20 workers", "dlt_rows.py", ("areas", "--files", "1000", "--workers", "20"), tuned=True),
    Peer("drt", "drt_rows.py", ("areas",)),
    Peer("singer", "singer_rows.py", ("areas",)),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Sizes, and where the peers are."""
    parser.add_argument("--rows", type=int, default=20_000, help="areas")
    parser.add_argument("--latency-ms", type=float, default=20, help="the server's answer time")
    parser.add_argument("--in-flight", type=int, default=16, help="requests in flight")
    parser.add_argument("--peers-python", type=Path, help="interpreter of an environment that has the peers")
    parser.add_argument("--peer-rows", type=int, default=20_000, help="areas of a peer")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure."""
    with tempfile.TemporaryDirectory() as name, Server(arguments.latency_ms) as server:
        folder = Path(name)
        rows.write_areas(folder, arguments.rows)
        environ = rows.accounts(server.url, folder / "home", arguments.in_flight)
        stored = apart(rows.store, rows.areas(), folder, environ, [SNAPSHOT])
        product: dict[str, Any] = {}
        for run_id in ("first", "second"):
            server.reset()
            with Timed() as process:
                cost: Cost = apart(deliver, rows.org(), environ, [SNAPSHOT], run_id)
            counts = server.counts()
            product[run_id] = {
                **cost.figures(),
                "process_seconds": process.wall,
                "writes_at_server": counts["writes"],
                "items_at_server": counts["items"],
                "most_in_flight": counts["most_in_flight"],
            }
            say("product", run_id, product[run_id])
        flat = pq.read_table(folder / "areas.parquet")
        requests = clients.area_requests(server.url, flat, _BATCH)
        wall, cpu = apart(clients.bare_transport, requests, arguments.in_flight)
        loop_wall, _ = apart(clients.plain_loop, requests)
        hash_wall, hash_cpu = apart(clients.read_and_hash, folder / "home" / "store" / "areas_valid")
        peers = None
        if arguments.peers_python is not None:
            several = Peers(arguments.peers_python, server)
            peers = {peer.name: several.measure(peer, flat.slice(0, arguments.peer_rows)) for peer in PEERS}
    rate = stored / product["first"]["seconds"]
    return {
        "rows": stored,
        "batch": _BATCH,
        "latency_ms": arguments.latency_ms,
        "in_flight": arguments.in_flight,
        "product": product,
        "rows_per_second": round(rate, 1),
        "transport": {"seconds": wall, "cpu_seconds": cpu, "rows_per_second": round(stored / wall, 1)},
        "loop": {"rows_per_second": round(stored / loop_wall, 1)},
        "read_and_hash": {"seconds": hash_wall, "cpu_seconds": hash_cpu},
        "peers": peers,
        "ratios": {
            "of_transport": ratio(rate, stored / wall),
            "to_loop": ratio(rate, stored / loop_wall),
            "unchanged_to_read_and_hash": ratio(product["second"]["seconds"], hash_wall),
            **peer_ratios(stored, product["first"], peers, PEERS),
        },
    }
