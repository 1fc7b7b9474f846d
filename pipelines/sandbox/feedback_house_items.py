"""What an item of feedback.house's area batches may hold.

Source: https://github.com/feedback-house/developer-portal, website/docs/api/area/api-area-update-or-create.md. Fields
that it does not list are passed over, as its own examples have one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_ID = re.compile(r"[0-9a-f]{24}")

DEFAULTS: Mapping[str, Any] = {
    "correlationID": None,
    "name": None,
    "businessDivision": None,
    "active": True,
    "parent": None,
    "managers": [],
    "allowCandidatesApply": False,
    "tags": [],
}
"""What a new area has for the fields that its item leaves out."""
FLAGS = ("active", "allowCandidatesApply")
RESETTABLE = tuple(name for name in DEFAULTS if name not in {"correlationID", "name"})


class ItemError(Exception):
    """Why an item is refused; it goes into the answer's `errors`."""


def checked(item: Any) -> dict[str, Any]:
    """The fields of an item, without those that it leaves out.

    Raises:
        ItemError: it is no object, or a field has the wrong type.
    """
    if not isinstance(item, dict):
        raise ItemError("Area is no object")
    if "name" in item and not item["name"]:
        raise ItemError("Missing name field")
    fields = {}
    for name, fits in _FITS.items():
        if name in item:
            if not fits(item[name]):
                raise ItemError(f"Invalid {name} field")
            fields[name] = item[name]
    return fields


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and bool(_ID.fullmatch(value))


def _is_id_or_nothing(value: Any) -> bool:
    return value is None or _is_id(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_ids(value: Any) -> bool:
    return isinstance(value, list) and all(_is_id(entry) for entry in value)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, str) for entry in value)


_FITS: Mapping[str, Callable[[Any], bool]] = {
    "id": _is_id,
    "correlationID": _is_text,
    "name": _is_text,
    "businessDivision": _is_id_or_nothing,
    "active": _is_flag,
    "parent": _is_id_or_nothing,
    "managers": _is_ids,
    "allowCandidatesApply": _is_flag,
    "tags": _is_texts,
}
