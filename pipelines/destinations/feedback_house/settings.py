"""feedback.house's account: address, the header of its key, and the documented limits.

Source: "Getting Started" of github.com/feedback-house/developer-portal (website/docs/api-getting-started.md): base
address, API keys, at most 10 requests a second and 10 MB a request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field, SecretStr, field_validator

from pipelines.delivery.destination import Limits, Window
from pipelines.destinations.accounts import Settings

DOCUMENTED = Limits((Window(10, 1.0),), in_flight=2)
"""At most 10 requests a second."""
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x21-\x7e]+( [\x21-\x7e]+)*")
_OURS = frozenset({"accept", "connection", "content-length", "content-type", "host", "transfer-encoding"})


class FeedbackHouseSettings(Settings):
    """FEEDBACK_HOUSE_AUTH_HEADER, _AUTH_VALUE (both required) and _URL of the account `feedback_house`."""

    api: ClassVar[str] = "feedback_house"
    live_limits: ClassVar[Limits] = DOCUMENTED
    sandbox_limits: ClassVar[Limits] = DOCUMENTED
    where_to_find: ClassVar[Mapping[str, str]] = {
        "auth_header": "The name of the header in which feedback.house expects its API key is documented nowhere, so "
        "that there is no default: ask feedback.house for it."
    }

    url: str = Field(default="https://api.feedback.house/api", description="Base address of the API.")
    auth_header: str = Field(
        description="Name of the header that carries the key. It is documented nowhere: ask feedback.house."
    )
    auth_value: SecretStr = Field(
        description='All that the header says: the key, with the scheme before it where there is one ("Bearer x").'
    )

    @field_validator("auth_header")
    @classmethod
    def _a_name(cls, name: str) -> str:
        if not _HEADER.fullmatch(name):
            msg = "it is no name of a header: write the name alone, without colon and value"
            raise ValueError(msg)
        if name.lower() in _OURS:
            msg = "this header carries no key: every request has it for another purpose"
            raise ValueError(msg)
        return name

    @field_validator("auth_value")
    @classmethod
    def _one_line(cls, value: SecretStr) -> SecretStr:
        if not _VALUE.fullmatch(value.get_secret_value()):
            msg = "it begins or ends with a space, or holds a line break or another character that no key has"
            raise ValueError(msg)
        return value

    def headers(self) -> Mapping[str, str]:
        """The key in the header that the account names."""
        return {self.auth_header.lower(): self.auth_value.get_secret_value(), "accept": "application/json"}

    def secrets(self) -> tuple[str, ...]:
        """The value, and the key alone where a scheme stands before it."""
        value = self.auth_value.get_secret_value()
        return tuple(dict.fromkeys((value, value.rpartition(" ")[2])))
