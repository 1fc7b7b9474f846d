"""`type: pipelines.FeedbackHouseSync`."""

from __future__ import annotations

from pipelines.components.sync import SyncComponent
from pipelines.destinations.feedback_house import FeedbackHouseSpec


class FeedbackHouseSync(FeedbackHouseSpec, SyncComponent):
    """Each area one area at feedback.house, under its parent."""
