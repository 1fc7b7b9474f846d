"""The fields that every sync has, and the way from a frame to upserts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pipelines.delivery.cycles import no_cycles
from pipelines.delivery.destination import Destination
from pipelines.delivery.errors import ConfigurationError
from pipelines.delivery.gates import Ceilings
from pipelines.delivery.upsert import Built, Outcome, Payload
from pipelines.delivery.wording import NAME
from pipelines.destinations.accounts import Account, Settings
from pipelines.destinations.building import FRAME, Shaped, assemble, check_conserved, select
from pipelines.destinations.columns import Columns, Problem, require, unknown
from pipelines.destinations.conditions import check_columns, check_condition
from pipelines.destinations.sent import Sent
from pipelines.destinations.thresholds import Threshold, Tolerance
from pipelines.owners import OWNER


class CeilingsSpec(BaseModel):
    """What one plan may do at most. Percentages are of the keys that the sync has delivered so far, at least 1 key."""

    model_config = ConfigDict(extra="forbid")

    created: Threshold | None = Field(default=None, description="Keys that the sync has never delivered.")
    changed: Threshold | None = Field(default=None, description="Keys whose payload differs from what was accepted.")
    removed: Threshold | None = Field(
        default=Threshold(percent=10, count=100), description="Keys that are taken away; null: no bound."
    )

    def ceilings(self) -> Ceilings:
        """The same for the engine."""
        return Ceilings(**{name: bound and bound.ceiling() for name, bound in self})


class ReadBackSpec(BaseModel):
    """What a standing check reads from the API, to compare it with what was last accepted."""

    model_config = ConfigDict(extra="forbid")

    keys: int | Literal["all"] = Field(default=50, description="How many keys, drawn by lot each time, or all of them.")
    then: Literal["report", "reassert"] = Field(
        default="report",
        description="What becomes of a key that somebody changed there: it is reported and kept, or also sent again, "
        "by runs over its partitions that are started for that.",
    )

    @field_validator("keys")
    @classmethod
    def _some(cls, keys: int | str) -> int | str:
        if isinstance(keys, int) and keys < 1:
            msg = f"{keys} keys would tell nothing: choose 1 or more, all, or read_back: null"
            raise ValueError(msg)
        return keys


class SyncSpec(BaseModel, ABC):
    """One table to one account, as configured. An API's spec adds what a row becomes there."""

    model_config = ConfigDict(extra="forbid")

    comparable: ClassVar[Collection[str]] = ()
    """The fields that `send_when` may name."""
    dated: ClassVar[bool] = False
    """Whether a key belongs to one date; else it shows the latest value only, whatever the date."""
    removal: ClassVar[Literal["remove", "deactivate"]] = "remove"
    """How this API lets go of a key."""
    retired: ClassVar[Mapping[str, Any]] = {}
    """The fields by which an entry is out of use, where the API lets go of it so: else it is gone."""
    settings: ClassVar[type[Settings]]
    """What the account of such a sync reads from the environment."""
    documentation: ClassVar[str]
    """Address of the API's own documentation."""

    name: str = Field(pattern=NAME, description="Name of the sync: letters, digits and underscores.")
    table: str = Field(description="Name of the table whose valid rows are sent.")
    account: str = Field(
        pattern=NAME, description="Account to send to; its settings are read from the environment under this name."
    )
    mode: Literal["sandbox", "dry", "live"] = Field(
        description="sandbox: only to this machine's sandbox; dry: plan and send nothing; live: to the real API."
    )
    owner: str | None = Field(
        None,
        pattern=OWNER,
        description="Who answers for it, shown beside its assets: `team:name`, or an e-mail address.",
    )
    quota: str | None = Field(
        None,
        pattern=NAME,
        description="Name of the allowance, where several accounts drain one: syncs that name the same take turns.",
    )
    share: float = Field(
        1.0,
        description="Part of the account's allowance that this sync may use, above 0 and at most 1: "
        "for accounts that others use as well.",
    )
    max_minutes: float | None = Field(
        720,
        description="Minutes after which a run sends nothing more, above 0; what is left is not sent, and the next run "
        "takes it up. `null`: no end.",
    )
    partitions_per_run: int | None = Field(
        default=None,
        ge=1,
        description="Partitions that a run of a backfill delivers at most; default: 92. The syncs of a table must "
        "differ in it, or they would wait for each other in one run: where they would not, it is one less, or so.",
    )
    where: str | None = Field(
        default=None, description="SQL condition over the row's columns (DuckDB); other rows are not selected."
    )
    on_null: Literal["invalid", "skip"] = Field(
        default="invalid",
        description="What a row without a value is: invalid, or skipped as not selected. It is never 0.",
    )
    send_when: list[str] | None = Field(
        default=None, description="Fields whose change is sent; by default every field that the sync sends."
    )
    warn_above: Tolerance | None = Field(
        default=Tolerance(count=0),
        description="Rejected, invalid and quarantined rows above this turn a partition yellow: all of them together "
        "(`{percent: 5, count: 100}`), or each kind by itself (`{rejected: {count: 0}, quarantined: {percent: 5}}`).",
    )
    fail_above: Tolerance | None = Field(
        default=None,
        description="The same for red; by default no such row turns a partition red.",
    )

    ceilings: CeilingsSpec = Field(
        default_factory=CeilingsSpec,
        description="A plan that would do more is not sent at all, until somebody looked at it.",
    )
    vanished: Literal["keep", "remove", "deactivate"] = Field(
        default="keep",
        description="What becomes of keys that the source no longer has: kept, removed (Stativate, ValueStreamer), or "
        "deactivated (feedback.house: inactive; DNSimple: state unknown).",
    )
    keys_from: str | None = Field(
        default=None,
        description="One of the table's catalogues: a key has vanished when its code is no longer there. Needed for "
        "`vanished` where a key shows the latest of many partitions.",
    )
    park_after: int | None = Field(
        default=3,
        description="After so many rejections of the same payload in a row it is not sent again until it changes; "
        "null: never parked.",
    )

    open_days: float = Field(
        default=3.0, description="Standing check: rows that are rejected or undelivered for longer are reported."
    )
    read_back: ReadBackSpec | None = Field(
        default=ReadBackSpec(),
        description="Standing check: keys that are read from the API, and what becomes of changes made there by hand; "
        "null: nothing is read.",
    )

    @field_validator("open_days")
    @classmethod
    def _some_days(cls, days: float) -> float:
        if not 0 <= days < float("inf"):
            msg = f"{days:g} is no number of days: choose 0 or more"
            raise ValueError(msg)
        return days

    @field_validator("share")
    @classmethod
    def _part_of_one(cls, share: float) -> float:
        if not 0 < share <= 1:
            msg = f"{share:g} is no part of an allowance: choose one above 0, at most 1"
            raise ValueError(msg)
        return share

    @field_validator("max_minutes")
    @classmethod
    def _some_time(cls, minutes: float | None) -> float | None:
        if minutes is not None and not 0 < minutes < float("inf"):
            msg = f"{minutes:g} is no time for a run: choose minutes above 0, or null for no end"
            raise ValueError(msg)
        return minutes

    @field_validator("where")
    @classmethod
    def _one_condition(cls, where: str | None) -> str | None:
        if where is not None:
            try:
                check_condition(where)
            except ConfigurationError as error:
                raise ValueError(str(error)) from error
        return where

    @field_validator("park_after")
    @classmethod
    def _once_at_least(cls, times: int | None) -> int | None:
        if times is not None and times < 1:
            msg = f"after {times} rejections nothing could ever be sent: choose 1 or more, or null"
            raise ValueError(msg)
        return times

    @model_validator(mode="after")
    def _removal_fits(self) -> SyncSpec:
        if self.vanished not in {"keep", self.removal}:
            msg = f"vanished: {self.settings.api} knows keep and {self.removal}, not {self.vanished}"
            raise ValueError(msg)
        if self.keys_from is not None and self.vanished == "keep":
            msg = f"keys_from: it says which keys have vanished, and these are kept; set vanished: {self.removal}"
            raise ValueError(msg)
        if self.keys_from is not None and self.dated:
            msg = "keys_from: a dated key has vanished when its partition no longer has its row; leave it out"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _comparable_fields(self) -> SyncSpec:
        for field in self.send_when or ():
            if field not in self.comparable:
                raise ValueError(str(unknown("send_when", "field", field, self.comparable)))
        if self.send_when == []:
            msg = "send_when names no field: then no change would ever be sent; leave it out to compare all fields"
            raise ValueError(msg)
        return self

    @abstractmethod
    def used(self) -> Mapping[str, Collection[str]]:
        """The columns that each YAML field uses."""

    @abstractmethod
    def sent(self) -> Sequence[Sent]:
        """The API's fields that this sync sends, the key's first."""

    @abstractmethod
    def value_columns(self) -> Collection[str]:
        """The columns whose null `on_null` is about."""

    @abstractmethod
    def shape(self, columns: Columns) -> Shaped:
        """What each row becomes at this API; a row that cannot is a problem, never an exception."""

    @abstractmethod
    def normalise(self, payload: Payload) -> Payload:
        """The payload as it is compared: see `delivery.destination.Destination.normalise`."""

    def words(self, payload: Payload) -> Mapping[str, str]:
        """Paths of the payload's fields (`delivery.compare.flat`) that say little -> what people call them."""
        del payload
        return {}

    @abstractmethod
    def connect(self, account: Account) -> Destination:
        """The destination that delivers this sync's upserts to the account."""

    @abstractmethod
    def ambiguous(self, key: str, rows: int) -> str:
        """The reason for rows that share key and time but differ: what must tell them apart."""

    def check(self, columns: Collection[str]) -> None:
        """Check the names of all columns that the sync uses against those there are.

        Raises:
            ConfigurationError: names the sync, the field, the column and the closest columns.
        """
        for field, used in self.used().items():
            require(columns, used, f"sync {self.name}, {field}")
        if self.where is not None:
            check_columns(self.where, columns, f"sync {self.name}, where")

    def build(self, frame: pd.DataFrame) -> Built:
        """Turn the rows of one or more partitions into upserts; each stands in exactly one upsert or dropped record.

        Raises:
            ConfigurationError: a column does not exist, or `where` cannot be used. An empty frame is enough to see it.
        """
        self.check([*frame.columns])
        require([*frame.columns], FRAME, f"sync {self.name}, table {self.table}")
        chosen, left_out = select(frame, self.where)
        with no_cycles():
            columns = Columns(chosen)
            shaped = self.shape(columns)
            if self.on_null == "skip":
                shaped = shaped._replace(problems={**shaped.problems, **self._skipped(columns)})
            built = assemble(chosen, shaped, self.normalise, self.ambiguous)
        built.dropped.extend(left_out)
        return check_conserved(frame, built)

    def _skipped(self, columns: Columns) -> dict[int, Problem]:
        skipped: dict[int, Problem] = {}
        for name in self.value_columns():
            for at in columns.nulls(name):
                skipped[at] = Problem(f"{name} is empty (on_null: skip)", Outcome.NOT_SELECTED)
        return skipped
