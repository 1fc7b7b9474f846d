"""`/control`: how tests, the demo and a curious person steer the sandbox. Requests to it are not counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Body, HTTPException
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from pipelines.sandbox.core import Sandbox
from pipelines.sandbox.fault_kinds import KINDS
from pipelines.sandbox.faults import FaultRule
from pipelines.sandbox.valuestreamer_meta import Meta
from pipelines.sandbox.web import json_reply

_CONFIG_EXAMPLE = {"stativate": {"create_status": 201, "latency_s": 0.02}}
_FAULTS_EXAMPLE = [{"api": "stativate", "method": "POST", "kind": "retry_after", "times": 2, "params": {"seconds": 3}}]


class Resources(BaseModel):
    """Resources of DNSimple."""

    model_config = ConfigDict(extra="forbid")

    resources: list[Annotated[str, StringConstraints(pattern=r"^[a-z_]+:\d+$")]]
    replace: bool = False


class AreaUser(BaseModel):
    """A user of feedback.house."""

    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{24}$")]
    name: str
    emails: list[str] = []


def control_router(sandbox: Sandbox, changed_id: Callable[[], None]) -> APIRouter:
    """The endpoints; `changed_id` is called after a reset."""
    router = APIRouter(prefix="/control", tags=["Control"])
    router.include_router(_state_router(sandbox, changed_id))
    router.include_router(_switches_router(sandbox))
    return router


def _state_router(sandbox: Sandbox, changed_id: Callable[[], None]) -> APIRouter:
    router = APIRouter()

    @router.get("/id")
    async def show_id() -> dict[str, str]:
        """The id of what the sandbox holds; a reset changes it, a restart does not."""
        return {"id": sandbox.state.id}

    @router.get("/state/{api}")
    async def show_state(api: str) -> Response:
        """Everything that an API holds."""
        return _json(_api(sandbox, api).holds())

    @router.post("/reset")
    async def reset() -> dict[str, str]:
        """Empty all boards, forget switches, faults and counts, and take a new id."""
        sandbox.reset()
        changed_id()
        return {"id": sandbox.state.id}

    @router.get("/counts")
    async def show_counts() -> Response:
        """The requests since the last reset of the counts, by API, route and status; `none` is: no whole answer."""
        counts = {name: counts.as_json() for name, counts in sandbox.counts.items()}
        return _json({"requests": sum(count["requests"] for count in counts.values()), "apis": counts})

    @router.post("/counts/reset", status_code=204)
    async def reset_counts() -> None:
        """Count from nothing again."""
        for counts in sandbox.counts.values():
            counts.reset()

    @router.put("/valuestreamer/meta", status_code=204)
    async def put_meta(meta: Meta) -> None:
        """Add or replace ValueStreamer's KPIs, teams and users: what is made in its user interface otherwise."""
        sandbox.valuestreamer.put_meta(meta)

    @router.put("/dnsimple/resources", status_code=204)
    async def put_resources(resources: Resources) -> None:
        """Let resources exist in DNSimple, such as `domain:123`; with `replace` only these."""
        sandbox.dnsimple.put_resources(resources.resources, replace=resources.replace)

    @router.put("/feedback_house/users", status_code=204)
    async def put_users(users: list[AreaUser]) -> None:
        """Let users exist in feedback.house, that areas can have as managers."""
        sandbox.feedback_house.put_users([user.model_dump() for user in users])

    return router


def _switches_router(sandbox: Sandbox) -> APIRouter:
    router = APIRouter()

    @router.get("/config")
    async def show_config() -> dict[str, Any]:
        """The switches."""
        return sandbox.settings.model_dump()

    @router.post("/config")
    async def change_config(
        patch: Annotated[dict[str, dict[str, Any]], Body(examples=[_CONFIG_EXAMPLE])],
    ) -> dict[str, Any]:
        """Change the switches that are named; `GET` shows all. Nothing changes where one is refused."""
        try:
            sandbox.adopt(sandbox.settings.changed(patch))
        except ValidationError as error:
            raise HTTPException(422, error.errors(include_url=False, include_context=False)) from error
        return sandbox.settings.model_dump()

    @router.get("/faults")
    async def show_faults() -> list[dict[str, Any]]:
        """The fault rules in force, with how many requests each matched and spoiled."""
        return [rule.as_json() for rule in sandbox.faults.rules]

    @router.post("/faults", description=_faults_described())
    async def add_faults(rules: Annotated[list[FaultRule], Body(examples=[_FAULTS_EXAMPLE])]) -> list[dict[str, Any]]:
        for rule in rules:
            if rule.api is not None:
                _api(sandbox, rule.api)
        sandbox.faults.rules.extend(rules)
        return [rule.as_json() for rule in sandbox.faults.rules]

    @router.delete("/faults", status_code=204)
    async def clear_faults() -> None:
        """Take all fault rules away."""
        sandbox.faults.rules = []

    return router


def _api(sandbox: Sandbox, name: str) -> Any:
    if name not in sandbox.apis:
        raise HTTPException(404, f"There is no API {name!r}; there are {', '.join(sandbox.apis)}")
    return sandbox.apis[name]


def _json(value: Any) -> Response:
    return Response(json_reply(200, value).body, media_type="application/json")


def _faults_described() -> str:
    """What the documentation says of fault rules: every kind, with its parameters."""
    kinds = [f"{kind}({', '.join(model.model_fields)}): {model.__doc__}" for kind, model in KINDS.items()]
    rule = "Adds fault rules after those in force: the first that takes a request plays."
    return "\n".join([rule, "", "Kinds, with their params:", *kinds])
