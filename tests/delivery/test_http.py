from __future__ import annotations

import asyncio
import gzip
import zlib
from pathlib import Path
from typing import Any

import pytest

from pipelines.delivery.messages import Answer, Lost, Request
from tests.delivery.wire import Heard, always, and_hang_up, first_then, port_to, reply, wire

GET = Request("GET", "/x")
PUT = Request("PUT", "/x", body=b'{"v":1}')


# What was sent


@pytest.mark.parametrize("method", ["PUT", "DELETE", "GET"])
async def test_a_request_leaves_once_though_its_kept_connection_drops(method: Any) -> None:
    """A repeatable method is not sent again unseen when a kept-alive connection drops without an answer."""
    async with wire(first_then(reply(), and_hang_up())) as server, port_to(server.url) as port:
        assert isinstance(await port.send(GET), Answer)
        assert isinstance(await port.send(Request(method, "/second")), Lost)
        assert [(heard.method, heard.target, heard.connection) for heard in server.heard] == [
            ("GET", "/x", 1),
            (method, "/second", 1),
        ]


async def test_the_request_arrives_as_written() -> None:
    """Method, base path, encoded path, query and body reach the server byte for byte."""
    request = Request("POST", "/keys/%2E%2E/domain%3A1", query={"from": "a b", "q": "ü&="}, body=b'{"a": "\xc3\xbc"}')
    async with wire(always(reply())) as server, port_to(f"{server.url}/api/") as port:
        await port.send(request)
        await port.send(Request("DELETE", "/.."))
    assert server.heard[0].method == "POST"
    assert server.heard[0].target == "/api/keys/%2E%2E/domain%3A1?from=a%20b&q=%C3%BC%26%3D"
    assert server.heard[0].body == request.body
    assert server.heard[0].headers["host"] == server.url.removeprefix("http://")
    assert server.heard[1].target == "/api/.."


async def test_headers_are_the_accounts_unless_the_request_has_its_own() -> None:
    """Credentials and media types go with each request, a request's own win, and a content type needs content."""
    headers = {"authorization": "Bearer k", "Content-Type": "application/json", "Accept": "application/json"}
    async with wire(always(reply())) as server, port_to(server.url, headers=headers) as port:
        await port.send(PUT)
        await port.send(GET)
        await port.send(Request("PUT", "/x", body=b"{}", headers={"accept": "text/x", "content-type": "text/y"}))
    whole, bare, own = (heard.headers for heard in server.heard)
    assert whole["authorization"] == bare["authorization"] == "Bearer k"
    assert (whole["content-type"], whole["accept"]) == ("application/json", "application/json")
    assert "content-type" not in bare
    assert (own["content-type"], own["accept"]) == ("text/y", "text/x")
    assert whole["user-agent"] == "pipelines"
    assert whole["accept-encoding"] == "identity"


async def test_cookies_are_not_kept() -> None:
    """A cookie that the server sets does not come back."""
    async with wire(always(reply(200, b"", "Set-Cookie: a=1; Path=/"))) as server, port_to(server.url) as port:
        await port.send(GET)
        await port.send(GET)
    assert "cookie" not in server.heard[1].headers


async def test_the_environment_adds_neither_proxy_nor_password(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Proxy variables and netrc are not used: host and credentials are the account's alone."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with wire(always(reply())) as server, port_to(server.url) as port:
        assert isinstance(await port.send(GET), Answer)
    assert "authorization" not in server.heard[0].headers


async def test_connections_are_reused_and_bounded() -> None:
    """Requests share kept connections, and never more are open than the account may use."""

    async def slow(heard: Heard, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.01)
        writer.write(reply())

    async with wire(slow) as server, port_to(server.url, max_connections=2) as port:
        answers = await asyncio.gather(*(port.send(GET) for _ in range(8)))
    assert all(isinstance(answer, Answer) for answer in answers)
    assert (server.connections, server.most_open) == (2, 2)


async def test_a_body_of_ten_megabytes_is_sent() -> None:
    """A batch as large as an API allows leaves without a complaint of the library."""
    body = b"x" * 10_000_000
    async with wire(always(reply())) as server, port_to(server.url) as port:
        assert isinstance(await port.send(Request("POST", "/x", body=body)), Answer)
    assert server.heard[0].body == body


# What was answered


async def test_an_answer_is_handed_over_whole() -> None:
    """Status, body, lower-case headers (repeated ones joined) and the seconds by the clock arrive as they were."""
    ticks = iter([10.0, 12.5])
    async with (
        wire(always(reply(418, b"tea", "X-RateLimit-Limit: 5", "Via: a", "via: b"))) as server,
        port_to(server.url, clock=lambda: next(ticks)) as port,
    ):
        answer = await port.send(GET)
    headers = {"content-length": "3", "x-ratelimit-limit": "5", "via": "a, b"}
    assert answer == Answer(418, headers, b"tea", 2.5)


async def test_redirects_are_answers() -> None:
    """A redirect is returned, not followed: no credentials travel to where a server points."""
    async with wire(always(reply(302, b"", "Location: /elsewhere"))) as server, port_to(server.url) as port:
        answer = await port.send(GET)
    assert isinstance(answer, Answer)
    assert (answer.status, len(server.heard)) == (302, 1)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b"[1]")),
        ("GZIP", gzip.compress(b"[1]")),
        ("deflate", zlib.compress(b"[1]")),
        ("identity", b"[1]"),
    ],
)
async def test_packed_answers_are_unpacked(encoding: str, body: bytes) -> None:
    """A server that compresses though it was not asked to is understood."""
    async with wire(always(reply(200, body, f"Content-Encoding: {encoding}"))) as server, port_to(server.url) as port:
        answer = await port.send(GET)
    assert isinstance(answer, Answer)
    assert answer.json() == [1]


async def test_an_early_answer_to_a_long_body_is_heard() -> None:
    """A server that answers 413 with the body unread is heard, and the next request is not mixed up with the rest."""
    async with wire(always(reply(413)), read_body=False) as server, port_to(server.url) as port:
        first = await port.send(Request("POST", "/a", body=b"x" * 20_000_000))
        second = await port.send(Request("POST", "/b", body=b"y"))
    assert isinstance(first, Answer)
    assert isinstance(second, Answer)
    assert [(heard.connection, heard.target) for heard in server.heard] == [(1, "/a"), (2, "/b")]
