"""The fields of a status, as the body of "Set a status" may have them (https://docs.stativate.de/api-docs/)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipelines.sandbox.web import Refusal

_ACCESS = ("public", "private")
_LEVELS = ("public", "private", "owner")

DEFAULTS: Mapping[str, Any] = {
    "name": None,
    "type": "text",
    "value": None,
    "accessType": "private",
    "description": None,
    "colorNo": None,
    "accessTypeUserList": "owner",
    "accessTypeHistory": "private",
}
"""What a new status has for the fields that its request leaves out."""


def invalid(message: str) -> Refusal:
    """A validation error, as the documents' example of an error code names it."""
    return Refusal(400, message, errorCode="validationError")


def checked(body: Mapping[str, Any], plan: Sequence[str]) -> dict[str, Any]:
    """The fields of a body, as they are stored.

    Raises:
        Refusal: 400 for a property that does not exist or a value outside its limits, 402 for what is not in the plan.
    """
    fields = {}
    for name, value in body.items():
        check = _CHECKS.get(name)
        if check is None:
            raise invalid(f'"{name}" is not allowed')
        fields[name] = check(name, value)
    for name in ("accessTypeUserList", "accessTypeHistory"):
        if name in fields and name not in plan:
            raise Refusal(402, f'"{name}" is not available in your plan')
    if "links" not in plan and "://" in (fields.get("description") or ""):
        raise Refusal(402, "Links in a description are not available in your plan")
    return fields


def _text(shortest: int, longest: int, *, upper: bool = False) -> Callable[[str, Any], str]:
    """A string whose length is counted in UTF-16 units, as JavaScript counts, after upper-casing."""

    def check(name: str, value: Any) -> str:
        if not isinstance(value, str):
            raise invalid(f'"{name}" must be a string')
        text = value.upper() if upper else value
        length = len(text.encode("utf-16-le", "surrogatepass")) // 2
        if not shortest <= length <= longest:
            raise invalid(f'"{name}" must have {shortest} to {longest} characters, it has {length}')
        return text

    return check


def _one_of(*allowed: str) -> Callable[[str, Any], str]:
    def check(name: str, value: Any) -> str:
        if value not in allowed:
            raise invalid(f'"{name}" must be one of {", ".join(allowed)}')
        return value

    return check


def _color(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 12:
        raise invalid(f'"{name}" must be a whole number from 1 to 12')
    return value


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "name": _text(3, 42),
    "type": _one_of("text"),
    "value": _text(1, 10, upper=True),
    "accessType": _one_of(*_ACCESS),
    "description": _text(0, 400),
    "colorNo": _color,
    "accessTypeUserList": _one_of(*_LEVELS),
    "accessTypeHistory": _one_of(*_LEVELS),
}
