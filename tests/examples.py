"""How many examples hypothesis tries where a test cannot afford the usual hundred."""

from __future__ import annotations

import os

_MORE = 4


def examples(few: int) -> int:
    """So many at a desk, and four times as many where CI is set."""
    return few * _MORE if os.environ.get("CI") else few
