"""The other side of `/control`: a small client for tests and the demo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import orjson

_TIMEOUT_S = 30.0
_direct = build_opener(ProxyHandler({}))
"""Loopback never goes through a proxy."""


class ControlError(Exception):
    """The sandbox refused an order; the message holds its words."""


class Control:
    """Steers the sandbox at an address."""

    def __init__(self, url: str) -> None:
        self._url = url

    def id(self) -> str:
        """The id of what the sandbox holds."""
        return self._ask("GET", "/id")["id"]

    def reset(self) -> str:
        """Empty it, forget switches, faults and counts; returns the new id."""
        return self._ask("POST", "/reset")["id"]

    def state(self, api: str) -> dict[str, Any]:
        """Everything that an API holds."""
        return self._ask("GET", f"/state/{api}")

    def counts(self, api: str | None = None) -> dict[str, Any]:
        """The counts of one API, or of all: `{"requests": n, "apis": {...}}`."""
        counts = self._ask("GET", "/counts")
        return counts["apis"][api] if api else counts

    def reset_counts(self) -> None:
        """Count from nothing again."""
        self._ask("POST", "/counts/reset")

    def configure(self, **apis: Mapping[str, Any]) -> dict[str, Any]:
        """Change switches: `configure(stativate={"create_status": 201})`; returns all."""
        return self._ask("POST", "/config", apis)

    def add_faults(self, *rules: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
        """Add fault rules; returns all."""
        return self._ask("POST", "/faults", list(rules))

    def faults(self) -> Sequence[dict[str, Any]]:
        """The fault rules, with how many requests each matched and spoiled."""
        return self._ask("GET", "/faults")

    def clear_faults(self) -> None:
        """Take all fault rules away."""
        self._ask("DELETE", "/faults")

    def put_valuestreamer_meta(self, **meta: Any) -> None:
        """Add or replace ValueStreamer's `kpis`, `teams` and `users`; with `replace=True` drop the others."""
        self._ask("PUT", "/valuestreamer/meta", meta)

    def put_dnsimple_resources(self, *resources: str, replace: bool = False) -> None:
        """Let resources exist, such as `domain:123`; with `replace` only these."""
        self._ask("PUT", "/dnsimple/resources", {"resources": resources, "replace": replace})

    def put_feedback_house_users(self, *users: Mapping[str, Any]) -> None:
        """Let users exist, each with `id` (24 hexadecimal digits), `name` and perhaps `emails`."""
        self._ask("PUT", "/feedback_house/users", users)

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        request = Request(  # noqa: S310 - always http to loopback
            f"{self._url}/control{path}",
            data=None if body is None else orjson.dumps(body),
            headers={"content-type": "application/json"},
            method=method,
        )
        try:
            with _direct.open(request, timeout=_TIMEOUT_S) as answer:
                data = answer.read()
        except HTTPError as error:
            with error:
                msg = f"The sandbox refused {method} /control{path}: {error.read().decode('utf-8', 'replace')}"
            raise ControlError(msg) from None
        return orjson.loads(data) if data else None
