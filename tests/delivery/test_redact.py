from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.delivery.redact import redact, url_secrets

SECRET = 'p"ss/w<rd & ü'


@pytest.mark.parametrize(
    "echo",
    [
        SECRET,
        f"https://host/?key={quote(SECRET, safe='')}",
        json.dumps({"echo": SECRET}),
        "<b>p&quot;ss/w&lt;rd &amp; ü</b>",
        "Authorization: Basic " + base64.b64encode(f"user:{SECRET}".encode()).decode(),
        f"{quote(SECRET)} {quote(quote(SECRET, safe=''), safe='').lower()} {quote_plus(SECRET)}",
        json.dumps({"echo": SECRET}, ensure_ascii=False).replace("/", r"\/"),
        json.dumps({"outer": json.dumps({"echo": SECRET})}),
        "".join(f"&#{ord(letter)};" for letter in SECRET) + "".join(f"&#x{ord(letter):X};" for letter in SECRET),
        repr(SECRET + "'") + repr(SECRET.encode()),
        SECRET.encode().decode("latin-1"),
        SECRET.replace(" ", "\r\n  "),
        "token/" + base64.urlsafe_b64encode(f"a:{SECRET}".encode()).decode(),
    ],
)
def test_every_form_of_a_secret_is_struck_out(echo: str) -> None:
    """A secret is found as it is, in a URL, in JSON, in HTML, and in the Base64 of Basic credentials."""
    text = redact(f"before {echo} after", [SECRET])
    assert text.startswith("before ")
    assert text.endswith(" after")
    assert "***" in text
    assert "rd" not in text
    assert "ss/w" not in text
    assert "ss%2Fw" not in text
    assert base64.b64encode(SECRET.encode())[4:12].decode() not in text


@given(st.text(min_size=4, max_size=30), st.text(max_size=10), st.text(max_size=40), st.text(max_size=40))
def test_no_basic_credentials_survive(password: str, user: str, before: str, after: str) -> None:
    """Whatever user and password, wherever they stand, Basic credentials do not stay in a text."""
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    assert token not in redact(f"{before} Basic {token} {after}", [password])


def test_the_longest_secret_goes_first() -> None:
    """A secret that is the beginning of another leaves no rest of the other behind."""
    assert redact("key abcdef", ["abc", "abcdef"]) == "key ***"


def test_other_text_stays() -> None:
    """Words, ids and unrelated Base64 are left alone, also where a secret is empty."""
    text = f"PUT /exchange/kpi-data/2026-01-01/{'0a1b' * 8} {base64.b64encode(b'nothing to hide').decode()}"
    assert redact(text, ["", "secret"]) == text


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("postgresql://me:p%40ss%2Fword@host/db", {"p%40ss%2Fword", "p@ss/word"}),
        ("postgresql://me:p@ss/word@host/db", {"p@ss/word", "word"}),
        ("postgresql://me@host/db?password=hush&sslmode=require", {"hush"}),
        ("sqlite:////var/ledger.db", set()),
        ("/a/folder", set()),
    ],
)
def test_a_url_tells_its_secrets(url: str, secrets: set[str]) -> None:
    """The password of an address in each of its forms, its parts where it was not encoded, and nothing else."""
    assert set(url_secrets(url)) == secrets
