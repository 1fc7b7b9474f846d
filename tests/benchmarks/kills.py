"""Deliveries killed anywhere, over and over: what the APIs show in the end is what the source says.

Each API has a source that keeps changing, and a thread that lets processes deliver it and kills them: see `kill_hunt`.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pipelines.home import Home
from pipelines.sandbox.server import SandboxServer
from tests.benchmarks.kill_hunt import Hunt
from tests.benchmarks.kill_source import SYNCS
from tests.components.forking import forking

LATENCY_S = 0.02
_SETTINGS = {
    "STATIVATE_IN_FLIGHT": "2",
    "VALUESTREAMER_IN_FLIGHT": "2",
    # The documented limits would let no more than 2,400 requests out in an hour, and 8 in a second.
    "DNSIMPLE_RATE": "1000/s",
    "FEEDBACK_HOUSE_RATE": "1000/s",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the benchmark can be told."""
    parser.add_argument("--kills", type=int, default=200, metavar="N", help="processes to kill (default: 200)")
    parser.add_argument("--seed", type=int, default=None, help="of what is random; by default another one each time")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Kill so many deliveries; `lost`, `wrong`, `stale`, `resent` and `unsettled` must be 0 in the end."""
    seed = random.randrange(10**6) if arguments.seed is None else arguments.seed
    with tempfile.TemporaryDirectory(prefix="pipelines-kills-") as folder:
        return kill(Path(folder), arguments.kills, seed)


def kill(folder: Path, kills: int, seed: int, ledger_url: str = "") -> dict[str, Any]:
    """Kill so many deliveries, of all APIs side by side, in a home of their own."""
    started = time.monotonic()
    environ = {"PIPELINES_HOME": str(folder), **_SETTINGS}
    environ |= {"PIPELINES_LEDGER_URL": ledger_url} if ledger_url else {}
    context = forking()
    with SandboxServer.start(Home.of(environ), port=0) as server:
        server.control.configure(
            stativate={"latency_s": LATENCY_S},
            valuestreamer={"latency_s": LATENCY_S},
            dnsimple={"latency_s": LATENCY_S, "limit": None},
            feedback_house={"latency_s": 3 * LATENCY_S, "limit": None},
        )
        hunts = [
            Hunt(api, environ, server.control, context, random.Random(f"{seed} {api}"), kills // 4 + (at < kills % 4))
            for at, api in enumerate(SYNCS)
        ]
        with ThreadPoolExecutor(len(hunts)) as pool:
            list(pool.map(Hunt.run, hunts))
    tallies = {hunt.api: hunt.tally for hunt in hunts}
    result: dict[str, Any] = {"kills": sum(tally.kills for tally in tallies.values()), "seed": seed}
    for name in ("lost", "wrong", "stale", "resent", "unsettled"):
        found = [f"{api}: {one}" for api, tally in tallies.items() for one in getattr(tally, name)]
        result |= {name: len(found)} | ({f"{name}_examples": found[:5]} if found else {})
    return result | {
        "settled": {api: dict(tally.settled) for api, tally in tallies.items()},
        "runs": sum(tally.runs for tally in tallies.values()),
        "kill_points": dict(sum((tally.points for tally in tallies.values()), Counter[str]())),
        "seconds": round(time.monotonic() - started, 1),
    }
