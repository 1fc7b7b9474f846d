"""Deliveries in processes of their own, forked from one that has imported everything and runs no threads."""

from __future__ import annotations

import multiprocessing
from multiprocessing.context import ForkServerContext


def forking() -> ForkServerContext:
    """Where processes come from."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "tests.benchmarks.kills"])
    return context
