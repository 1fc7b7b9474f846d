"""DNSimple's platform statuses over real HTTP."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from pipelines.sandbox import Control, SandboxServer

pytestmark = pytest.mark.usefixtures("control")
STATUSES = "/1010/platform/statuses"
FULL = {
    "resource": "domain:101",
    "state": "ok",
    "context": "page-a",
    "url": "https://yourapp.com/some/path",
    "title": "System OK",
    "message": "All systems are reporting OK.",
}


def test_create_answers_the_documented_status(dnsimple: httpx.Client) -> None:
    """A creation answers 201 with the documents' attributes, under `data`."""
    answer = dnsimple.post(STATUSES, json=FULL)
    assert answer.status_code == 201
    status = answer.json()["data"]
    assert set(status) == {
        "id", "owner_type", "owner_id", "account_id", "state", "context", "title", "message", "url", "created_at",
        "updated_at", "resource",
    }  # fmt: skip
    assert {name: status[name] for name in FULL} == FULL
    assert status["created_at"].endswith(" UTC +00:00")
    assert dnsimple.get(f"{STATUSES}/{status['id']}").json() == {"data": status}


def test_same_context_replaces(dnsimple: httpx.Client) -> None:
    """A status with the same resource and context takes the place of the last; another context stands beside it."""
    for change in ({}, {"state": "error"}, {"context": "page-b"}, {"context": None}):
        assert dnsimple.post(STATUSES, json={**FULL, **change}).status_code == 201
    listed = dnsimple.get(STATUSES).json()["data"]
    assert [(status["context"], status["state"]) for status in listed] == [
        ("page-a", "error"),
        ("page-b", "ok"),
        ("default", "ok"),
    ]


def test_history_is_chronological(dnsimple: httpx.Client, control: Control) -> None:
    """A resource's history has every status that was ever set, oldest first, also by the resource's number."""
    for state in ("ok", "error", "ok"):
        dnsimple.post(STATUSES, json={**FULL, "state": state})
    dnsimple.post(STATUSES, json={**FULL, "resource": "domain:102"})
    for resource in ("domain:101", "domain%3A101", "101"):
        history = dnsimple.get(f"{STATUSES}/{resource}/history").json()["data"]
        assert [line["state"] for line in history] == ["ok", "error", "ok"]
    assert dnsimple.get(f"{STATUSES}/domain:103/history").json()["data"] == []
    assert dnsimple.get(f"{STATUSES}/domain:999/history").status_code == 404
    control.configure(dnsimple={"history_resource": "text"})
    assert dnsimple.get(f"{STATUSES}/101/history").status_code == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"resource": None}, "resource"),
        ({"resource": "101"}, "resource"),
        ({"resource": 101}, "resource"),
        ({"state": "fine"}, "state"),
        ({"title": 7}, "title"),
        ({"context": []}, "context"),
    ],
)
def test_validation(dnsimple: httpx.Client, change: dict[str, Any], field: str) -> None:
    """What is invalid is answered with 400, a message, and the errors by field."""
    answer = dnsimple.post(STATUSES, json={**FULL, **change})
    assert answer.status_code == 400
    assert answer.json()["message"] == "Validation failed"
    assert list(answer.json()["errors"]) == [field]


@pytest.mark.parametrize(("method", "path"), [("GET", "/whoami"), ("GET", STATUSES), ("POST", STATUSES)])
@pytest.mark.parametrize("said", [None, "text/plain"])
def test_content_type_must_be_said(server: SandboxServer, method: str, path: str, said: str | None) -> None:
    """A request that does not say that it is JSON is refused, even where it has no body."""
    headers = {"authorization": "Bearer sandbox"} | ({"content-type": said} if said else {})
    answer = httpx.request(method, f"{server.url}/dnsimple/v2{path}", headers=headers)
    assert (answer.status_code, answer.json()) == (415, {"message": "Content-Type must be application/json"})


def test_only_the_resource_is_needed(dnsimple: httpx.Client, control: Control) -> None:
    """All but the resource may be left out, unless the switch asks for more."""
    status = dnsimple.post(STATUSES, json={"resource": "domain:101"}).json()["data"]
    assert (status["state"], status["context"], status["title"]) == ("unknown", "default", None)
    control.configure(dnsimple={"requires": ["resource", "state"]})
    assert dnsimple.post(STATUSES, json={"resource": "domain:101"}).status_code == 400


def test_resources(dnsimple: httpx.Client, control: Control) -> None:
    """An unknown resource is 404; others can be made known, or all of them."""
    other = {**FULL, "resource": "record:7"}
    assert dnsimple.post(STATUSES, json=other).status_code == 404
    control.put_dnsimple_resources("record:7", replace=True)
    assert dnsimple.post(STATUSES, json=other).status_code == 201
    assert dnsimple.post(STATUSES, json=FULL).status_code == 404
    control.configure(dnsimple={"resources": "any"})
    assert dnsimple.post(STATUSES, json=FULL).status_code == 201


def test_paging(dnsimple: httpx.Client) -> None:
    """Lists come in pages of 30, at most 100, with the pagination beside them."""
    for number in range(35):
        dnsimple.post(STATUSES, json={**FULL, "context": f"c{number}"})
    first = dnsimple.get(STATUSES).json()
    assert len(first["data"]) == 30
    assert first["pagination"] == {"current_page": 1, "per_page": 30, "total_entries": 35, "total_pages": 2}
    second = dnsimple.get(STATUSES, params={"page": 2}).json()
    assert [status["context"] for status in second["data"]] == [f"c{number}" for number in range(30, 35)]
    assert dnsimple.get(STATUSES, params={"per_page": 500}).json()["pagination"]["per_page"] == 100
    assert dnsimple.get(STATUSES, params={"page": 0}).status_code == 400


def test_account(dnsimple: httpx.Client) -> None:
    """The token's account is found by `whoami` and `accounts`; any other is 404."""
    assert dnsimple.get("/whoami").json()["data"]["account"]["id"] == 1010
    assert [account["id"] for account in dnsimple.get("/accounts").json()["data"]] == [1010]
    assert dnsimple.get("/1011/platform/statuses").status_code == 404
    assert dnsimple.get(f"{STATUSES}/1").status_code == 404
    assert dnsimple.get(f"{STATUSES}/x").status_code == 404


def test_readings_of_the_documents(dnsimple: httpx.Client, control: Control) -> None:
    """The switches drop the envelope, write times as ISO 8601, and give a replacing status a new id."""
    control.configure(dnsimple={"envelope": "bare", "timestamps": "iso", "replaced_id": "new"})
    first, second = dnsimple.post(STATUSES, json=FULL).json(), dnsimple.post(STATUSES, json=FULL).json()
    assert second["id"] != first["id"]
    assert second["updated_at"].endswith("Z")
    assert dnsimple.get(STATUSES).json() == [second]
    assert dnsimple.get(f"{STATUSES}/{first['id']}").status_code == 404


def test_rate_limit_headers(dnsimple: httpx.Client, control: Control) -> None:
    """Every answer tells limit, remaining requests and reset; above the limit it is 429 until then."""
    first, second = dnsimple.get("/whoami"), dnsimple.get("/nowhere")
    assert first.headers["x-ratelimit-limit"] == "2400"
    assert int(second.headers["x-ratelimit-remaining"]) == int(first.headers["x-ratelimit-remaining"]) - 1
    assert 3500 < int(first.headers["x-ratelimit-reset"]) - time.time() < 3602
    control.configure(dnsimple={"limit": {"requests": 2, "seconds": 3600, "window": "fixed"}})
    answers = [dnsimple.get("/whoami") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
    assert answers[-1].json() == {"message": "quota exceeded"}


def test_unauthenticated_requests_have_a_quota_of_their_own(server: SandboxServer, dnsimple: httpx.Client) -> None:
    """Wrong tokens are 401, and after 30 of them 429; the right one is not touched by that."""
    with httpx.Client(base_url=f"{server.url}/dnsimple/v2", headers={"authorization": "Bearer wrong"}) as wrong:
        answers = [wrong.get("/whoami") for _ in range(31)]
    assert [answer.status_code for answer in answers] == [401] * 30 + [429]
    assert answers[0].json() == {"message": "Authentication failed"}
    assert answers[0].headers["x-ratelimit-limit"] == "30"
    assert dnsimple.get("/whoami").headers["x-ratelimit-remaining"] == "2399"
