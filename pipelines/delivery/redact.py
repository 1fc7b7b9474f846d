"""Texts without the secrets that they might repeat: an echo of a request, a URL, a library's error."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Collection
from urllib.parse import quote

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{4,}={0,2}")


def redact(text: str, secrets: Collection[str]) -> str:
    """The text with `***` for every secret: as it is, percent-encoded, escaped for JSON or HTML, or within Base64.

    Redact before shortening: half a secret is not found.
    """
    known = [secret for secret in secrets if secret]
    if not known:
        return text
    forms = {
        form
        for secret in known
        for form in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1], html.escape(secret))
    }
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, "***")
    hidden = [secret.encode() for secret in known]
    return _BASE64.sub(lambda found: "***" if _holds(found[0], hidden) else found[0], text)


def _holds(token: str, secrets: Collection[bytes]) -> bool:
    """Whether Base64 text, such as Basic's `user:password`, holds a secret; its first letters may not belong to it."""
    letters = token.rstrip("=").replace("-", "+").replace("_", "/")
    for start in range(4):
        part = letters[start:]
        plain = base64.b64decode(part + "A" * (-len(part) % 4))
        if any(secret in plain for secret in secrets):
            return True
    return False
