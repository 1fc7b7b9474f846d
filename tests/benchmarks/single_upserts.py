"""One request per row: KPI datasets to a server with 20 ms answers and no limit, beside transport, loop and peers."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.parts import clients, rows
from tests.benchmarks.parts.delivering import Cost, deliver
from tests.benchmarks.parts.machine import Timed, apart, ratio, say
from tests.benchmarks.parts.peering import Peer, Peers, peer_ratios
from tests.benchmarks.parts.server import Server

_DAYS = 20
PEERS = (
    Peer("dlt", "dlt_rows.py", ("datasets",)),
    Peer("dlt in files, 64 workers", "dlt_rows.py", ("datasets", "--files", "100", "--workers", "64"), tuned=True),
    Peer("drt", "drt_rows.py", ("datasets",)),
    Peer("singer", "singer_rows.py", ("datasets",)),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Sizes, and where the peers are."""
    parser.add_argument("--rows", type=int, default=20_000, help="datasets of the product and the transport")
    parser.add_argument("--latency-ms", type=float, default=20, help="the server's answer time")
    parser.add_argument("--in-flight", type=int, default=64, help="requests in flight")
    parser.add_argument("--loop-rows", type=int, default=500, help="datasets of the plain loop")
    parser.add_argument("--peers-python", type=Path, help="interpreter of an environment that has the peers")
    parser.add_argument("--peer-rows", type=int, default=500, help="rows of a peer with one request in flight")
    parser.add_argument("--tuned-peer-rows", type=int, default=20_000, help="rows of a peer with many")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure."""
    with tempfile.TemporaryDirectory() as name, Server(arguments.latency_ms) as server:
        folder = Path(name)
        days = rows.days(min(_DAYS, arguments.rows))
        rows.write_readings(folder, arguments.rows, len(days))
        environ = rows.accounts(server.url, folder / "home", arguments.in_flight)
        stored = apart(rows.store, rows.readings(), folder, environ, days)
        say(f"{stored} rows are stored")
        product = _product(server, environ, days)
        flat = clients.flat_readings(folder)
        requests = clients.dataset_requests(server.url, flat)
        wall, cpu = apart(clients.bare_transport, requests, arguments.in_flight)
        loop_wall, _ = apart(clients.plain_loop, requests[: arguments.loop_rows])
        hash_wall, hash_cpu = apart(clients.read_and_hash, folder / "home" / "store" / "readings_valid")
        peers = None
        if arguments.peers_python is not None:
            several = Peers(arguments.peers_python, server)
            peers = {
                peer.name: several.measure(
                    peer, flat.slice(0, arguments.tuned_peer_rows if peer.tuned else arguments.peer_rows)
                )
                for peer in PEERS
            }
    rate = stored / product["first"]["seconds"]
    loop_rate = min(arguments.loop_rows, arguments.rows) / loop_wall
    return {
        "rows": stored,
        "latency_ms": arguments.latency_ms,
        "in_flight": arguments.in_flight,
        "product": product,
        "rows_per_second": round(rate, 1),
        "transport": {"seconds": wall, "cpu_seconds": cpu, "rows_per_second": round(len(requests) / wall, 1)},
        "loop": {"rows_per_second": round(loop_rate, 1)},
        "read_and_hash": {"seconds": hash_wall, "cpu_seconds": hash_cpu},
        "peers": peers,
        "ratios": {
            "of_transport": ratio(rate, len(requests) / wall),
            "cpu_to_transport": ratio(product["first"]["cpu_seconds"], cpu),
            "to_loop": ratio(rate, loop_rate),
            "unchanged_to_read_and_hash": ratio(product["second"]["seconds"], hash_wall),
            **peer_ratios(stored, product["first"], peers, PEERS),
        },
    }


def _product(server: Server, environ: dict[str, str], days: list[str]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for run_id in ("first", "second"):
        server.reset()
        with Timed() as process:
            cost: Cost = apart(deliver, rows.floor(), environ, days, run_id)
        counts = server.counts()
        figures[run_id] = {
            **cost.figures(),
            "process_seconds": process.wall,
            "writes_at_server": counts["writes"],
            "most_in_flight": counts["most_in_flight"],
        }
        say("product", run_id, figures[run_id])
    return figures
