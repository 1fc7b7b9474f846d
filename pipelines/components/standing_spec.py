"""When a deployment's standing checks look."""

from __future__ import annotations

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator


class StandingSpec(BaseModel):
    """When the standing checks look; there is one of it at most. What they look for stands at each table and sync."""

    model_config = ConfigDict(extra="forbid")

    at: str = Field(
        default="07:00", pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="Time of day in the timezone: 07:00."
    )
    timezone: str = Field(default="UTC", description="IANA name, such as America/New_York.")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            msg = f"{value!r} is no IANA timezone; write it like Europe/Berlin"
            raise ValueError(msg) from None
        return value
