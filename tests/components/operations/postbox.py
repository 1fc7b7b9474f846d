"""A mail server of this machine: with STARTTLS, TLS from the start or neither, with a login or without."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from ssl import SSLContext
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass(slots=True)
class Postbox:
    """What it was handed, to whom and over what, and which recipients it refuses."""

    port: int = 0
    mails: list[Message] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd calls it by this name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take a recipient, or refuse it."""
        if address in self.refuses:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(  # noqa: N802 - aiosmtpd calls it by this name
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Take a mail."""
        content = envelope.content
        assert isinstance(content, bytes)
        self.mails.append(message_from_bytes(content))
        self.recipients.append(list(envelope.rcpt_tos))
        assert server.transport is not None
        self.encrypted.append(server.transport.get_extra_info("ssl_object") is not None)
        return "250 ok"


@contextmanager
def served(
    *, starttls: SSLContext | None = None, tls: SSLContext | None = None, login: tuple[str, str] | None = None
) -> Iterator[Postbox]:
    """Serve a postbox; with `login`, a user and a password, it takes mail from nobody else."""
    got = Postbox()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        got.port = listener.getsockname()[1]

    def known(_server: SMTP, _session: Session, _envelope: Envelope, _how: str, said: Any) -> AuthResult:
        assert isinstance(said, LoginPassword)
        got.logins.append((said.login.decode(), said.password.decode()))
        return AuthResult(success=got.logins[-1] == login, handled=False)

    settings: dict[str, Any] = {"require_starttls": True} if starttls else {}
    if login:
        settings |= {"auth_required": True, "authenticator": known, "auth_require_tls": bool(starttls)}
    server = Controller(got, hostname="127.0.0.1", port=got.port, ssl_context=tls, tls_context=starttls, **settings)
    server.start()
    try:
        yield got
    finally:
        server.stop()
