"""aiohttp below httpx's transport, with what the two leave open mended: see `HttpPort`, the only user."""

from __future__ import annotations

import ssl
import zlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from io import BytesIO
from typing import Any, cast

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from pipelines.delivery.errors import ConfigurationError

MAX_BODY_BYTES = 32 * 2**20
"""A longer body makes its answer `Lost`: half an answer must never pass for a whole one."""
IDLE_S = 4.0
"""Shorter than the 5 s after which Node.js and uvicorn drop an idle connection, lest a request meets the close."""
_LARGE_BYTES = 2**20


class AsWritten(httpx.URL):
    """A URL that keeps its text: parsing one costs 18 us a request, and would tidy up what is already encoded."""

    def __init__(self, origin: httpx.URL, text: str) -> None:
        super().__init__(origin)
        self._text = text

    def __str__(self) -> str:
        return self._text


class Prepared(httpx.Headers):
    """Headers that many requests share, in aiohttp's form too: to make both anew costs 70 us a request."""

    def __init__(self, headers: httpx.Headers) -> None:
        super().__init__(headers)
        self.as_sent = CIMultiDictProxy(CIMultiDict(headers.multi_items()))


class Wire:
    """aiohttp's session below httpx's transport; the first request opens it, since it belongs to an event loop.

    The transport takes this for a factory of sessions, and for the session: so that URLs pass unchanged.
    """

    def __init__(self, max_connections: int) -> None:
        self.closed = False
        self._max_connections = max_connections
        self._tls = _tls()
        self._session: aiohttp.ClientSession | None = None
        self._transport = AiohttpTransport(verify=self._tls, client=cast("Any", self))

    def __call__(self) -> Wire:
        return self

    def request(self, *, url: str, data: bytes | None, headers: Prepared, **rest: Any) -> Any:
        """What the transport calls: the session's request, with yarl told to leave the URL alone."""
        if self._session is None:
            self._session = self._open()
        # aiohttp warns of bytes this long, which it would write in one go.
        content = BytesIO(data) if data is not None and len(data) > _LARGE_BYTES else data
        return self._session.request(url=URL(url, encoded=True), data=content, headers=headers.as_sent, **rest)

    def _open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=self._max_connections, ssl=self._tls, keepalive_timeout=IDLE_S)
        session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
        _never_resend(session)
        return session

    async def exchange(self, message: httpx.Request) -> tuple[int, dict[str, str], bytes]:
        """Send, and read the answer to its end: status, headers with lower-case names, decoded body."""
        response = await self._transport.handle_async_request(message)
        try:
            headers: dict[str, str] = {}
            for raw_name, raw_value in response.headers.raw:
                name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
                headers[name] = f"{headers[name]}, {value}" if name in headers else value
            body = _decoded(await _body(response), headers.get("content-encoding", ""))
        finally:
            await response.aclose()
        return response.status_code, headers, body

    async def aclose(self) -> None:
        self.closed = True
        if self._session is not None:
            await self._session.close()


def _tls() -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        raise ConfigurationError(
            f"The certificate authorities that SSL_CERT_FILE or SSL_CERT_DIR names cannot be read ({error})",
            do="Mend or unset the variable; without it the authorities of the certifi package are trusted.",
        ) from error


def _never_resend(session: aiohttp.ClientSession) -> None:
    """Keep aiohttp from sending a PUT or DELETE again, unseen, when a kept-alive connection drops."""
    session._retry_connection = False  # noqa: SLF001 - there is no public switch; aiohttp is pinned, and a test watches


class UnusableAnswer(Exception):
    """The server answered, but what it said cannot be used whole."""


async def _body(response: httpx.Response) -> bytes:
    chunks: list[bytes] = []
    size = 0
    stream = cast("httpx.AsyncByteStream", response.stream)
    async with aclosing(cast("AsyncGenerator[bytes]", aiter(stream))) as arriving:
        async for chunk in arriving:
            size += len(chunk)
            if size > MAX_BODY_BYTES:
                raise UnusableAnswer(f"an answer of more than {MAX_BODY_BYTES // 2**20} MiB")
            chunks.append(chunk)
    return b"".join(chunks)


def _decoded(body: bytes, encoding: str) -> bytes:
    if not body or encoding.strip().lower() in ("", "identity"):
        return body
    if encoding.strip().lower() not in ("gzip", "x-gzip", "deflate"):
        raise UnusableAnswer(f"an answer packed as {encoding[:40]!r}, though none was to be packed")
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # by gzip's header or zlib's, whichever is there
    try:
        plain = unpacker.decompress(body, MAX_BODY_BYTES + 1)
    except zlib.error as error:
        raise UnusableAnswer(f"an answer that is not {encoding[:40]} ({error})") from None
    if len(plain) > MAX_BODY_BYTES:
        raise UnusableAnswer(f"an answer that unpacks to more than {MAX_BODY_BYTES // 2**20} MiB")
    if not unpacker.eof or unpacker.unused_data:
        raise UnusableAnswer("the packed answer was cut off")
    return plain
