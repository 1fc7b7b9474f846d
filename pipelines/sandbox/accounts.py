"""The sandbox's credentials. They are fixed and open secrets: they unlock nothing but a loopback server."""

from __future__ import annotations

from base64 import b64encode

STATIVATE_API_KEY = "sandbox"
VALUESTREAMER_USER = "sandbox"
VALUESTREAMER_PASSWORD = "sandbox"  # noqa: S105 - see the module's docstring

DNSIMPLE_TOKEN = "sandbox"  # noqa: S105 - see the module's docstring
DNSIMPLE_ACCOUNT = 1010
FEEDBACK_HOUSE_AUTH_HEADER = "x-api-key"
FEEDBACK_HOUSE_AUTH_VALUE = "sandbox"
"""The documents of feedback.house name neither header nor scheme: both are the sandbox's own choice."""


def basic(user: str, password: str) -> str:
    """The Authorization header of HTTP Basic."""
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def accounts(url: str) -> dict[str, dict[str, str]]:
    """The settings of one account per API, as a sandbox at this address wants them."""
    return {
        "stativate": {"URL": f"{url}/stativate/v1", "API_KEY": STATIVATE_API_KEY},
        "valuestreamer": {
            "URL": f"{url}/valuestreamer/api",
            "USER": VALUESTREAMER_USER,
            "PASSWORD": VALUESTREAMER_PASSWORD,
        },
        "dnsimple": {"URL": f"{url}/dnsimple/v2", "TOKEN": DNSIMPLE_TOKEN, "ACCOUNT": str(DNSIMPLE_ACCOUNT)},
        "feedback_house": {
            "URL": f"{url}/feedback-house/api",
            "AUTH_HEADER": FEEDBACK_HOUSE_AUTH_HEADER,
            "AUTH_VALUE": FEEDBACK_HOUSE_AUTH_VALUE,
        },
    }
