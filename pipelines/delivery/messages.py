"""What crosses the HTTP port: a request of ours, and one of three things that can become of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import orjson

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


@dataclass(frozen=True, slots=True)
class Request:
    """A request relative to its account's base URL; credentials are added by the port, never here.

    `path` is already percent-encoded and starts with a slash. `body` is JSON text.
    `repeatable`: sending it twice has no effect that anybody notices, so that it may be resent after `Lost`.
    """

    method: Method
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Answer:
    """The server answered. `headers` have lower-case names; `seconds` is the time from send to the last byte."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The body as JSON, or None where it is empty, HTML, cut off or otherwise no JSON."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None

    def text(self, limit: int = 300) -> str:
        """The body as one line of text, shortened."""
        line = " ".join(self.body.decode("utf-8", "replace").split())
        return line if len(line) <= limit else f"{line[: limit - 1]}…"


@dataclass(frozen=True, slots=True)
class NotSent:
    """The request certainly never reached the server: refused, no such host, TLS failure, no connection in time."""

    reason: str
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Lost:
    """The request may or may not have been acted upon: the connection broke or the answer never came."""

    reason: str


Exchange = Answer | NotSent | Lost


class Port(Protocol):
    """The one way out: sends a request once, as it is, and never raises for what the network or the server does."""

    async def send(self, request: Request) -> Exchange:
        """Send once. No retry, no redirect, no cookie."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


class Call(Protocol):
    """The engine's side of the port, as destinations use it: paced, counted, retried by the rules of `retry`.

    Raises:
        AccountStopped: on 401 and 415, and after 402 or 403 several times in a row.
        AccountUnavailable: when the circuit breaker gave up, the run's time is over, or nothing listens.
    """

    async def __call__(self, request: Request) -> Exchange:
        """Send until the answer is final; a write that is `Lost` is returned as such, not resent, unless repeatable."""
        ...
