"""Deliveries in processes of their own, forked from one that has imported everything and runs no threads."""

from __future__ import annotations

import multiprocessing
import threading
import time
from multiprocessing.context import ForkServerContext, ForkServerProcess

_one_at_a_time = threading.Lock()
_POLL_S = 0.005


def forking() -> ForkServerContext:
    """Where processes come from."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "tests.benchmarks.kills"])
    return context


def start(process: ForkServerProcess) -> None:
    """Start a process beside others that other threads wait for.

    Starting one also looks which of all have ended; of two threads that look at once, one would be told nonsense.
    """
    with _one_at_a_time:
        process.start()


def is_alive(process: ForkServerProcess) -> bool:
    """Whether it runs, while other threads start others."""
    with _one_at_a_time:
        return process.is_alive()


def wait_for_end(process: ForkServerProcess, seconds: float) -> None:
    """Wait until it has ended, while other threads start others."""
    deadline = time.monotonic() + seconds
    while is_alive(process) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
