"""The last metres: how a reply leaves the server, whole, or in all the ways in which it should not.

Dropping a connection or sending what is no HTTP needs the transport, which ASGI hides. `raw_protocol` hands it over:
it is uvicorn's own protocol with the transport put into each request's scope.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from pipelines.sandbox.web import Reply

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_TRANSPORT = "pipelines.sandbox.transport"


class _RawProtocol(AutoHTTPProtocol):
    app: AsgiApp

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        app = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            scope[_TRANSPORT] = transport
            await app(scope, receive, send)

        self.app = with_transport


def raw_protocol() -> type[asyncio.Protocol]:
    """The protocol class for uvicorn's `http` setting: the fastest that is installed, with the transport in reach."""
    return _RawProtocol


class Wire:
    """One request's way back to its client."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send

    async def read_body(self) -> bytes | None:
        """The whole body of the request; None where the client left before it was through."""
        message = await self._receive()
        body = message.get("body", b"")
        while message.get("more_body"):
            message = await self._receive()
            body += message.get("body", b"")
        return None if message["type"] == "http.disconnect" else body

    async def answer(self, reply: Reply) -> None:
        """Send a reply as it is."""
        await self._send({"type": "http.response.start", "status": reply.status, "headers": reply.wire_headers()})
        await self._send({"type": "http.response.body", "body": reply.body})

    async def answer_and_close(self, reply: Reply) -> None:
        """Send a reply as one after which the connection is kept, then close it."""
        await self.answer(reply)
        self._transport().close()

    async def answer_slowly(self, reply: Reply, seconds: float, pieces: int) -> None:
        """Send the head at once and the body in pieces over a time."""
        await self._send({"type": "http.response.start", "status": reply.status, "headers": reply.wire_headers()})
        size = max(1, -(-len(reply.body) // pieces))
        for start in range(0, len(reply.body), size):
            await asyncio.sleep(seconds / pieces)
            piece = reply.body[start : start + size]
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        await self._send({"type": "http.response.body", "body": b""})

    async def answer_in_part(self, reply: Reply, kept: int) -> None:
        """Promise the whole body (or ten bytes where there is none), send `kept` bytes of it, and close."""
        promised = len(reply.body) or 10
        head = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}".encode()]
        head += [name + b": " + value for name, value in reply.headers]
        head.append(b"content-length: %d" % promised)
        await self.send_raw(b"\r\n".join(head) + b"\r\n\r\n" + reply.body[:kept])

    async def send_raw(self, data: bytes) -> None:
        """Write bytes past HTTP, and close."""
        transport = self._transport()
        transport.write(data)
        transport.close()
        await self.wait_until_gone()

    async def drop(self) -> None:
        """Close the connection without a word."""
        self._transport().abort()
        await self.wait_until_gone()

    async def wait_until_gone(self) -> None:
        """Wait until the client has left, or the connection is closed."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def _transport(self) -> Any:
        return self._scope[_TRANSPORT]
