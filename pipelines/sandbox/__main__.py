"""`python -m pipelines.sandbox`."""

from __future__ import annotations

import sys

from pipelines.sandbox.serving import main

if __name__ == "__main__":
    sys.exit(main())
