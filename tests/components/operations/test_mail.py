"""Mail by servers as companies have them: encrypted, with a login, and with a certificate that must be right."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path

import pytest
import trustme

from pipelines.components.operations.channels import Message, open_channel
from pipelines.components.operations.spec import OperationsSpec
from pipelines.delivery.errors import AccountUnavailable
from tests.components.operations.postbox import Postbox, served

# aiosmtpd counts STARTTLS alone as TLS, and here a login is tried without it on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
LOGIN = ("reporter", "wordofhonour")
MESSAGE = Message("status_board red", ["3 of it failed: Zürich"])


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who signs certificates."""
    return trustme.CA()


@pytest.fixture(scope="module")
def certified(authority: trustme.CA) -> ssl.SSLContext:
    """What a server shows that is 127.0.0.1."""
    return _shown(authority, "127.0.0.1")


@pytest.fixture(autouse=True)
def _trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine trusts the authority."""
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))


@pytest.mark.parametrize("security", ["starttls", "ssl"])
def test_mail_is_encrypted_and_sent_by_a_user_who_logged_in(security: str, certified: ssl.SSLContext) -> None:
    """The password goes over TLS alone, and the mail after it."""
    keyed = {"starttls": certified} if security == "starttls" else {"tls": certified}
    with served(**keyed, login=LOGIN) as postbox:
        _send(postbox, security)
    (mail,) = postbox.mails
    assert postbox.encrypted == [True]
    assert postbox.logins == [LOGIN]
    assert (mail["From"], mail["Subject"]) == ("reporter@example.com", "status_board red")
    body = mail.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert body.decode().strip() == MESSAGE.paragraphs[0]


@pytest.mark.parametrize("security", ["starttls", "ssl"])
def test_nothing_is_said_to_a_server_that_is_somebody_else(security: str, authority: trustme.CA) -> None:
    """A certificate of another host stops it before the password leaves."""
    other = _shown(authority, "mail.example.com")
    keyed = {"starttls": other} if security == "starttls" else {"tls": other}
    with served(**keyed, login=LOGIN) as postbox, pytest.raises(AccountUnavailable, match="certificate verify failed"):
        _send(postbox, security)
    assert (postbox.logins, postbox.mails) == ([], [])


def test_a_server_without_encryption_gets_no_password(certified: ssl.SSLContext) -> None:
    """Who asks for STARTTLS never falls back to the open."""
    with served(login=LOGIN) as postbox, pytest.raises(AccountUnavailable, match="STARTTLS"):
        _send(postbox, "starttls")
    assert (postbox.logins, postbox.mails) == ([], [])


def test_a_wrong_password_is_told_without_the_password(certified: ssl.SSLContext) -> None:
    """What the server says about it, and who it was."""
    with served(starttls=certified, login=LOGIN) as postbox, pytest.raises(AccountUnavailable) as caught:
        _send(postbox, "starttls", {"PIPELINES_SMTP_PASSWORD": "wrongword"})
    assert f"127.0.0.1:{postbox.port}" in str(caught.value)
    assert "535" in str(caught.value)
    assert "wrongword" not in str(caught.value)
    assert postbox.mails == []


def _send(postbox: Postbox, security: str, settings: Mapping[str, str] = {}) -> None:
    environ = {
        "PIPELINES_SMTP_HOST": "127.0.0.1",
        "PIPELINES_SMTP_PORT": str(postbox.port),
        "PIPELINES_SMTP_SECURITY": security,
        "PIPELINES_SMTP_USER": LOGIN[0],
        "PIPELINES_SMTP_PASSWORD": LOGIN[1],
        "PIPELINES_SMTP_FROM": "reporter@example.com",
        **settings,
    }
    open_channel("mail", OperationsSpec(mail_to=["a@example.com"]), environ).send(MESSAGE)


def _shown(authority: trustme.CA, host: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    return context
