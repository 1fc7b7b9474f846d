"""Stativate's status endpoints over real HTTP."""

from __future__ import annotations

import threading
import time
from typing import Any

import httpx
import pytest

from pipelines.sandbox import Control

pytestmark = pytest.mark.usefixtures("control")
FULL = {
    "name": "Sales by Team 1",
    "type": "text",
    "value": "104k",
    "accessType": "private",
    "description": "Latest accumulated sales by team 1.",
    "colorNo": 3,
}


def test_set_creates_then_updates(stativate: httpx.Client, control: Control) -> None:
    """A POST to an unknown key creates a status, to a known one it updates that one, and keeps what is left out."""
    created = stativate.post("/status-keys/sales-100", json=FULL)
    updated = stativate.post("/status-keys/sales-100", json={"value": "105K"})
    assert (created.status_code, updated.status_code) == (200, 200)
    assert updated.json() == {**created.json(), "value": "105K"}
    assert len(control.state("stativate")["statuses"]) == 1


def test_answer_has_the_documented_fields(stativate: httpx.Client) -> None:
    """An answer has the fields of the documents' example and no others: no key, no times; `owner` reads `owners`."""
    shown = stativate.post("/status-keys/a", json={**FULL, "accessTypeUserList": "owner"}).json()
    assert set(shown) == {
        "id", "shareId", "name", "value", "type", "accessType", "description", "colorNo", "accessTypeUserList",
        "accessTypeHistory",
    }  # fmt: skip
    assert shown["value"] == "104K"
    assert shown["accessTypeUserList"] == "owners"


def test_every_value_notifies_even_the_same(stativate: httpx.Client, control: Control) -> None:
    """Every value that is sent counts as a change and a notification; an edit without a value does not."""
    for body in (FULL, FULL, {"colorNo": 4}):
        stativate.post("/status-keys/a", json=body)
    status = control.state("stativate")["statuses"]["a"]
    assert (status["changes"], status["notifications"], len(status["history"])) == (2, 2, 2)
    assert status["valueChangedAt"] == status["history"][-1]["at"]
    assert status["colorNo"] == 4


@pytest.mark.parametrize(
    "body",
    [
        {"name": "ab"},
        {"name": "n" * 43},
        {"value": ""},
        {"value": "12345678901"},
        {"value": "ßßßßßß"},
        {"value": "😀😀😀😀😀😀"},
        {"value": 104000},
        {"value": None},
        {"description": "d" * 401},
        {"colorNo": 0},
        {"colorNo": 13},
        {"colorNo": 3.5},
        {"colorNo": True},
        {"type": "number"},
        {"accessType": "owner"},
        {"accessTypeUserList": "owners"},
        {"unheard": "of"},
    ],
)
def test_limits_of_fields(stativate: httpx.Client, control: Control, body: dict[str, Any]) -> None:
    """A field outside its limits, or one that does not exist, is a validation error and changes nothing."""
    answer = stativate.post("/status-keys/a", json={**FULL, **body})
    assert answer.status_code == 400
    assert answer.json()["errorCode"] == "validationError"
    assert next(iter(body)) in answer.json()["message"]
    assert control.state("stativate")["statuses"] == {}


@pytest.mark.parametrize(
    "body", [{"name": "abc"}, {"name": "n" * 42}, {"value": "1"}, {"value": "ßßßßß"}, {"description": "d" * 400}]
)
def test_limits_are_inclusive(stativate: httpx.Client, body: dict[str, Any]) -> None:
    """A field at its limit passes, a value as long as it may be after upper-casing included."""
    assert stativate.post("/status-keys/a", json={**FULL, **body}).status_code == 200


@pytest.mark.parametrize("content", [b"", b"[]", b'{"value": "TODAY",}', b"\xff"])
def test_body_must_be_an_object(stativate: httpx.Client, content: bytes) -> None:
    """A body that is no JSON object is answered with 400 and a message."""
    answer = stativate.post("/status-keys/a", content=content)
    assert answer.status_code == 400
    assert answer.json()["message"]


def test_read_update_delete(stativate: httpx.Client) -> None:
    """A status is read by key and by id, patched by id, and its delete returns it; then it is gone, without a body."""
    made = stativate.post("/status-keys/a", json=FULL).json()
    by_id = f"/status/{made['id']}"
    assert stativate.get("/status-keys/a").json() == stativate.get(by_id).json() == made
    patched = stativate.patch(by_id, json={"value": "x"}).json()
    assert patched == {**made, "value": "X"}
    assert stativate.delete("/status-keys/a").json() == patched
    for gone in (stativate.get("/status-keys/a"), stativate.get(by_id), stativate.delete("/status-keys/a")):
        assert (gone.status_code, gone.content) == (404, b"")


def test_patch_needs_a_property(stativate: httpx.Client) -> None:
    """A PATCH without a property is refused."""
    made = stativate.post("/status-keys/a", json=FULL).json()
    assert stativate.patch(f"/status/{made['id']}", json={}).status_code == 400


def test_key_is_one_decoded_segment(stativate: httpx.Client, control: Control) -> None:
    """A key is what stands percent-encoded in its segment of the path, a slash included."""
    stativate.post("/status-keys/a%2Fb%20c", json=FULL)
    assert list(control.state("stativate")["statuses"]) == ["a/b c"]


def test_list(stativate: httpx.Client, control: Control) -> None:
    """The list holds the identifiers, as a bare array or under `status`."""
    made = stativate.post("/status-keys/a", json=FULL).json()
    item = {"statusId": made["id"], "statusKey": "a", "shareId": made["shareId"], "name": made["name"]}
    assert stativate.get("/user/status").json() == [item]
    control.configure(stativate={"list_form": "wrapped"})
    assert stativate.get("/user/status").json() == {"status": [item]}


@pytest.mark.parametrize("key", [None, "", "wrong", "Sandbox"])
def test_key_is_checked(server: Any, key: str | None) -> None:
    """Without the right key every path answers 401 with a message."""
    headers = {} if key is None else {"stativate-api-key": key}
    for path in ("/checkAuth", "/user/status", "/nowhere"):
        answer = httpx.get(f"{server.url}/stativate/v1{path}", headers=headers)
        assert answer.status_code == 401
        assert answer.json()["message"]


def test_right_key(stativate: httpx.Client) -> None:
    """The key's own endpoint answers 200 to the right key; an unknown path is 404, a wrong method 405."""
    assert stativate.get("/checkAuth").status_code == 200
    assert stativate.get("/nowhere").status_code == 404
    assert stativate.put("/status-keys/a", json=FULL).status_code == 405


def test_readings_of_the_documents(stativate: httpx.Client, control: Control) -> None:
    """The switches change what creation answers, what it needs, and what becomes of omitted fields."""
    control.configure(stativate={"create_status": 201, "omitted_fields": "clear", "create_requires": ["name"]})
    assert stativate.post("/status-keys/a", json={"value": "1"}).status_code == 400
    assert stativate.post("/status-keys/a", json=FULL).status_code == 201
    again = stativate.post("/status-keys/a", json={"name": "Other"})
    assert again.status_code == 200
    assert again.json()["value"] is None


def test_functions_outside_the_plan(stativate: httpx.Client, control: Control) -> None:
    """What the plan does not have is answered with 402."""
    control.configure(stativate={"plan": []})
    for extra in ({"description": "see https://example.com"}, {"accessTypeHistory": "owner"}):
        assert stativate.post("/status-keys/a", json={**FULL, **extra}).status_code == 402
    assert stativate.post("/status-keys/a", json=FULL).status_code == 200


def test_overlapping_edits_conflict(stativate: httpx.Client, control: Control) -> None:
    """Of two overlapping edits of one key the later is answered with 409; edits of other keys pass."""
    control.add_faults({"api": "stativate", "path_contains": "/slow", "kind": "delay", "params": {"seconds": 30}})
    first = threading.Thread(target=lambda: _leave(stativate))
    first.start()
    while control.counts("stativate")["in_flight_peak"] < 1:
        time.sleep(0.005)
    assert stativate.post("/status-keys/slow", json=FULL).status_code == 409
    assert stativate.post("/status-keys/other", json=FULL).status_code == 200
    assert stativate.get("/status-keys/slow").status_code == 200
    first.join()


def _leave(client: httpx.Client) -> None:
    with pytest.raises(httpx.ReadTimeout):
        client.post("/status-keys/slow", json=FULL, timeout=0.7)
