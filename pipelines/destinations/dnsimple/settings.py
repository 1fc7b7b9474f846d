"""DNSimple's account: address, token, number, and the documented limit.

Source: the general rules of developer.dnsimple.com/v2 for authentication and rate limits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field, SecretStr, field_validator

from pipelines.delivery.destination import Limits, Window
from pipelines.destinations.accounts import Settings, header_safe

DOCUMENTED = Limits((Window(2400, 3600.0),), in_flight=2)
"""2,400 requests an hour with credentials (developer.dnsimple.com/v2: rate limiting), shared by all of an account's
tokens; the headers of each answer may tell less."""


class DnsimpleSettings(Settings):
    """DNSIMPLE_TOKEN, DNSIMPLE_ACCOUNT (both required) and DNSIMPLE_URL of the account `dnsimple`."""

    api: ClassVar[str] = "dnsimple"
    live_limits: ClassVar[Limits] = DOCUMENTED
    sandbox_limits: ClassVar[Limits] = DOCUMENTED

    url: str = Field(default="https://api.dnsimple.com/v2", description="Base address of the API.")
    token: SecretStr = Field(description="API access token.")
    account: int = Field(ge=1, description="Number of the account, which stands in every path.")

    @field_validator("token")
    @classmethod
    def _usable(cls, token: SecretStr) -> SecretStr:
        return header_safe(token)

    def headers(self) -> Mapping[str, str]:
        """The token as bearer (developer.dnsimple.com/v2: authentication)."""
        return {"authorization": f"Bearer {self.token.get_secret_value()}", "accept": "application/json"}

    def secrets(self) -> tuple[str, ...]:
        """The token."""
        return (self.token.get_secret_value(),)

    def tenant(self) -> str:
        """The number of the account."""
        return str(self.account)
