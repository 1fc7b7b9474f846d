from __future__ import annotations

import asyncio
import gzip
import socket
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.delivery.messages import Answer, Lost, NotSent, Request
from pipelines.delivery.transport import MAX_BODY_BYTES
from tests.delivery.wire import Act, Heard, always, and_hang_up, port_to, reply, silence, wire

GET = Request("GET", "/x")
PUT = Request("PUT", "/x", body=b'{"v":1}')


def first_then(first: bytes, then: Act) -> Act:
    """Answer the first request and keep the connection; the rest is `then`'s."""
    seen = 0

    async def act(heard: Heard, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        seen += 1
        await (always(first) if seen == 1 else then)(heard, writer)

    return act


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


# What was lost


async def drip(heard: Heard, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        writer.write(b".")
        await asyncio.sleep(0.01)


async def reset(heard: Heard, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def flood(heard: Heard, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"x" * 2**20)
        await writer.drain()


BOMB = gzip.compress(b"\0" * (MAX_BODY_BYTES + 1))


@pytest.mark.parametrize(
    ("act", "said"),
    [
        pytest.param(and_hang_up(), "broke", id="dropped"),
        pytest.param(reset, "broke", id="reset"),
        pytest.param(and_hang_up(b"HTTP/1.1 200 OK\r\nConte"), "broke", id="half a head"),
        pytest.param(and_hang_up(b"HTTP/1.1 100 Continue\r\n\r\n"), "broke", id="only continue"),
        pytest.param(and_hang_up(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"), "cut off", id="cut body"),
        pytest.param(
            and_hang_up(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"), "cut off", id="cut chunk"
        ),
        pytest.param(and_hang_up(b"HTP/1 okay\r\n\r\n"), "Bad status line", id="garbage"),
        pytest.param(and_hang_up(reply(200, b"", f"X: {'x' * 99_999}")), "could be read", id="endless header"),
        pytest.param(silence, "within 0.2 s", id="silence"),
        pytest.param(drip, "within 0.2 s", id="drip"),
        pytest.param(flood, "more than 32 MiB", id="flood"),
        pytest.param(always(reply(200, BOMB, "Content-Encoding: gzip")), "unpacks to more", id="bomb"),
        pytest.param(always(reply(200, BOMB[:-9], "Content-Encoding: gzip")), "more than|cut off", id="cut bomb"),
        pytest.param(
            always(reply(200, gzip.compress(b"[1]")[:-9], "Content-Encoding: gzip")), "cut off", id="cut gzip"
        ),
        pytest.param(always(reply(200, gzip.compress(b"[") * 2, "Content-Encoding: gzip")), "cut off", id="two gzips"),
        pytest.param(always(reply(200, b"[1]", "Content-Encoding: gzip")), "not gzip", id="no gzip"),
        pytest.param(always(reply(200, b"[1]", "Content-Encoding: br")), "'br'", id="unknown encoding"),
    ],
)
async def test_no_whole_answer_after_sending_is_lost(act: Act, said: str) -> None:
    """Whatever goes wrong once the request has left is `Lost`, in time and without a second try."""
    timeout_s = 0.2 if "within" in said else 5
    async with wire(act) as server, port_to(server.url, timeout_s=timeout_s) as port, asyncio.timeout(10):
        lost = await port.send(PUT)
    assert isinstance(lost, Lost)
    assert lost.reason.startswith("PUT /x: ")
    assert any(words in lost.reason for words in said.split("|"))
    assert len(server.heard) == 1


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(st.binary(max_size=80), st.binary(max_size=60).map(lambda tail: b"HTTP/1.1 200 OK\r\n" + tail)))
def test_no_answer_makes_the_port_raise(data: bytes) -> None:
    """Whatever bytes a server sends, the port returns an answer or `Lost`."""

    async def exchange() -> object:
        async with wire(and_hang_up(data)) as server, port_to(server.url, timeout_s=0.5) as port:
            return await port.send(PUT)

    assert isinstance(asyncio.run(exchange()), (Answer, Lost))


async def test_a_cancelled_send_is_cancelled() -> None:
    """Cancelling is the one thing that leaves the port as an exception, and the port can be used afterwards."""
    async with wire(first_then(b"", always(reply()))) as server, port_to(server.url) as port:
        task = asyncio.create_task(port.send(GET))
        while not server.heard:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert isinstance(await port.send(GET), Answer)


# What never left


async def test_a_refused_connection_is_told_apart() -> None:
    """Where nothing listens the request is `NotSent` and marked as refused."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    for host in ("127.0.0.1", "localhost"):
        async with port_to(f"http://{host}:{number}") as port:
            answer = await port.send(PUT)
        assert isinstance(answer, NotSent)
        assert answer.refused
        assert f"{host}:{number}" in answer.reason


@pytest.mark.parametrize("host", ["no-such-host.invalid", "2130706433"])
async def test_an_unknown_host_is_not_sent(host: str) -> None:
    """Where the name has no address, or is an address in disguise, the request is `NotSent`, and its host named."""
    async with port_to(f"https://{host}") as port:
        answer = await port.send(PUT)
    assert isinstance(answer, NotSent)
    assert not answer.refused
    assert host in answer.reason


async def test_a_host_that_takes_no_connection_is_not_sent() -> None:
    """No connection in time is `NotSent`, also where the whole time allowed is shorter than the connection's."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        queue = [socket.socket() for _ in range(3)]
        for waiting in queue:
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        async with port_to(f"http://127.0.0.1:{full.getsockname()[1]}", timeout_s=0.2) as port:
            answer = await port.send(PUT)
        for waiting in queue:
            waiting.close()
    assert answer == NotSent("PUT /x: no connection in time")


async def test_a_request_that_found_no_free_connection_is_not_sent() -> None:
    """Where other requests hold every connection for too long, the one that waits is `NotSent`, not `Lost`."""
    async with wire(silence) as server, port_to(server.url, max_connections=1, connect_timeout_s=0.2) as port:
        holder = asyncio.create_task(port.send(GET))
        while not server.heard:
            await asyncio.sleep(0.001)
        assert await port.send(PUT) == NotSent("PUT /x: no connection in time")
        holder.cancel()


async def test_a_stalled_tls_handshake_is_not_sent() -> None:
    """A server that never finishes the handshake is as good as one that takes no connection."""
    async with wire(silence) as server, port_to(server.url.replace("http", "https"), connect_timeout_s=0.2) as port:
        answer = await port.send(PUT)
    assert answer == NotSent("PUT /x: no connection in time")


async def test_a_server_without_tls_is_not_sent_anything() -> None:
    """Over https nothing is said to a server that does not speak TLS."""

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(400))
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with server, port_to(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}") as port:
        answer = await port.send(PUT)
    assert isinstance(answer, NotSent)
    assert "no trusted TLS connection" in answer.reason


@pytest.mark.parametrize(
    "request_",
    [
        Request("GET", "/\ud800"),
        Request("GET", "/x", headers={"a": "b\r\nc: d"}),
        Request("GET", "/x", headers={"": ""}),
    ],
)
async def test_what_http_cannot_carry_is_not_sent(request_: Request) -> None:
    """A request that would break HTTP's lines never leaves, and its reason can be stored anywhere."""
    async with wire(always(reply())) as server, port_to(server.url) as port:
        answer = await port.send(request_)
    assert isinstance(answer, NotSent)
    assert answer.reason.encode()
    assert not server.heard


async def test_a_closed_port_sends_nothing() -> None:
    """After closing, a request is `NotSent`."""
    async with wire(always(reply())) as server:
        async with port_to(server.url) as port:
            pass
        assert isinstance(await port.send(GET), NotSent)
        assert not server.heard
