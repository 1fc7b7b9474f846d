"""Texts without the secrets that they might repeat: an echo of a request, a URL, a library's error."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection
from functools import lru_cache
from html.entities import codepoint2name
from urllib.parse import unquote

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{4,}={0,2}")
_ESCAPED = {'"': '"', "'": "'", "\\": "\\", "/": "/", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}
"""What stands behind the backslash."""
_TELLING = re.compile(r"pass|pwd|secret|token|key|credential|sig", re.IGNORECASE)
_PIECE = 4
"""So long must a part of a password be to be taken for one by itself."""


def redact(text: str, secrets: Collection[str]) -> str:
    """The text with `***` for every secret, in whatever form it stands there.

    That is: as it is, or with any of its characters percent-encoded, or escaped for JSON, HTML or Python, or its white
    space collapsed, or its UTF-8 misread as Latin-1; or the whole within Base64.
    Redact before shortening: half a secret is not found.
    """
    known = frozenset(secret for secret in secrets if secret)
    if not known:
        return text
    text = _pattern(known).sub("***", text)
    hidden = [secret.encode("utf-8", "surrogatepass") for secret in known]
    return _BASE64.sub(lambda found: "***" if _holds(found[0], hidden) else found[0], text)


def url_secrets(url: str) -> tuple[str, ...]:
    """The texts of a URL that no message may repeat: its password, and what its query calls a secret.

    A password whose @ or / was not encoded ends too early for URL libraries, which then take its rest for the host: so
    each part of it counts.
    """
    rest = url.partition("://")[2]
    password = rest.rpartition("@")[0].partition(":")[2]
    parts = [part for part in re.split(r"[@/?#:]", password) if len(part) >= _PIECE]
    query = [part.partition("=") for part in re.split(r"[?&]", rest)[1:]]
    told = [value for name, _, value in query if _TELLING.search(name)]
    found = [password, *parts, *told]
    return tuple(dict.fromkeys(text for one in found for text in (one, unquote(one)) if text))


@lru_cache(maxsize=32)
def _pattern(secrets: frozenset[str]) -> re.Pattern[str]:
    """Any of the secrets, the longest first, so that none leaves the rest of another behind."""
    ordered = sorted(secrets, key=len, reverse=True)
    # Runs of white space are one, since texts are put on one line.
    return re.compile("|".join("".join(map(_any_form, " ".join(secret.split()) or secret)) for secret in ordered))


def _any_form(character: str) -> str:
    """A character, as it is or as any notation writes it."""
    code, utf8 = ord(character), character.encode("utf-8", "surrogatepass")
    utf16 = character.encode("utf-16-be", "surrogatepass")
    units = [utf16[at : at + 2].hex() for at in range(0, len(utf16), 2)]
    forms = {
        re.escape(character),
        "".join(f"%(?:25)?(?i:{byte:02x})" for byte in utf8),
        "".join(rf"\\+u(?i:{unit})" for unit in units),
        "".join(rf"\\+x(?i:{byte:02x})" for byte in utf8),
        rf"&#0*{code};",
        rf"&#[xX]0*(?i:{code:x});",
        re.escape(utf8.decode("latin-1")),
    }
    if code < 256:
        forms.add(rf"\\+x(?i:{code:02x})")
    if code in codepoint2name:
        forms.add(f"&{codepoint2name[code]};")
    if character in _ESCAPED:
        forms.add(rf"\\+{re.escape(_ESCAPED[character])}")
    if character == " ":
        forms |= {r"\s", r"\+", r"%(?:25)?0(?i:[9ad])", r"\\+[nrt]", "&nbsp;"}
    one = f"(?:{'|'.join(sorted(forms, key=len, reverse=True))})"
    return f"{one}+" if character == " " else one


def _holds(token: str, secrets: Collection[bytes]) -> bool:
    """Whether Base64 text, such as Basic's `user:password`, holds a secret; its first letters may not belong to it."""
    letters = token.rstrip("=").replace("-", "+").replace("_", "/")
    for start in range(4):
        part = letters[start:]
        plain = base64.b64decode(part + "A" * (-len(part) % 4))
        if any(secret in plain for secret in secrets):
            return True
    return False
