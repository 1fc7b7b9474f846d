"""Arrow's compute functions. They are made when pyarrow is imported, so that type checkers know nothing of them."""

from __future__ import annotations

from typing import Any

import pyarrow.compute

pc: Any = pyarrow.compute
