"""What a deployment tells, when and to whom, as it is written in YAML; without it nothing is told and nothing runs."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from pipelines.owners import OWNER
from pipelines.tables.times import TIME_OF_DAY, Timezone

_ADDRESS = re.compile(r"[^@\s,<>]+@[^@\s,<>]+\.[^@\s,<>]+")


class MorningSpec(BaseModel):
    """When the screen of the day is taken and told."""

    model_config = ConfigDict(extra="forbid")

    at: str = Field(
        pattern=TIME_OF_DAY,
        description="Time of day, after the tables' own schedules and their deliveries: 07:00.",
    )
    timezone: Timezone = Field(
        default="UTC", description="IANA name, such as Europe/Berlin, in which the time is meant."
    )


class OperationsSpec(BaseModel):
    """What a deployment tells of itself: a message each morning, and alerts when a sync's state changes."""

    model_config = ConfigDict(extra="forbid")

    ui_url: str = Field(
        default="", description="Where people open Dagster's UI, for links: https://dagster.example.com."
    )
    owner: str | None = Field(
        default=None,
        pattern=OWNER,
        description="Who answers for the deployment as a whole: an e-mail address, or team:NAME; shown at the asset "
        "`delivery_status`, and in messages about no sync in particular.",
    )
    webhook_env: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="The environment variable that holds the address of a Slack-compatible webhook, or, with _FILE "
        "added to its name, the path of a file that holds it. The address is a secret.",
    )
    mail_to: list[str] = Field(
        default_factory=list,
        description="E-mail addresses; the mail server's settings are the variables `PIPELINES_SMTP_...`.",
    )
    morning: MorningSpec | None = Field(
        default=None,
        description="When the asset `delivery_status` is taken and its screen told, also when all is green; "
        "without it, only by hand.",
    )
    alerts: bool = Field(
        default=False,
        description="Whether changes of a sync's state, and its recovery, are told within a minute or so.",
    )

    @field_validator("ui_url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if value and (urlsplit(value).scheme not in {"http", "https"} or not urlsplit(value).netloc):
            msg = f"{value!r} is no address of a UI; write it like https://dagster.example.com"
            raise ValueError(msg)
        return value.rstrip("/")

    @field_validator("mail_to")
    @classmethod
    def _are_addresses(cls, value: list[str]) -> list[str]:
        for one in value:
            if not _ADDRESS.fullmatch(one):
                msg = f"{one!r} is no e-mail address"
                raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _can_be_told(self) -> OperationsSpec:
        if self.alerts and not self.channels:
            msg = "alerts: there is nobody to tell; give webhook_env or mail_to"
            raise ValueError(msg)
        return self

    @property
    def channels(self) -> list[str]:
        """What is told through: webhook, mail."""
        return [*(["webhook"] if self.webhook_env else []), *(["mail"] if self.mail_to else [])]
