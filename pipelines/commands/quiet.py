"""Warnings of Dagster about its own beta and preview features, which tell a user of the command line nothing."""

from __future__ import annotations

import warnings


def quiet_dagster() -> None:
    """Leave them out in this process."""
    import dagster as dg

    for category in (dg.BetaWarning, dg.PreviewWarning, dg.SupersessionWarning):
        warnings.simplefilter("ignore", category)
