from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.delivery.errors import ConfigurationError
from pipelines.delivery.messages import Answer, Lost, NotSent, Request
from tests.delivery.wire import always, and_hang_up, port_to, reply, wire

GET = Request("GET", "/x")

Certificate = Callable[[str], tuple[ssl.SSLContext, str]]


@pytest.fixture(name="certificate")
def _certificate(tmp_path: Path) -> Certificate:
    """Makes a server's certificate for a name, and the file to trust it by."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl, which makes the test's certificates, is not installed")

    def make(name: str) -> tuple[ssl.SSLContext, str]:
        key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        files = ["-keyout", str(key), "-out", str(cert)]
        command = [openssl, "req", "-x509", *curve, *files, "-subj", "/CN=test", "-addext", f"subjectAltName={name}"]
        subprocess.run(command, check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        return context, str(cert)

    return make


async def test_a_trusted_certificate_is_accepted(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    """A company's own authority can be trusted by SSL_CERT_FILE, the only way to widen trust."""
    context, file = certificate("IP:127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", file)
    async with wire(always(reply()), tls=context) as server, port_to(server.url) as port:
        assert isinstance(await port.send(GET), Answer)


@pytest.mark.parametrize(("name", "trusted"), [("IP:127.0.0.1", False), ("DNS:elsewhere.example", True)])
async def test_a_certificate_that_does_not_prove_the_host_ends_it(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch, name: str, trusted: bool
) -> None:
    """Credentials never reach a server whose certificate is of no known authority or for another name."""
    context, file = certificate(name)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", file)
    async with wire(always(reply()), tls=context) as server, port_to(server.url) as port:
        answer = await port.send(GET)
    assert isinstance(answer, NotSent)
    assert "certificate verify failed" in answer.reason
    assert not server.heard


def test_authorities_that_cannot_be_read_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong SSL_CERT_FILE is a configuration error that names the variable."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    with pytest.raises(ConfigurationError, match="SSL_CERT_FILE"):
        port_to("https://api.example.com")


@pytest.mark.parametrize("url", ["http://api.example.com", "https://user:hush@api.example.com", "api.example.com", ""])
def test_a_port_to_an_unsafe_address_is_refused(url: str) -> None:
    """No port is made for plain http to another machine, for credentials in the URL, or without scheme and host."""
    with pytest.raises(ConfigurationError) as refusal:
        port_to(url)
    assert "hush" not in str(refusal.value)


@pytest.mark.parametrize("value", ["hush-hush\n", "hush-hush\x00", "hush-hüsh"])
def test_an_unfit_credential_is_refused_unsaid(value: str) -> None:
    """A credential with a pasted line break is refused at once, named by its header and not repeated."""
    with pytest.raises(ConfigurationError) as refusal:
        port_to("https://api.example.com", headers={"stativate-api-key": value})
    assert "stativate-api-key" in str(refusal.value)
    assert "hush" not in str(refusal.value)


@pytest.mark.parametrize("echo", ["HTP hush-hush", f"HTTP/1.1 200 OK\r\nX: {'y' * 96}hush-hush{'z' * 9999}"])
async def test_reasons_hold_no_secret(echo: str) -> None:
    """A server that echoes credentials into a broken answer does not get them into a reason, whole or in part."""
    async with (
        wire(and_hang_up(f"{echo}\r\n\r\n".encode())) as server,
        port_to(server.url, secrets=["hush-hush"]) as port,
    ):
        lost = await port.send(GET)
        port_closed = await port.send(Request("GET", "/keys/hush-hush"))
    assert isinstance(lost, Lost)
    assert isinstance(port_closed, Lost)
    assert "hush" not in lost.reason + port_closed.reason
    assert "***" in port_closed.reason
