from __future__ import annotations

import httpx
import pytest
import yarl
from hypothesis import given
from hypothesis import strategies as st

from pipelines.delivery.address import base_url, is_loopback, safe_path
from pipelines.delivery.errors import ConfigurationError


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://localhost", True),
        ("http://LOCALHOST:4180/v1", True),
        ("http://127.0.0.1:4180", True),
        ("https://127.9.8.7", True),
        ("http://[::1]:80/x", True),
        ("http://128.0.0.1", False),
        ("http://[::2]", False),
        ("http://0.0.0.0", False),
        ("http://localhost.example.com", False),
        ("http://127.0.0.1.example.com", False),
        ("http://127.0.0.1@example.com", False),
        ("http://example.com/@127.0.0.1", False),
        ("http://example.com\\@127.0.0.1", False),
        ("http://example.com#@127.0.0.1", False),
        ("http://2130706433", False),
        ("http://127.1", False),
        ("127.0.0.1:4180", False),
        ("ftp://127.0.0.1", False),
        ("", False),
    ],
)
def test_loopback_is_told_by_the_letters_of_the_url(url: str, loopback: bool) -> None:
    """Only localhost, 127.0.0.0/8 and [::1] are this machine; no trick of notation passes for it."""
    assert is_loopback(url) is loopback


@given(st.text(alphabet="htp:/@#?\\.[]1270ae localhost%", max_size=30))
def test_what_is_loopback_to_us_is_loopback_to_the_libraries(tail: str) -> None:
    """No URL is taken for this machine that the HTTP libraries would send elsewhere."""
    url = f"http://{tail}"
    if is_loopback(url):
        host = yarl.URL(url, encoded=True).host
        assert host == httpx.URL(url).host
        assert host in {"localhost", "::1"} or str(host).startswith("127.")


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("https://api.stativate.de/v1", "https://api.stativate.de/v1"),
        ("https://API.Example.com/Base/", "https://api.example.com/Base"),
        (" https://api.example.com\n", "https://api.example.com"),
        ("http://127.0.0.1:4180/api//", "http://127.0.0.1:4180/api"),
        ("https://h/a b/%20", "https://h/a%20b/%20"),
    ],
)
def test_base_urls_get_one_form(text: str, base: str) -> None:
    """A base URL is written as paths can be appended to it, whatever blanks, capitals and slashes it came with."""
    assert base_url(text) == base


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no http"),
        ("api.example.com/v1", "no http"),
        ("//api.example.com", "no http"),
        ("https://", "no http"),
        ("https:///v1", "no http"),
        ("https://host:port", "no http"),
        ("https://host:99999", "no http"),
        ("ftp://api.example.com", "no http"),
        ("https://höst", "no http"),
        ("http://api.example.com", "plain http to another machine"),
        ("http://10.0.0.1", "plain http to another machine"),
        ("https://user:hush@api.example.com", "credentials"),
        ("user:hush@api.example.com", "credentials"),
        ("https://api.example.com?key=hush", "query"),
        ("https://api.example.com#hush", "fragment"),
    ],
)
def test_unusable_base_urls_are_refused(text: str, said: str) -> None:
    """Without scheme or host, with credentials or plain http to elsewhere a base URL is refused, its secrets unsaid."""
    with pytest.raises(ConfigurationError) as refusal:
        base_url(text)
    assert said in str(refusal.value)
    assert refusal.value.do
    assert "hush" not in str(refusal.value)


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/status-keys/%2E%2E", "/status-keys/%2E%2E"),
        ("/domain%3A1/(a,b;c=d)", "/domain%3A1/(a,b;c=d)"),
        ("//double", "//double"),
        ("/a b\r\nHost: x", "/a%20b%0D%0AHost:%20x"),
        ("/a?b#c", "/a%3Fb%23c"),
        ('/ü"<\\', "/%C3%BC%22%3C%5C"),
        (".example.com/x", "/.example.com/x"),
        ("@example.com", "/@example.com"),
        ("", "/"),
    ],
)
def test_paths_stay_as_written_where_a_url_can_hold_them(path: str, sent: str) -> None:
    """An encoded path is left alone; any other is encoded, and none can break a line or reach into the host."""
    assert safe_path(path) == sent
