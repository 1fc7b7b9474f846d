"""The sandbox's switches, set through `/control/config`.

Most stand for something that the APIs' documents leave open or contradict themselves in: the sandbox can be either
reading, so that the product can be tried against both.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipelines.sandbox.accounts import FEEDBACK_HOUSE_AUTH_HEADER, FEEDBACK_HOUSE_AUTH_VALUE
from pipelines.sandbox.limits import Limit


class ApiSettings(BaseModel):
    """What every API of the sandbox has."""

    model_config = ConfigDict(extra="forbid")

    latency_s: float = Field(default=0.0, ge=0, le=600, description="Seconds that every answer takes at least.")
    limit: Limit | None = Field(default=None, description="A limit of requests.")

    def limit_for(self, *, authenticated: bool) -> Limit | None:
        """The limit of requests with or without the right credentials."""
        del authenticated
        return self.limit


class StativateSettings(ApiSettings):
    """Readings of Stativate's documents."""

    create_status: Literal[200, 201] = Field(
        default=200, description="The status of a creation; the documents show both."
    )
    list_form: Literal["bare", "wrapped"] = Field(
        default="bare",
        description='The list of statuses: an array as in the example, or {"status": [...]} as in the table.',
    )
    omitted_fields: Literal["keep", "clear"] = Field(
        default="keep",
        description="What becomes of the fields that a POST to an existing key leaves out; not documented.",
    )
    create_requires: list[str] = Field(
        default=[], description="Fields without which a creation is refused; the documents call all of them optional."
    )
    plan: list[Literal["links", "accessTypeUserList", "accessTypeHistory"]] = Field(
        default=["links", "accessTypeUserList", "accessTypeHistory"],
        description="What the plan allows; anything else of these is answered with 402.",
    )


class ValuestreamerSettings(ApiSettings):
    """Readings of ValueStreamer's documents."""

    content_types: list[str] = Field(
        default=["application/vs.v2.0+json"], description="The Content-Types that a PUT may have; 415 otherwise."
    )
    omitted_values: Literal["zero", "keep"] = Field(
        default="zero",
        description="A value of the KPI that a PUT leaves out becomes 0 (the FAQ's reading) or stays (the tip's).",
    )
    whole_floats: Literal["refuse", "accept"] = Field(
        default="refuse", description="Whether an integer KPI takes 5.0; not documented."
    )
    non_recording_team: Literal["refuse", "accept"] = Field(
        default="refuse", description="A PUT for a team that does not record the KPI: 403, or taken; not documented."
    )
    short_path_with_sub_tiles: Literal["accept", "refuse"] = Field(
        default="accept", description="Whether a KPI with sub-tiles also takes the path without one; not documented."
    )
    put_status: Literal[200, 201, 204] = Field(default=200, description="The status of a PUT; not documented.")
    delete_status: Literal[200, 204] = Field(default=204, description="The status of a DELETE; not documented.")
    list_requires: list[Literal["kpi-id", "team-id", "from", "to"]] = Field(
        default=["kpi-id", "team-id", "from", "to"], description="Query parameters that the list needs; not documented."
    )


class DnsimpleSettings(ApiSettings):
    """Readings of DNSimple's documents."""

    limit: Limit | None = Field(
        default=Limit(requests=2400, seconds=3600, window="fixed"), description="Of authenticated requests."
    )
    unauthenticated_limit: Limit | None = Field(
        default=Limit(requests=30, seconds=3600, window="fixed"), description="Of all others."
    )
    envelope: Literal["data", "bare"] = Field(
        default="data",
        description='Answers as {"data": ...} (the general rule) or bare (the example of the statuses page).',
    )
    timestamps: Literal["example", "iso"] = Field(
        default="example", description="Times as in the example of the statuses page, or as ISO 8601, the general rule."
    )
    resources: Literal["known", "any"] = Field(
        default="known", description="Whether only known resources exist (404 otherwise), or any."
    )
    replaced_id: Literal["keep", "new"] = Field(
        default="keep", description="Whether a status that replaces another keeps its id; not documented."
    )
    requires: list[Literal["resource", "state", "context", "title", "message", "url"]] = Field(
        default=["resource"], description="Fields without which a status is refused; only resource is documented."
    )
    history_resource: Literal["text", "number", "both"] = Field(
        default="both", description="How the history's path names a resource: domain:123, 123, or either."
    )

    def limit_for(self, *, authenticated: bool) -> Limit | None:
        """2400 requests an hour with credentials, 30 without (https://developer.dnsimple.com/v2/#rate-limiting)."""
        return self.limit if authenticated else self.unauthenticated_limit


class FeedbackHouseSettings(ApiSettings):
    """Readings of feedback.house's documents."""

    limit: Limit | None = Field(default=Limit(requests=10, seconds=1), description="The documents' 10 requests/second.")
    auth_header: str = Field(
        default=FEEDBACK_HOUSE_AUTH_HEADER,
        description="The header of the API key. The documents name none; this one is the sandbox's choice.",
    )
    auth_value: str = Field(default=FEEDBACK_HOUSE_AUTH_VALUE, description="What the header must say, scheme included.")
    data_with_errors: bool = Field(
        default=False, description="Whether an answer with errors also has `data`; the documents' example has none."
    )
    data_keys: bool = Field(
        default=True, description="Whether the areas in `data` have their correlationID; not documented."
    )
    data_ids: bool = Field(default=True, description="Whether the areas in `data` have their ids; not documented.")
    correlation_visible: bool = Field(
        default=False, description="Whether reading an area shows its correlationID; the documents do not list it."
    )
    omitted_on_update: Literal["defaults", "keep", "reset"] = Field(
        default="defaults",
        description="What an update makes of fields that it leaves out; not documented. defaults: active and "
        "allowCandidatesApply take theirs; keep: all stay; reset: all but keys and name become as in a new area.",
    )
    null_links: Literal["accept", "refuse"] = Field(
        default="accept", description="Whether parent and businessDivision may be null; not documented."
    )
    repeated_managers: Literal["refuse", "accept"] = Field(
        default="refuse", description="Whether an area may name one manager twice; not documented."
    )
    unknown_id: Literal["create", "error"] = Field(
        default="create", description="What becomes of an item whose id does not exist; not documented."
    )
    max_limit: int = Field(default=100, ge=1, description="The largest page of a query; not documented.")
    max_bytes: int = Field(default=10_000_000, ge=1, description="The largest request, headers included.")


class Settings(BaseModel):
    """All switches, by API."""

    model_config = ConfigDict(extra="forbid")

    stativate: StativateSettings = Field(default_factory=StativateSettings)
    valuestreamer: ValuestreamerSettings = Field(default_factory=ValuestreamerSettings)
    dnsimple: DnsimpleSettings = Field(default_factory=DnsimpleSettings)
    feedback_house: FeedbackHouseSettings = Field(default_factory=FeedbackHouseSettings)

    def changed(self, patch: dict[str, Any]) -> Settings:
        """These settings with the fields of a patch replaced, validated as a whole.

        Raises:
            ValidationError: a field that does not exist, or a value that it does not take.
        """
        merged = self.model_dump()
        for api, fields in patch.items():
            if isinstance(fields, dict) and api in merged:
                merged[api] = {**merged[api], **fields}
            else:
                merged[api] = fields
        return Settings.model_validate(merged)
