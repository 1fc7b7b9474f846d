"""Which benchmarks there are: every module of this package that has `add_arguments` and `run`."""

from __future__ import annotations

import argparse
import pkgutil
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol


class Benchmark(Protocol):
    """The shape of a benchmark's module."""

    __doc__: str | None

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the sizes and other options, each with a default."""
        ...

    def run(self, arguments: argparse.Namespace) -> dict[str, Any]:
        """Measure; progress goes to standard error. Returns the figures, as JSON."""
        ...


def found() -> dict[str, Benchmark]:
    """The benchmarks by name, as it is written on the command line."""
    modules: dict[str, Any] = {
        one.name: import_module(f"tests.benchmarks.{one.name}")
        for one in pkgutil.iter_modules([str(Path(__file__).parent)])
        if not one.ispkg and not one.name.startswith(("_", "test_"))
    }
    return {
        name.replace("_", "-"): module
        for name, module in modules.items()
        if hasattr(module, "run") and hasattr(module, "add_arguments")
    }
