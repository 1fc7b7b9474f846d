"""When a deployment's standing checks look."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from pipelines.tables.times import TIME_OF_DAY, Timezone


class StandingSpec(BaseModel):
    """When the standing checks look; there is one of it at most. What they look for stands at each table and sync."""

    model_config = ConfigDict(extra="forbid")

    at: str = Field(default="07:00", pattern=TIME_OF_DAY, description="Time of day in the timezone: 07:00.")
    timezone: Timezone = Field(default="UTC", description="IANA name, such as America/New_York.")
