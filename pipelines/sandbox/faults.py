"""Faults on demand: rules set through `/control/faults` that spoil the answers to the requests they match."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

from pipelines.sandbox.fault_kinds import KINDS, Fault, Scene


class FaultRule(BaseModel):
    """Which requests are spoiled, how, and how often."""

    model_config = ConfigDict(extra="forbid")

    api: str | None = Field(default=None, description="The API's name; none: every API.")
    method: str | None = Field(default=None, description="The HTTP method; none: any.")
    path_contains: str | None = Field(
        default=None, description="A part of the path, percent-encoded as sent; none: any."
    )
    kind: Literal[
        "status", "retry_after", "exhausted", "delay", "drop_before", "drop_after", "hang_up", "empty_body", "cut_body",
        "garbage", "other_json", "never", "drip", "expired_key", "redirect",
    ]  # fmt: skip
    times: int | None = Field(default=1, ge=1, description="How many requests are spoiled; null: all.")
    after: int = Field(default=0, ge=0, description="How many matching requests pass before the first one is spoiled.")
    params: dict[str, Any] = {}
    _fault: Fault = PrivateAttr()
    _matched: int = PrivateAttr(default=0)
    _applied: int = PrivateAttr(default=0)

    @model_validator(mode="after")
    def _parse(self) -> Self:
        self._fault = KINDS[self.kind].model_validate(self.params)
        return self

    def takes(self, api: str, method: str, path: str) -> bool:
        """Whether this request is to be spoiled by this rule; counts it."""
        if self.times is not None and self._applied >= self.times:
            return False
        if (self.api or api) != api or (self.method or method).upper() != method:
            return False
        if self.path_contains and self.path_contains not in path:
            return False
        self._matched += 1
        if self._matched <= self.after:
            return False
        self._applied += 1
        return True

    async def play(self, scene: Scene) -> int | None:
        """Spoil one answer."""
        return await self._fault.play(scene)

    def as_json(self) -> dict[str, Any]:
        """The rule, with how many requests it matched and spoiled."""
        return {**self.model_dump(), "matched": self._matched, "applied": self._applied}


class Faults:
    """The rules in force, in order: the first that takes a request plays."""

    def __init__(self) -> None:
        self.rules: list[FaultRule] = []

    def pick(self, api: str, method: str, path: str) -> FaultRule | None:
        """The rule that spoils this request, if any."""
        for rule in self.rules:
            if rule.takes(api, method, path):
                return rule
        return None
