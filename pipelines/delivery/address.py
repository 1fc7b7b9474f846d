"""Base URLs: which ones may be called at all, and which name this machine itself."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import SplitResult, quote, urlsplit

from pipelines.delivery.errors import ConfigurationError

# A host as every URL library reads it alike: letters, digits, dots, hyphens; or an IPv6 address in brackets.
_AUTHORITY = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9.])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
# Beside letters, digits and `-._~`: what may stand in a path (RFC 3986), and the % of what is encoded already.
_IN_PATH = "!$&'()*+,;=:@/%"
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@/%-]*")
_EXAMPLE = "Write it like https://api.example.com/v1."


def is_loopback(url: str) -> bool:
    """Whether the URL names this machine: localhost, 127.0.0.0/8 or [::1]. Its letters decide, no look-up."""
    parts = _split(url)
    if parts is None:
        return False
    host = parts.hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def base_url(text: str) -> str:
    """The base URL in the form that paths are appended to: no slash at its end.

    Raises:
        ConfigurationError: no http(s) scheme or host, credentials, a query, or plain http to another machine.
    """
    url = text.strip()
    if "@" in url:
        raise ConfigurationError(
            "The base URL holds an @, as credentials in a URL do", do="Take them out: they are settings of their own."
        )
    if "?" in url or "#" in url:
        raise ConfigurationError("The base URL holds a query or a fragment", do=_EXAMPLE)
    parts = _split(url)
    if parts is None:
        told = f"The base URL {url[:200]!r}" if "://" in url else "The base URL"  # else perhaps a key, set by mistake
        raise ConfigurationError(f"{told} has no http(s) scheme or no usable host", do=_EXAMPLE)
    if parts.scheme == "http" and not is_loopback(url):
        raise ConfigurationError(
            f"The base URL {url[:200]!r} is plain http to another machine",
            do="Use https: plain http is only for localhost, 127.0.0.0/8 and [::1].",
        )
    path = quote(parts.path.rstrip("/"), safe=_IN_PATH)
    return f"{parts.scheme}://{parts.netloc.lower()}{path}"


def safe_path(path: str) -> str:
    """The path as it is written; what no path may hold is encoded, and it can never run into the host's name."""
    if _PATH.fullmatch(path):
        return path
    return quote(path if path.startswith("/") else f"/{path}", safe=_IN_PATH)


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and _AUTHORITY.fullmatch(parts.netloc) and parts.port != 0
    except ValueError:
        return None
    return parts if usable else None
