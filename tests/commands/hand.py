"""Somebody who works at an account by hand, beside the product."""

from __future__ import annotations

from typing import Any

import httpx

from pipelines.destinations.accounts import Settings, read_account
from pipelines.destinations.dnsimple.settings import DnsimpleSettings
from pipelines.destinations.feedback_house.settings import FeedbackHouseSettings
from pipelines.destinations.stativate import StativateSettings
from pipelines.destinations.valuestreamer import ValueStreamerSettings
from pipelines.home import Home

_SETTINGS: dict[str, type[Settings]] = {
    one.api: one for one in (StativateSettings, ValueStreamerSettings, DnsimpleSettings, FeedbackHouseSettings)
}


def by_hand(home: Home, api: str, method: str, path: str, body: Any = None) -> Any:
    """Make a request to the sandbox; returns what its answer says."""
    account = read_account(api, _SETTINGS[api], "sandbox", home=home, environ={})
    headers = {**account.headers, "content-type": account.media_type}
    answer = httpx.request(method, f"{account.url}{path}", json=body, headers=headers)
    assert answer.is_success, answer.text
    return answer.json() if answer.content else None
