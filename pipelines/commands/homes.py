"""The demo's home: a folder of its own, beside whatever the user keeps."""

from __future__ import annotations

import os

from pipelines.home import Home

DEMO_START = "pipelines dev --demo"
"""The command that opens what the demo left behind."""


def demo_home() -> Home:
    """`demo` inside the user's home; it keeps its ledger and store to itself, wherever the user's are."""
    return Home.of({"PIPELINES_HOME": str(Home.of(os.environ).path / "demo")})
