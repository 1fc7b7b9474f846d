"""Counts, limits, switches and the reset."""

from __future__ import annotations

import httpx
import pytest

from pipelines.sandbox import Control, ControlError

FULL = {"name": "Sales", "value": "1"}


def test_every_request_counts(stativate: httpx.Client, control: Control) -> None:
    """Requests are counted by API, route and status, also the refused ones; those to the control are not."""
    stativate.post("/status-keys/a", json=FULL)
    stativate.post("/status-keys/b", json={})
    stativate.get("/status-keys/none")
    stativate.get("/nowhere")
    stativate.get("/user/status", headers={"stativate-api-key": "wrong"})
    control.counts()
    counts = control.counts()
    assert counts["requests"] == 5
    stativate_counts = counts["apis"]["stativate"]
    assert stativate_counts["statuses"] == {"200": 2, "401": 1, "404": 2}
    assert stativate_counts["routes"] == {
        "GET (no such path)": {"requests": 1, "statuses": {"404": 1}},
        "GET /stativate/v1/status-keys/{status_key}": {"requests": 1, "statuses": {"404": 1}},
        "GET /stativate/v1/user/status": {"requests": 1, "statuses": {"401": 1}},
        "POST /stativate/v1/status-keys/{status_key}": {"requests": 2, "statuses": {"200": 2}},
    }
    control.reset_counts()
    assert control.counts()["requests"] == 0
    assert len(control.state("stativate")["statuses"]) == 2


def test_limit_is_enforced(stativate: httpx.Client, control: Control) -> None:
    """Above the limit of a span requests are answered with 429 and counted; the header comes in the form asked for."""
    limit = {"requests": 3, "seconds": 3600, "retry_after": "seconds"}
    control.configure(stativate={"limit": limit})
    answers = [stativate.get("/checkAuth") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert 3590 < int(answers[-1].headers["retry-after"]) <= 3600
    assert answers[-1].json()["message"]
    assert control.counts("stativate")["over_limit"] == 2
    control.configure(stativate={"limit": {**limit, "retry_after": "none"}})
    assert [stativate.get("/checkAuth").status_code for _ in range(4)] == [200, 200, 200, 429]
    assert "retry-after" not in stativate.get("/checkAuth").headers


def test_limit_is_counted_without_being_enforced(stativate: httpx.Client, control: Control) -> None:
    """With enforcement off every request passes, and the counts say how many were above the limit."""
    control.configure(stativate={"limit": {"requests": 3, "seconds": 3600, "enforce": False}})
    assert {stativate.get("/checkAuth").status_code for _ in range(5)} == {200}
    counts = control.counts("stativate")
    assert (counts["over_limit"], counts["busiest_window"]) == (2, 5)


def test_latency(stativate: httpx.Client, control: Control) -> None:
    """Every answer takes the latency at least."""
    control.configure(stativate={"latency_s": 0.2})
    assert stativate.get("/checkAuth").elapsed.total_seconds() >= 0.2


def test_reset_makes_it_new(stativate: httpx.Client, control: Control) -> None:
    """A reset empties the boards, changes the id, and forgets switches, faults and counts."""
    before = control.id()
    stativate.post("/status-keys/a", json=FULL)
    control.configure(stativate={"create_status": 201, "limit": {"requests": 1, "seconds": 3600}})
    control.add_faults({"kind": "status", "times": None})
    assert control.reset() != before
    assert control.state("stativate")["statuses"] == {}
    assert control.counts()["requests"] == 0
    assert stativate.post("/status-keys/a", json=FULL).status_code == 200
    assert stativate.post("/status-keys/a", json=FULL).status_code == 200


def test_reset_gives_every_quota_back(dnsimple: httpx.Client, control: Control) -> None:
    """After a reset nothing of a limit is used; resetting the counts alone gives nothing back."""
    dnsimple.get("/whoami")
    control.reset_counts()
    assert dnsimple.get("/whoami").headers["x-ratelimit-remaining"] == "2398"
    control.reset()
    assert dnsimple.get("/whoami").headers["x-ratelimit-remaining"] == "2399"


@pytest.mark.parametrize(
    "patch", [{"stativ": {}}, {"stativate": {"create_status": 202}}, {"stativate": {"latency": 1}}]
)
def test_wrong_switches_are_refused(control: Control, patch: dict[str, dict[str, int]]) -> None:
    """A switch that does not exist or cannot take a value is refused, and nothing changes."""
    before = control.configure()
    with pytest.raises(ControlError, match="/control/config"):
        control.configure(**patch)
    assert control.configure() == before


def test_documentation_covers_every_endpoint(server: object, control: Control) -> None:
    """The OpenAPI description names every route that was counted, with a summary and a description."""
    url = getattr(server, "url", "")
    paths = httpx.get(f"{url}/openapi.json").json()["paths"]
    operation = paths["/valuestreamer/api/exchange/kpi-data/{date}/{team}/{kpi}"]["put"]
    assert operation["summary"]
    assert operation["description"]
    assert [parameter["name"] for parameter in operation["parameters"]] == ["date", "team", "kpi"]
    assert "application/vs.v2.0+json" in operation["requestBody"]["content"]
    assert "/control/faults" in paths
