"""The fields of an area, in our words and in the API's.

Source: "Area API | Update or Create" (seed, github.com/feedback-house/developer-portal,
website/docs/api/area/api-area-update-or-create.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.delivery.upsert import Payload

KEY = "correlationID"
"""The primary key that is ours to choose. (Business divisions write theirs correlationId.)"""

FIELDS: Mapping[str, str] = {
    "label": "name",
    "parent": "parent",
    "active": "active",
    "allow_candidates_apply": "allowCandidatesApply",
    "tags": "tags",
    "managers": "managers",
    "business_division": "businessDivision",
}
"""Our word for a field -> the API's.

A payload has these, with the parent's key and the managers' e-mails where the request has server ids, so that what is
compared does not depend on ids; beside them `depth` and `above`, the names above the area, which are not sent.
"""
DIVISION = FIELDS["business_division"]
_UNORDERED = ("tags", "managers")


def compared_form(payload: Payload, fields: Sequence[str]) -> dict[str, Any]:
    """The given fields of a payload; tags and managers in no particular order, and no division like an empty one."""
    form = {field: payload[field] for field in fields if field in payload}
    if form.get(DIVISION, "") is None:
        del form[DIVISION]
    for field in _UNORDERED:
        if field in form:
            form[field] = sorted(set(form[field]))
    return form
