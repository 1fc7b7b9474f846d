"""Telling people: a Slack-compatible webhook and e-mail. Secrets come from the environment and appear in no error."""

from __future__ import annotations

import asyncio
import logging
import os
import smtplib
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qsl, urlsplit

import orjson

from pipelines.components.operations.spec import OperationsSpec
from pipelines.delivery.address import is_loopback
from pipelines.delivery.errors import AccountUnavailable, ConfigurationError, MissingSetting
from pipelines.delivery.http import HttpPort
from pipelines.delivery.messages import Answer, Exchange, Request
from pipelines.delivery.redact import redact

SMTP: Mapping[str, tuple[str, str]] = {
    "PIPELINES_SMTP_HOST": ("", "The mail server; required where a deployment's `Operations` names `mail_to`."),
    "PIPELINES_SMTP_PORT": ("`587`, or `465` with `ssl`", "Its port."),
    "PIPELINES_SMTP_SECURITY": (
        "`starttls`",
        "`starttls`, `ssl`, or `none` for a relay that takes mail without a password.",
    ),
    "PIPELINES_SMTP_USER": ("", "Name to log in with; without it, nobody logs in."),
    "PIPELINES_SMTP_PASSWORD": (
        "",
        "**Secret.** Its password. `PIPELINES_SMTP_PASSWORD_FILE`: the path of a file with it.",
    ),
    "PIPELINES_SMTP_FROM": ("the user's name", "The sender's address."),
}
"""What mail is sent with: default and meaning of each variable."""
_SECURITY = ("starttls", "ssl", "none")
_TIMEOUT_S = 10.0
_log = logging.getLogger(__name__)
_MOST_BLOCKS = 50
_MOST_HEADER = 150
_MOST_SECTION = 3000


@dataclass(frozen=True, slots=True)
class Message:
    """What is told: a title, and paragraphs of plain text in which `code` stands between backticks."""

    title: str
    paragraphs: Sequence[str]

    @property
    def text(self) -> str:
        """All of it."""
        return "\n\n".join([self.title, *self.paragraphs])


class Channel(Protocol):
    """A way to tell people something."""

    def send(self, message: Message) -> None:
        """Tell it.

        Raises:
            ConfigurationError: a setting is missing or cannot be used.
            AccountUnavailable: the receiver did not take it; to be tried again later.
        """
        ...


def open_channel(name: str, spec: OperationsSpec, environ: Mapping[str, str] | None = None) -> Channel:
    """The channel of that name, as `OperationsSpec.channels` lists them.

    Raises:
        ConfigurationError: a setting is missing or cannot be used.
    """
    env = os.environ if environ is None else environ
    return Webhook.of(spec, env) if name == "webhook" else Mail.of(spec, env)


@dataclass(frozen=True, slots=True)
class Webhook:
    """An incoming webhook as Slack has them: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks.

    Messages are within the bounds of its blocks (https://docs.slack.dev/reference/block-kit/blocks): at most 50, with
    3,000 characters each.
    """

    url: str

    @classmethod
    def of(cls, spec: OperationsSpec, environ: Mapping[str, str]) -> Webhook:
        """With the address that the environment holds."""
        return cls(_setting(spec.webhook_env or "", environ))

    def send(self, message: Message) -> None:
        """See `Channel`."""
        parts = urlsplit(self.url.strip())
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        secrets = [one for one in (parts.path.strip("/"), parts.query, *query.values()) if one]
        try:
            port = HttpPort(
                base_url=f"{parts.scheme}://{parts.netloc}",
                headers={"content-type": "application/json"},
                secrets=secrets,
                timeout_s=_TIMEOUT_S,
                max_connections=1,
            )
        except ConfigurationError as error:
            raise ConfigurationError(f"webhook: {redact(error.what, secrets)}", do=error.do) from None
        body = orjson.dumps({"text": _escaped(message.text), "blocks": _blocks(message)})
        exchange = asyncio.run(_post(port, Request("POST", parts.path or "/", query, body)))
        if isinstance(exchange, Answer) and exchange.ok:
            return
        said = f"answered {exchange.status}: {exchange.text()}" if isinstance(exchange, Answer) else exchange.reason
        raise AccountUnavailable(f"webhook at {parts.netloc}: {redact(said, secrets)}", do="It is tried again.")


async def _post(port: HttpPort, request: Request) -> Exchange:
    async with port:
        return await port.send(request)


def _blocks(message: Message) -> list[dict[str, object]]:
    header = {"type": "header", "text": {"type": "plain_text", "text": _cut(message.title, _MOST_HEADER)}}
    shown = [_cut(_escaped(one), _MOST_SECTION) for one in message.paragraphs]
    if len(shown) > _MOST_BLOCKS - 1:
        rest = len(shown) - (_MOST_BLOCKS - 2)
        shown = [*shown[: _MOST_BLOCKS - 2], f"and {rest} more: `pipelines status` shows them all"]
    return [header, *({"type": "section", "text": {"type": "mrkdwn", "text": one}} for one in shown)]


def _escaped(text: str) -> str:
    """As Slack's mrkdwn wants it, in which only these three have a meaning of their own."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


@dataclass(frozen=True, slots=True)
class Mail:
    """E-mail through a server; the certificate is always verified where there is TLS."""

    host: str
    port: int
    security: str
    user: str
    password: str
    sender: str
    to: Sequence[str]

    @classmethod
    def of(cls, spec: OperationsSpec, environ: Mapping[str, str]) -> Mail:
        """With the settings that the environment holds."""
        host = _setting("PIPELINES_SMTP_HOST", environ)
        security = environ.get("PIPELINES_SMTP_SECURITY", "").strip().lower() or "starttls"
        if security not in _SECURITY:
            raise ConfigurationError(
                f"PIPELINES_SMTP_SECURITY cannot be {security!r}", do=f"Choose one of {', '.join(_SECURITY)}."
            )
        port = environ.get("PIPELINES_SMTP_PORT", "").strip() or ("465" if security == "ssl" else "587")
        if not port.isdecimal() or not 0 < int(port) < 65536:
            raise ConfigurationError("PIPELINES_SMTP_PORT is no number of a port", do="Write it like 587.")
        user = environ.get("PIPELINES_SMTP_USER", "").strip()
        if user and security == "none" and not is_loopback(f"http://{host}"):
            raise ConfigurationError(
                "PIPELINES_SMTP_SECURITY is none and PIPELINES_SMTP_USER is set: the password would travel in the open",
                do="Choose starttls or ssl.",
            )
        sender = environ.get("PIPELINES_SMTP_FROM", "").strip() or user
        if "@" not in sender:
            raise MissingSetting(
                "PIPELINES_SMTP_FROM is not set", do="Set it to the sender's address.", setting="PIPELINES_SMTP_FROM"
            )
        password = _setting("PIPELINES_SMTP_PASSWORD", environ) if user else ""
        return cls(host, int(port), security, user, password, sender, tuple(spec.mail_to))

    def send(self, message: Message) -> None:
        """See `Channel`."""
        mail = EmailMessage()
        mail["Subject"] = message.title
        mail["From"] = self.sender
        mail["To"] = ", ".join(self.to)
        mail["Date"] = formatdate()
        mail["Message-ID"] = make_msgid()
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content("\n\n".join(message.paragraphs) or message.title)
        try:
            self._deliver(mail)
        except (smtplib.SMTPException, OSError) as error:
            said = redact(" ".join(str(error).split()), [self.password] if self.password else [])
            raise AccountUnavailable(
                f"mail server {self.host}:{self.port}: {said or type(error).__name__}", do="It is tried again."
            ) from None

    def _deliver(self, mail: EmailMessage) -> None:
        trust = ssl.create_default_context()
        if self.security == "ssl":
            server = smtplib.SMTP_SSL(self.host, self.port, timeout=_TIMEOUT_S, context=trust)
        else:
            server = smtplib.SMTP(self.host, self.port, timeout=_TIMEOUT_S)
        with server:
            if self.security == "starttls":
                server.starttls(context=trust)
            if self.user:
                server.login(self.user, self.password)
            refused = server.send_message(mail)
        if refused:
            # The others have it; to send it again would tell them twice.
            _log.warning("mail server %s refused %s", self.host, ", ".join(sorted(refused)))


def _setting(name: str, environ: Mapping[str, str]) -> str:
    """A variable, or what the file holds that the variable with _FILE names."""
    value, path = environ.get(name, "").strip(), environ.get(f"{name}_FILE", "").strip()
    if value:
        return value
    if not path:
        raise MissingSetting(f"{name} is not set", do=f"Set it, or {name}_FILE to a file that holds it.", setting=name)
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{name}_FILE names a file that cannot be read: {type(error).__name__}", do="Check path and permissions."
        ) from None
