"""Texts: which ones can travel at all, and how a value is shown in a reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

LONGEST_KEY = 500
"""Characters of a key at most: what the ledger's indexes bear in PostgreSQL, and more than an address should have."""
_SHOWN = 80


def shown(value: Any) -> str:
    """The value in quotation marks, what is not printable escaped, and cut where it is long: reasons are kept."""
    if isinstance(value, str | bytes) and len(value) > _SHOWN:
        return f"{value[:_SHOWN]!r}…"
    text = repr(value)
    return text if len(text) <= _SHOWN + 2 else f"{text[:_SHOWN]}…"


def unsound(text: str) -> str | None:
    """Why no request should hold the text; None: it may.

    A lone surrogate, which broken exports hold, has no form in UTF-8. NUL has one, but databases refuse it, so that
    APIs fail in unforeseen ways: a row would be sent again and again, and take the blame for the API's health.
    """
    if "\0" in text:
        return "holds a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds half a character, which is no valid text"
    return None


def unfit_keys(keys: Sequence[str]) -> dict[str, str]:
    """The texts that can be no keys, and why."""
    # A look at all of them at once costs a tenth of one at each.
    together = "".join(keys)
    if together.isascii() and "\0" not in together and max(map(len, keys), default=0) <= LONGEST_KEY:
        return {}
    return {key: f"the key {shown(key)} {complaint}" for key in set(keys) if (complaint := _unfit_key(key))}


def _unfit_key(key: str) -> str | None:
    if len(key) > LONGEST_KEY:
        return f"is longer than {LONGEST_KEY} characters"
    return unsound(key)
