"""A server of raw bytes on loopback: what it does with each request is a function of a few lines."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from pipelines.delivery.http import HttpPort


@dataclass(frozen=True, slots=True)
class Heard:
    """A request as it arrived; `connection` counts from 1, header names are lower-case."""

    connection: int
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


def port_to(url: str, **changes: Any) -> HttpPort:
    """A port as an account would have it, but for the changes."""
    return HttpPort(**{"base_url": url, "headers": {}, "max_connections": 4, "timeout_s": 5, **changes})


Act = Callable[[Heard, asyncio.StreamWriter], Awaitable[None]]
"""What the server does with a request; closing the writer ends the connection."""


@dataclass(slots=True)
class Wire:
    """A running server: its base URL, what it heard, how many connections it took and how many were open at once."""

    url: str
    heard: list[Heard] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    most_open: int = 0


def reply(status: int = 200, body: bytes = b"", *headers: str) -> bytes:
    """A whole answer with its length."""
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def always(data: bytes) -> Act:
    """Answer every request with the same bytes."""

    async def act(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    return act


def and_hang_up(data: bytes = b"") -> Act:
    """Write the bytes, then close the connection."""

    async def act(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        writer.close()

    return act


def first_then(first: bytes, then: Act) -> Act:
    """Answer the first request and keep the connection; the rest is `then`'s."""
    seen = 0

    async def act(heard: Heard, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        seen += 1
        await (always(first) if seen == 1 else then)(heard, writer)

    return act


async def silence(heard: Heard, writer: asyncio.StreamWriter) -> None:
    """Take the request and never answer."""
    await asyncio.Event().wait()


@asynccontextmanager
async def wire(act: Act, *, tls: ssl.SSLContext | None = None, read_body: bool = True) -> AsyncIterator[Wire]:
    """Serve until the block ends; with `read_body=False` bodies are left unread and `Heard.body` is empty."""
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        server.connections += 1
        number = server.connections
        server.open += 1
        server.most_open = max(server.most_open, server.open)
        try:
            with suppress(asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
                while not writer.is_closing():
                    heard = await _hear(reader, number, read_body=read_body)
                    server.heard.append(heard)
                    await act(heard, writer)
                    if not read_body:
                        await asyncio.Event().wait()
        finally:
            server.open -= 1
            tasks.discard(task)
            writer.close()

    listener = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    port = listener.sockets[0].getsockname()[1]
    server = Wire(f"{'https' if tls else 'http'}://127.0.0.1:{port}")
    try:
        yield server
    finally:
        listener.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _hear(reader: asyncio.StreamReader, connection: int, *, read_body: bool) -> Heard:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0))) if read_body else b""
    return Heard(connection, method, target, headers, body)
