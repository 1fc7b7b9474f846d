from __future__ import annotations

import asyncio
import gzip
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.delivery.messages import Answer, Lost, NotSent, Request
from pipelines.delivery.transport import MAX_BODY_BYTES
from tests.delivery.wire import Act, Heard, always, and_hang_up, first_then, port_to, reply, silence, wire

GET = Request("GET", "/x")
PUT = Request("PUT", "/x", body=b'{"v":1}')


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
        await asyncio.gather(holder, return_exceptions=True)


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
