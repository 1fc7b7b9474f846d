"""feedback.house: the areas of a company, each with its parent, delivered in batches."""

from pipelines.destinations.feedback_house.api import FeedbackHouse
from pipelines.destinations.feedback_house.mapping import FeedbackHouseSpec
from pipelines.destinations.feedback_house.settings import FeedbackHouseSettings

__all__ = ["FeedbackHouse", "FeedbackHouseSettings", "FeedbackHouseSpec"]
