"""Times and timezones as they are written in YAML, for every specification that has some."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator

TIME_OF_DAY = r"^([01]\d|2[0-3]):[0-5]\d$"
"""05:30."""


def _known_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        msg = f"{value!r} is no IANA timezone; write it like Europe/Berlin"
        raise ValueError(msg) from None
    return value


Timezone = Annotated[str, AfterValidator(_known_zone)]
"""An IANA name of a timezone that this machine knows."""
