"""The fingerprint of a payload: what "unchanged" means, in 16 bytes."""

from __future__ import annotations

import math
from hashlib import blake2b
from typing import Any

import orjson

from pipelines.delivery.upsert import Payload

VERSION = 1
"""Stored beside every fingerprint; a new version is compared by payload, so that an upgrade resends nothing."""


def canonical(payload: Payload) -> bytes:
    """The payload as canonical JSON: sorted keys, no spaces, whole floats as integers (1.0 and 1 are one value).

    Raises:
        ValueError: a number is not finite.
    """
    try:
        text = orjson.dumps(payload, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        pass
    else:
        # orjson writes whole floats with .0 and what is not finite as null; most payloads hold neither.
        if b".0" not in text and b"null" not in text:
            return text
    return orjson.dumps(_plain(payload), option=orjson.OPT_SORT_KEYS)


def fingerprint(normalised: Payload) -> str:
    """The hash of a normalised payload, as 32 hexadecimal digits."""
    return blake2b(canonical(normalised), digest_size=16).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        if not math.isfinite(value):
            msg = f"{value} has no place in JSON"
            raise ValueError(msg)
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
