"""What a row becomes at feedback.house: one area, known by a key of ours, with its parent.

Source: "Area API | Update or Create" (seed, github.com/feedback-house/developer-portal,
website/docs/api/area/api-area-update-or-create.md).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal

import orjson
from pydantic import Field, model_validator

from pipelines.delivery.destination import Destination
from pipelines.delivery.errors import ConfigurationError
from pipelines.delivery.upsert import Payload
from pipelines.destinations.accounts import Account, Settings
from pipelines.destinations.base import SyncSpec
from pipelines.destinations.building import Shaped
from pipelines.destinations.columns import Cells, Columns, Problem, merge
from pipelines.destinations.feedback_house.api import FeedbackHouse
from pipelines.destinations.feedback_house.cells import flags, listed, maybe_text, optional, some_text
from pipelines.destinations.feedback_house.fields import FIELDS, KEY, compared_form
from pipelines.destinations.feedback_house.settings import FeedbackHouseSettings
from pipelines.destinations.feedback_house.tree import Area, Place, places
from pipelines.destinations.sent import Sent
from pipelines.destinations.templates import Template
from pipelines.destinations.texts import shown

_OPTIONAL = ("parent", "tags", "managers", "business_division")
_SENT = {
    "label": ("string", "Name of the area."),
    "parent": ("string", "The area above, whose id takes the place of its key."),
    "active": ("boolean", "Whether the area is in use."),
    "allow_candidates_apply": ("boolean", "Whether candidates can apply there."),
    "tags": ("array of strings", "Tags."),
    "managers": ("array of strings", "Its managers, whose ids take the place of their e-mails."),
    "business_division": ("string", "Id of the business division."),
}
"""Our word for a field -> its JSON type, and what it says."""
_MAX_BYTES = 9_000_000
"""10 MB are the API's limit, headers included."""
_LARGEST = 9_900_000
"""The same for one area, which cannot be divided: what is left is for headers."""


class FeedbackHouseSpec(SyncSpec):
    """A row as an area. The newest state of each key is sent, parents before their children."""

    comparable: ClassVar[Collection[str]] = tuple(FIELDS)
    removal: ClassVar[Literal["remove", "deactivate"]] = "deactivate"
    settings: ClassVar[type[Settings]] = FeedbackHouseSettings
    documentation: ClassVar[str] = "https://github.com/feedback-house/developer-portal"

    key: str = Field(default="{area_code}", description="Template of the area's key, which becomes its correlationID.")
    label: str = Field(default="{area_name}", description="Template of the area's name.")
    parent: str | None = Field(
        default="{parent_code}",
        description="Template of the parent's key; a row in which a column of it is empty stands at the top; "
        "null: parents are not sent.",
    )
    active: str | Literal[True] = Field(
        default="active", description="Column that says whether the area is in use, or true: all are."
    )
    allow_candidates_apply: str | bool = Field(
        default=False, description="Column that says whether candidates can apply there, or true or false for all."
    )
    tags: str | list[str] | None = Field(
        default="tags",
        description="Column with the tags, a list or a text with commas; or a list of templates, such as "
        '"site:{site}", each left out where its column is empty; null: tags are not sent.',
    )
    managers: str | None = Field(
        default=None,
        description="Column with the managers' e-mails, a list or a text with commas. An e-mail that no user has, or "
        "several have, is left out, and every run says so until it is found; where none is found, managers are not "
        "sent. Default: managers are not sent.",
    )
    business_division: str | None = Field(
        default=None,
        description="Column with the business division's id; where it is empty, the area has none. "
        "Default: divisions are not sent.",
    )
    batch_size: int = Field(default=100, ge=1, description="Areas in one request at most.")
    batch_bytes: int = Field(
        default=1_000_000, ge=1_000, le=_MAX_BYTES, description="Bytes of one request at most, where an area has fewer."
    )

    @model_validator(mode="after")
    def _usable(self) -> FeedbackHouseSpec:
        for field in self.send_when or ():
            if field in _OPTIONAL and getattr(self, field) is None:
                msg = f"send_when names {field}, which the sync does not send"
                raise ValueError(msg)
        try:
            self._templates()
        except ConfigurationError as error:
            raise ValueError(str(error)) from error
        return self

    def _templates(self) -> dict[str, list[Template]]:
        texts = {"key": [self.key], "label": [self.label], "parent": [] if self.parent is None else [self.parent]}
        texts["tags"] = self.tags if isinstance(self.tags, list) else []
        return {field: [Template.parse(text, field) for text in some] for field, some in texts.items()}

    def used(self) -> Mapping[str, Collection[str]]:
        """The columns that each YAML field uses."""
        used: dict[str, Collection[str]] = {
            field: [name for one in some for name in one.columns] for field, some in self._templates().items()
        }
        for field in ("active", "allow_candidates_apply", "tags", "managers", "business_division"):
            column = getattr(self, field)
            if isinstance(column, str):
                used[field] = (column,)
        return used

    def sent(self) -> Sequence[Sent]:
        """The fields of an area (seed: feedback.house "Area API | Update or Create")."""
        used = {field: tuple(columns) for field, columns in self.used().items()}
        fields = [Sent(KEY, "string", "Our key of the area.", used["key"], key=True)]
        for field, name in FIELDS.items():
            if field not in _OPTIONAL or getattr(self, field) is not None:
                kind, said = _SENT[field]
                fields.append(Sent(name, kind, said, used.get(field, ()), optional=field in _OPTIONAL))
        return fields

    def value_columns(self) -> Collection[str]:
        """The name's columns."""
        return self._templates()["label"][0].columns

    def ambiguous(self, key: str, rows: int) -> str:
        """The reason for rows that share key and time but differ: the template lacks a column."""
        return f'area {key} is made by {rows} rows that differ: does the template key: "{self.key}" lack a column?'

    def shape(self, columns: Columns) -> Shaped:
        """A key and an area per row; a row without key or name, or with a circle of parents above it, is a problem."""
        templates = self._templates()
        keys = some_text("key", templates["key"][0].render(columns))
        names = some_text("name", templates["label"][0].render(columns))
        fields: dict[str, Cells[Any]] = {
            "name": names,
            "active": flags(columns, self.active),
            "allowCandidatesApply": flags(columns, self.allow_candidates_apply),
        }
        if self.parent is not None:
            fields["parent"] = optional(templates["parent"][0], columns)
        if self.tags is not None:
            fields["tags"] = listed(columns, self.tags if isinstance(self.tags, str) else templates["tags"])
        if self.managers is not None:
            fields["managers"] = listed(columns, self.managers, lower=True)
        if self.business_division is not None:
            fields["businessDivision"] = maybe_text(columns, self.business_division)
        problems = merge(keys.problems, *(cells.problems for cells in fields.values()))
        parents = fields["parent"].values if "parent" in fields else [None] * len(columns)
        told = [Area(*one) for one in zip(names.values, parents, strict=True)]
        standing, circular = _placed(columns, keys, told, problems)
        payload = partial(_payload, tuple(fields))
        payloads = list(map(payload, standing, *(cells.values for cells in fields.values())))
        large = _too_large(keys.values, payloads)
        return Shaped(keys.values, payloads, merge(problems, circular, large))

    def normalise(self, payload: Payload) -> Payload:
        """The compared fields; ids play no part, since parents stand there by key and managers by e-mail."""
        return compared_form(payload, self.compared())

    def compared(self) -> tuple[str, ...]:
        """The API's names of the fields that count."""
        return tuple(FIELDS[field] for field in (self.send_when or FIELDS))

    def connect(self, account: Account) -> Destination:
        """The destination that delivers this sync's upserts to the account."""
        return FeedbackHouse(account, self.compared(), batch_size=self.batch_size, batch_bytes=self.batch_bytes)


def _placed(
    columns: Columns, keys: Cells[str], areas: Sequence[Area], problems: Mapping[int, Problem]
) -> tuple[list[Place], dict[int, Problem]]:
    """The place of each row's area in the tree of its partition, and the rows that are their own ancestors."""
    partitions, as_of = columns.values("partition"), columns.values("as_of")
    trees: dict[str, dict[str, Area]] = {}
    # Of several rows with one key the newest without a problem is what the tree is about.
    for at in sorted(range(len(areas)), key=lambda at: (at not in problems, as_of[at])):
        if at not in keys.problems:
            trees.setdefault(partitions[at], {})[keys.values[at]] = areas[at]
    found = {partition: places(tree) for partition, tree in trees.items()}
    standing = [Place()] * len(partitions)
    circular: dict[int, Problem] = {}
    for at, partition in enumerate(partitions):
        if at in keys.problems:
            continue
        by_key, circles = found[partition]
        key = keys.values[at]
        standing[at] = by_key[key]
        if key in circles:
            circular[at] = Problem(f"parent {shown(areas[at].parent)} leads back to the area itself")
    return standing, circular


def _too_large(keys: Sequence[str], payloads: Sequence[Payload]) -> dict[int, Problem]:
    """Areas that no request can hold. Ids in place of keys and e-mails hardly matter at that size."""
    large: dict[int, Problem] = {}
    for at, payload in enumerate(payloads):
        texts = (keys[at], payload["name"], *payload.get("tags", ()), *payload.get("managers", ()))
        # JSON writes a character as six bytes at most.
        if 6 * sum(map(len, texts)) + 10 * len(texts) < _LARGEST:
            continue
        size = len(orjson.dumps({KEY: keys[at], **{field: payload.get(field) for field in FIELDS.values()}}))
        if size > _LARGEST:
            large[at] = Problem(f"the area has {size:,} bytes; feedback.house takes requests of at most 10 MB")
    return large


def _payload(fields: tuple[str, ...], place: Place, *values: Any) -> Payload:
    payload = dict(zip(fields, values, strict=True))
    if payload.get("parent") is not None:
        payload |= {"depth": place.depth, "above": list(place.above)}
    return payload
