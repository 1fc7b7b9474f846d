"""Requests and answers as they cross the port, for people: without secrets, shortened."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlencode

from pipelines.components.way import OpenPort, http_port
from pipelines.delivery.messages import Answer, Exchange, Port, Request
from pipelines.destinations.accounts import Account

_BODY = 2_000
"""Characters of a body that are shown."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A request and what became of it. `status` None: no answer, and `answer` says why. `seconds`: until its end."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: str
    status: int | None
    answer: str
    seconds: float | None


Show = Callable[[Seen], None]


def watched(show: Show, open_port: OpenPort = http_port) -> OpenPort:
    """Ports that show each request as soon as it is answered, or lost."""

    @asynccontextmanager
    async def opened(account: Account) -> AsyncIterator[Port]:
        async with open_port(account) as port:
            yield _Watched(port, account, show)

    def watch(account: Account) -> AbstractAsyncContextManager[Port]:
        return opened(account)

    return watch


class _Watched:
    def __init__(self, port: Port, account: Account, show: Show) -> None:
        self._port = port
        self._account = account
        self._show = show

    async def send(self, request: Request) -> Exchange:
        exchange = await self._port.send(request)
        self._show(self._seen(request, exchange))
        return exchange

    async def aclose(self) -> None:
        await self._port.aclose()

    def _seen(self, request: Request, exchange: Exchange) -> Seen:
        account = self._account
        query = f"?{urlencode(request.query)}" if request.query else ""
        headers = {**account.headers, **request.headers}
        answered = exchange if isinstance(exchange, Answer) else None
        return Seen(
            request.method,
            account.redact(f"{account.url}{request.path}{query}"),
            {name: account.redact(value) for name, value in headers.items()},
            self._text(request.body or b""),
            answered.status if answered else None,
            self._text(answered.body) if answered else account.redact(getattr(exchange, "reason", "")),
            answered.seconds if answered else None,
        )

    def _text(self, body: bytes) -> str:
        # Half a secret would not be found any more, so shortening comes last.
        text = self._account.redact(body.decode("utf-8", "replace"))
        return text if len(text) <= _BODY else f"{text[:_BODY]}… ({len(text):,} characters)"
