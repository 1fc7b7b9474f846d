"""The HTTP port: sends a request of ours once, as it is, and says what became of it.

It hands ready-made requests straight to httpx's aiohttp transport, which costs half the CPU of a client in front of it.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import time
from collections.abc import Callable, Collection, Mapping
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlencode

import aiohttp
import httpx

from pipelines.delivery import address
from pipelines.delivery.errors import ConfigurationError
from pipelines.delivery.messages import Answer, Exchange, Lost, NotSent, Request
from pipelines.delivery.redact import redact
from pipelines.delivery.transport import AsWritten, Prepared, UnusableAnswer, Wire

_DEFAULT_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "pipelines"}
_REASON_LENGTH = 400
_PREPARED = 64
_QUOTED_BYTES = re.compile(r"\bb['\"]")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_NEVER_LEFT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)


class HttpPort:
    """`messages.Port` over HTTP/1.1.

    - A request leaves once: no retry (aiohttp's own is off), no redirect, no cookie, no proxy or netrc from the
      environment. Path and query leave as they are written; URL libraries would turn `/keys/%2E%2E` into `/`.
    - It ends after `timeout_s`, reading the body included. A connection must stand after `connect_timeout_s`, or
      after half of `timeout_s` where that is less, so that the two ways to be late are never mixed up.
    - TLS is always verified, against certifi's authorities or those that SSL_CERT_FILE or SSL_CERT_DIR names.
    - Answers are asked for uncompressed; gzip and deflate are undone all the same. At most `MAX_BODY_BYTES` are kept.
    - What failed before the first byte left is `NotSent`, everything else `Lost`; no reason holds one of `secrets`.

    Raises:
        ConfigurationError: no usable base URL, header or file of authorities, or plain http to another machine.
    """

    def __init__(
        self,
        *,
        base_url: str,
        headers: Mapping[str, str],
        max_connections: int,
        timeout_s: float = 30,
        connect_timeout_s: float = 10,
        secrets: Collection[str] = (),
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._base = address.base_url(base_url)
        self._origin = httpx.URL(self._base)
        if unfit := _unfit_header(headers):
            raise ConfigurationError(
                f"No request can be made: {unfit}",
                do="Mend the setting that it comes from; often a line break was pasted along.",
            )
        self._headers = httpx.Headers(_DEFAULT_HEADERS)
        self._headers.update(headers)
        self._prepared: dict[tuple[bool, tuple[tuple[str, str], ...]], Prepared] = {}
        self._timeout_s = timeout_s
        connect_s = min(connect_timeout_s, timeout_s / 2)
        # "pool" bounds all of it: a free connection, the name look-up, and every address of the host.
        self._extensions = {"timeout": {"connect": connect_s, "pool": connect_s}}
        self._secrets = tuple(secrets)
        self._clock = clock
        self._wire = Wire(max_connections)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections; what is sent afterwards is `NotSent`."""
        await self._wire.aclose()

    async def send(self, request: Request) -> Exchange:
        """Send once and read the whole answer. Raises nothing but CancelledError, when it is cancelled."""
        if self._wire.closed:
            return NotSent(self._words(request, "this port is closed"))
        try:
            message = self._message(request)
        except ValueError as error:
            return NotSent(self._words(request, f"HTTP cannot carry it ({error})"))
        started = self._clock()
        try:
            async with asyncio.timeout(self._timeout_s):
                status, headers, body = await self._wire.exchange(message)
        except TimeoutError:
            return Lost(self._words(request, f"no complete answer within {self._timeout_s:g} s"))
        except Exception as error:  # noqa: BLE001 - the libraries also leak errors of their own kind, ValueError among them
            return self._fate(request, error)
        return Answer(status, headers, body, self._clock() - started)

    def _message(self, request: Request) -> httpx.Request:
        body = httpx.ByteStream(request.body or b"")
        # With a stream httpx adds no headers of its own; aiohttp adds Host and Content-Length.
        message = httpx.Request(request.method, self._origin, stream=body, extensions=self._extensions)
        message.read()
        message.headers = self._headers_of(request)
        query = f"?{urlencode(request.query, quote_via=quote)}" if request.query else ""
        message.url = AsWritten(self._origin, f"{self._base}{address.safe_path(request.path)}{query}")
        return message

    def _headers_of(self, request: Request) -> Prepared:
        """The port's headers and the request's own. Those of an account's requests are few and repeat."""
        known = (request.body is None, tuple(request.headers.items()))
        prepared = self._prepared.get(known)
        if prepared is None:
            if unfit := _unfit_header(request.headers):
                raise ValueError(unfit)
            headers = self._headers.copy()
            if request.body is None:
                headers.pop("content-type", None)
            headers.update(request.headers)
            prepared = Prepared(headers)
            if len(self._prepared) < _PREPARED:
                self._prepared[known] = prepared
        return prepared

    def _fate(self, request: Request, error: Exception) -> NotSent | Lost:
        """What the error means: httpx's kind misleads (a lost answer is a ConnectTimeout), its cause does not."""
        cause = error.__cause__ or error
        if not isinstance(cause, _NEVER_LEFT):
            return Lost(self._words(request, _why_lost(cause)))
        refused = isinstance(cause, aiohttp.ClientConnectorError) and cause.os_error.errno == errno.ECONNREFUSED
        return NotSent(self._words(request, _why_not_sent(cause)), refused=refused)

    def _words(self, request: Request, what: str) -> str:
        """A reason on one line, without secrets, that every log and database can hold."""
        line = " ".join(redact(f"{request}: {what}", self._secrets).split())
        return line[:_REASON_LENGTH].encode("utf-8", "backslashreplace").decode()


def _why_not_sent(cause: BaseException) -> str:
    if isinstance(cause, aiohttp.ClientConnectorDNSError):
        return f"no such host: {cause.host} ({cause.os_error.strerror})"
    if isinstance(cause, aiohttp.ClientSSLError):
        return f"no trusted TLS connection to {cause.host}:{cause.port} ({cause.os_error})"
    if isinstance(cause, aiohttp.ClientConnectorError):
        # asyncio puts its own words, with the address once more, in place of the system's.
        number = cause.os_error.errno
        return f"no connection to {cause.host}:{cause.port} ({os.strerror(number) if number else cause.os_error})"
    if isinstance(cause, aiohttp.ConnectionTimeoutError):
        return "no connection in time"
    return f"no usable address ({cause})"


def _why_lost(cause: BaseException) -> str:
    if isinstance(cause, UnusableAnswer):
        return str(cause)
    if isinstance(cause, aiohttp.ClientConnectionError):
        return "the connection broke before the answer came"
    if isinstance(cause, aiohttp.ClientPayloadError):
        return "the answer was cut off"
    # What the server sent is quoted last, and cut, perhaps in the middle of a secret that it repeats.
    words = _QUOTED_BYTES.split(str(cause), maxsplit=1)[0]
    return f"no answer that could be read ({type(cause).__name__}: {words})"


def _unfit_header(headers: Mapping[str, str]) -> str | None:
    """Which header cannot be sent; its value, likely a secret, is not repeated."""
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            return f"the header {name!r} holds a line break, a control character or a letter outside ASCII"
    return None
