"""What a row becomes at DNSimple: one status per resource and context, with its latest state.

Source: the Statuses page of the platform API (seed, developer.dnsimple.com/v2/platform/statuses).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pipelines.delivery.destination import Destination
from pipelines.delivery.errors import ConfigurationError
from pipelines.delivery.upsert import Payload
from pipelines.destinations.accounts import Account, Settings
from pipelines.destinations.base import SyncSpec
from pipelines.destinations.building import Shaped
from pipelines.destinations.columns import Cells, Columns, Problem, derive, merge
from pipelines.destinations.dnsimple.api import FIELDS, Dnsimple, compared_form
from pipelines.destinations.dnsimple.settings import DnsimpleSettings
from pipelines.destinations.dnsimple.statuses import DEFAULT_CONTEXT, status_key
from pipelines.destinations.rules import Bounds, decide, used_columns
from pipelines.destinations.sent import Sent
from pipelines.destinations.templates import Template, render_optional
from pipelines.destinations.texts import shown, unsound

PREFIXES = ("domain", "record", "platform_connection")
"""The kinds of resource that the Statuses page names. DNSimple's own plugin for CoreDNS also uses `zone`."""
CONTEXT_PATTERN = r"[A-Za-z0-9_-]{1,64}"
"""Which contexts the API takes is written nowhere; these are safe everywhere."""
_TEXTS = ("title", "message", "url")
_PREFIX = re.compile(r"[a-z][a-z_]*")
_ANY = re.compile(r"(?s:.*)")
_ADDRESS = re.compile(r"https?://[^\s/]\S*", re.IGNORECASE)

State = Literal["ok", "warning", "error", "unknown"]


class StateStep(Bounds):
    """A step of a state rule."""

    state: State = Field(description="ok, warning, error or unknown.")


class StateRule(BaseModel):
    """The state of the first step that matches."""

    model_config = ConfigDict(extra="forbid")

    column: str = Field(description="Column that the steps compare.")
    steps: list[StateStep] = Field(description="Tried in order.")
    otherwise: State = Field(description="State where no step matches.")


class DnsimpleSpec(SyncSpec):
    """A row as a status: the latest known state of a resource in a context."""

    comparable: ClassVar[Collection[str]] = FIELDS
    removal: ClassVar[Literal["remove", "deactivate"]] = "deactivate"
    settings: ClassVar[type[Settings]] = DnsimpleSettings
    documentation: ClassVar[str] = "https://developer.dnsimple.com/v2/"

    resource: str = Field(
        description='What the status is about, such as domain:123: a column, or a template like "domain:{domain_id}".'
    )
    resource_prefixes: list[str] = Field(
        default=list(PREFIXES),
        description="Kinds of resource that are sent; zone is not documented and must be named here to be used.",
    )
    context: str = Field(
        default=DEFAULT_CONTEXT,
        description="Template of the context: a resource has one status in each, such as one per KPI.",
    )
    context_pattern: str = Field(
        default=CONTEXT_PATTERN, description="Regular expression that the whole context must match."
    )
    state: StateRule | State = Field(description="The state: steps over a column, or the same for all rows.")
    title: str | None = Field(
        default=None, description="Template of the short title; where a column of it is empty, a status has none."
    )
    message: str | None = Field(
        default=None, description="Template of the longer message; where a column of it is empty, a status has none."
    )
    url: str | None = Field(
        default=None,
        description="Template of the http(s) address that the status links to; where a column of it is empty, none.",
    )

    @field_validator("resource_prefixes")
    @classmethod
    def _bare(cls, prefixes: list[str]) -> list[str]:
        bare = [prefix.removesuffix(":") for prefix in prefixes]
        wrong = next((prefix for prefix in bare if not _PREFIX.fullmatch(prefix)), None)
        if wrong is not None or not bare:
            msg = "name at least one" if not bare else f"{wrong!r} is no kind of resource: write domain, record or zone"
            raise ValueError(msg)
        return bare

    @model_validator(mode="after")
    def _usable(self) -> DnsimpleSpec:
        for field in self.send_when or ():
            if getattr(self, field) is None:
                msg = f"send_when names {field}, which the sync does not send"
                raise ValueError(msg)
        try:
            re.compile(self.context_pattern)
            self._templates()
        except re.error as error:
            msg = f"context_pattern is no regular expression: {error}"
            raise ValueError(msg) from error
        except ConfigurationError as error:
            raise ValueError(str(error)) from error
        return self

    def _templates(self) -> dict[str, Template]:
        # A resource has a colon, so that a text with neither colon nor brace can only be a column.
        resource = self.resource if re.search("[:{}]", self.resource) else f"{{{self.resource}}}"
        texts = {"resource": resource, "context": self.context} | {name: getattr(self, name) for name in _TEXTS}
        return {field: Template.parse(text, field) for field, text in texts.items() if text is not None}

    def used(self) -> Mapping[str, Collection[str]]:
        """The columns that each YAML field uses."""
        used: dict[str, Collection[str]] = {field: one.columns for field, one in self._templates().items()}
        if isinstance(self.state, StateRule):
            used["state"] = used_columns(self.state.column, self.state.steps)
        return used

    def sent(self) -> Sequence[Sent]:
        """The fields of the body (seed: DNSimple "Statuses API")."""
        used = {field: tuple(columns) for field, columns in self.used().items()}
        kinds = (f"is one of {', '.join(f'{prefix}:...' for prefix in self.resource_prefixes)}",)
        form = (f"is {self.context_pattern}",)
        states = (f"is one of {', '.join(get_args(State))}",)
        texts = {"title": "Short title.", "message": "Longer message.", "url": "Address that the status links to."}
        return [
            Sent("resource", "string", "What the status is about.", used["resource"], key=True, must=kinds),
            Sent("context", "string", "One status of the resource among others.", used["context"], key=True, must=form),
            Sent("state", "string", "The latest known state.", used.get("state", ()), must=states),
            *(Sent(name, "string", said, used[name], optional=True) for name, said in texts.items() if name in used),
        ]

    def value_columns(self) -> Collection[str]:
        """The column that the state is made of; of a fixed state the column `actual`, where a text shows it."""
        if isinstance(self.state, StateRule):
            return (self.state.column,)
        shown = {column for field, one in self._templates().items() if field in _TEXTS for column in one.columns}
        return shown & {"actual"}

    def ambiguous(self, key: str, rows: int) -> str:
        """The reason for rows that share key and time but differ: the key's templates lack a column."""
        return (
            f"the status {key} is made by {rows} rows that differ: does resource: {self.resource!r} "
            f"or context: {self.context!r} lack a column?"
        )

    def shape(self, columns: Columns) -> Shaped:
        """A key `resource/context` and a full body per row; resources and contexts that do not fit are problems."""
        fields: dict[str, Cells[Any]] = {}
        for field, template in self._templates().items():
            texts = self._optional(template, columns) if field in _TEXTS else template.render(columns)
            bad = derive(texts.values, self._checked(field), "", {}).problems
            fields[field] = Cells(texts.values, merge(texts.problems, bad))
        fields["state"] = self._states(columns)
        names = tuple(fields)
        rows = list(zip(*(cells.values for cells in fields.values()), strict=True))
        # Rows that say the same share one payload: less memory, and one fingerprint for all of them.
        payloads = {
            row: {name: value for name, value in zip(names, row, strict=True) if value is not None} for row in set(rows)
        }
        unkeyed = merge(fields["resource"].problems, fields["context"].problems)
        keys = list(map(status_key, fields["resource"].values, fields["context"].values))
        for at in unkeyed:
            keys[at] = ""
        problems = merge(unkeyed, *(cells.problems for cells in fields.values()))
        return Shaped(keys, [payloads[row] for row in rows], problems)

    def _optional(self, template: Template, columns: Columns) -> Cells[str | None]:
        """Title, message or link: left out where there is nothing to say; a missing value stays a problem."""
        texts = render_optional(template, columns)
        values = (columns.nulls(name) for name in template.columns if name in self.value_columns())
        return Cells(texts.values, merge(*values, texts.problems))

    def _states(self, columns: Columns) -> Cells[str]:
        if not isinstance(self.state, StateRule):
            return Cells([self.state] * len(columns))
        steps: list[tuple[Bounds, str]] = [(step, step.state) for step in self.state.steps]
        return decide(columns, self.state.column, steps, self.state.otherwise)

    def _checked(self, field: str) -> Callable[[str], str | Problem]:
        """The text, if it can be sent as this field."""
        form, complaint = self._forms().get(field, (_ANY, ""))

        def checked(text: str) -> str | Problem:
            if unfit := unsound(text):
                return Problem(f"{field} {shown(text)} {unfit}")
            # The API takes an empty context for its default: another key.
            if form.fullmatch(text) and (text or field != "context"):
                return text
            return Problem(f"{field} {shown(text)} {complaint}")

        return checked

    def _forms(self) -> Mapping[str, tuple[re.Pattern[str], str]]:
        """The form of a field, and what is wrong with a text that has not."""
        examples = ", ".join(f"{prefix}:123" for prefix in self.resource_prefixes)
        return {
            "resource": (
                re.compile(f"({'|'.join(self.resource_prefixes)}):[1-9][0-9]*"),
                f"is none like {examples} (resource_prefixes)",
            ),
            "context": (
                re.compile(self.context_pattern),
                f"is empty or does not match context_pattern: {self.context_pattern}",
            ),
            "url": (_ADDRESS, "is no http(s) address"),
        }

    def normalise(self, payload: Payload) -> Payload:
        """The compared fields."""
        return compared_form(payload, self.compared())

    def compared(self) -> tuple[str, ...]:
        """The fields that count: of those that the sync sends, all or the ones of `send_when`."""
        return tuple(field for field in (self.send_when or FIELDS) if getattr(self, field) is not None)

    def connect(self, account: Account) -> Destination:
        """The destination that delivers this sync's upserts to the account."""
        return Dnsimple(account, self.compared())
