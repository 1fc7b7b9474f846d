"""A bench for whatever is delivered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.delivery.fakes import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A ledger of its own, and an API that holds nothing."""
    bench = Bench(tmp_path)
    yield bench
    bench.close()
