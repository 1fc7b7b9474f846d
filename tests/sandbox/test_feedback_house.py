"""feedback.house's areas over real HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from pipelines.sandbox import Control, SandboxServer

QUERY = "/planning/area/v1/query"
NOBODY = "0" * 24


@pytest.fixture(autouse=True)
def _unlimited(control: Control) -> None:
    """An empty sandbox that takes any number of requests a second."""
    control.configure(feedback_house={"limit": None})


def post(client: httpx.Client, *items: Any) -> dict[str, Any]:
    """Update or create areas."""
    answer = client.post("/planning/area/v1/update-or-create", json={"areas": items})
    assert answer.status_code == 200
    return answer.json()


def area(key: str, **more: Any) -> dict[str, Any]:
    """An item."""
    return {"correlationID": key, "name": f"Area {key}", **more}


def test_keys_make_it_idempotent(feedback_house: httpx.Client, control: Control) -> None:
    """An item whose correlationID or id is known updates that area; the message counts both."""
    first = post(feedback_house, area("A"), area("B"))
    assert first["message"] == "Created 2 | Updated 0 | Errors 0"
    assert (first["status"], first["errors"]) == ("OK", [])
    ids = [entry["id"] for entry in first["data"]]
    second = post(feedback_house, area("A", name="New"), {"id": ids[1], "active": False}, area("C"))
    assert second["message"] == "Created 1 | Updated 2 | Errors 0"
    assert [entry["id"] for entry in second["data"]][:2] == ids
    areas = control.state("feedback_house")["areas"]
    assert [(entry["name"], entry["active"]) for entry in areas.values()] == [
        ("New", True),
        ("Area B", False),
        ("Area C", True),
    ]


def test_without_a_key_every_call_creates(feedback_house: httpx.Client, control: Control) -> None:
    """An item without a key makes another area each time."""
    for _ in range(2):
        assert post(feedback_house, {"name": "Twin"})["message"] == "Created 1 | Updated 0 | Errors 0"
    assert len(control.state("feedback_house")["areas"]) == 2


def test_errors_stand_inside_ok(feedback_house: httpx.Client, control: Control) -> None:
    """A bad item is echoed in `errors`, the others are done, the status stays OK, and there is no `data`."""
    bad = {"correlationID": "B", "areaname": "Area B"}
    answer = post(feedback_house, area("A"), bad)
    assert answer == {
        "status": "OK",
        "message": "Created 1 | Updated 0 | Errors 1",
        "errors": [{"object": bad, "message": "Missing name field"}],
    }
    control.configure(feedback_house={"data_with_errors": True})
    assert [entry["name"] for entry in post(feedback_house, area("A"), bad)["data"]] == ["Area A"]


@pytest.mark.parametrize(
    "item",
    [
        "Area",
        {"correlationID": "A"},
        area("A", name=""),
        area("A", name=7),
        area("A", active="yes"),
        area("A", active=None),
        area("A", tags="a,b"),
        area("A", parent=NOBODY),
        area("A", parent="EWR"),
        area("A", managers=[NOBODY]),
        area("A", managers=None),
        area("A", id="x"),
        area(""),
        {"id": NOBODY},
    ],
)
def test_bad_items(feedback_house: httpx.Client, control: Control, item: Any) -> None:
    """An item that is no area is refused and makes none."""
    answer = post(feedback_house, item)
    assert answer["message"] == "Created 0 | Updated 0 | Errors 1"
    assert answer["errors"][0]["object"] == item
    assert answer["errors"][0]["message"]
    assert control.state("feedback_house")["areas"] == {}


@pytest.mark.parametrize("said", [{}, {"content-type": "text/plain"}])
def test_a_body_must_say_that_it_is_json(feedback_house: httpx.Client, said: dict[str, str]) -> None:
    """Requests are JSON, and say so; reading needs no type."""
    answer = feedback_house.post("/planning/area/v1/update-or-create", content=b'{"areas": []}', headers=said)
    assert answer.status_code == 415
    assert feedback_house.get(QUERY).status_code == 200


@pytest.mark.parametrize("content", [b"", b"[]", b'{"area": []}', b'{"areas": {}}', b"areas: []"])
def test_bad_bodies(feedback_house: httpx.Client, content: bytes) -> None:
    """A body that is no list of areas is refused as a whole."""
    headers = {"content-type": "application/json"}
    answer = feedback_house.post("/planning/area/v1/update-or-create", content=content, headers=headers)
    assert (answer.status_code, answer.json()["status"]) == (400, "ERROR")


def test_parents(feedback_house: httpx.Client) -> None:
    """A parent must exist, and no area can be above itself, however far."""
    top, middle, low = (entry["id"] for entry in post(feedback_house, area("A"), area("B"), area("C"))["data"])
    done = post(feedback_house, area("B", parent=top), area("C", parent=middle))
    assert [entry["parent"] for entry in done["data"]] == [top, middle]
    for circle in (top, middle, low):
        refused = post(feedback_house, area("A", parent=circle))
        assert refused["errors"][0]["message"] == "Circular reference in parent"
    assert post(feedback_house, area("C", parent=None))["data"][0]["parent"] is None


def test_keys_in_conflict(feedback_house: httpx.Client) -> None:
    """An id and a correlationID that belong to different areas are refused; a free correlationID is taken over."""
    first, _ = (entry["id"] for entry in post(feedback_house, area("A"), area("B"))["data"])
    assert post(feedback_house, area("B", id=first))["errors"]
    assert post(feedback_house, area("Z", id=first))["message"] == "Created 0 | Updated 1 | Errors 0"
    assert post(feedback_house, area("Z"))["data"][0]["id"] == first
    assert post(feedback_house, area("A"))["message"].startswith("Created 1")


def test_defaults_on_update(feedback_house: httpx.Client, control: Control) -> None:
    """An update that leaves `active` out re-activates the area, unless the switch keeps it; other fields stay."""
    made = post(feedback_house, area("A", active=False, tags=["x:y"], allowCandidatesApply=True))["data"][0]
    assert (made["active"], made["allowCandidatesApply"]) == (False, True)
    again = post(feedback_house, area("A"))["data"][0]
    assert (again["active"], again["allowCandidatesApply"], again["tags"]) == (True, False, ["x:y"])
    control.configure(feedback_house={"omitted_on_update": "keep"})
    post(feedback_house, area("A", active=False))
    assert post(feedback_house, area("A"))["data"][0]["active"] is False


def test_query(feedback_house: httpx.Client, control: Control) -> None:
    """Areas are listed in pages and shown one by one, with their correlationID only where the switch says so."""
    made = post(feedback_house, *(area(f"{number:03}") for number in range(150)))["data"]
    first = feedback_house.get(QUERY).json()
    info = {"hasNextPage": True, "hasPreviousPage": False, "limit": 100, "skip": 0, "totalCount": 150}
    assert (len(first["areas"]), first["pageInfo"]) == (100, info)
    second = feedback_house.get(QUERY, params={"skip": 100, "limit": 500}).json()
    assert len(second["areas"]) == 50
    assert (second["pageInfo"]["hasNextPage"], second["pageInfo"]["limit"]) == (False, 100)
    path = f"{QUERY}/{made[7]['id']}"
    assert feedback_house.get(path).json()["area"]["name"] == "Area 007"
    assert "correlationID" not in feedback_house.get(path).json()["area"]
    control.configure(feedback_house={"correlation_visible": True})
    assert feedback_house.get(path).json()["area"]["correlationID"] == "007"
    assert feedback_house.get(f"{QUERY}/{NOBODY}").json() == {"area": {}}
    assert feedback_house.get(QUERY, params={"skip": -1}).json() == {
        "status": "ERROR",
        "message": "Invalid search query",
    }


def test_delete(feedback_house: httpx.Client) -> None:
    """An area is deleted by id, and its key is free again; one that is not there is an error inside 200."""
    parent, child = (entry["id"] for entry in post(feedback_house, area("A"), area("B"))["data"])
    post(feedback_house, area("B", parent=parent))
    assert feedback_house.delete(f"{QUERY}/{parent}").json()["status"] == "ERROR"
    assert feedback_house.delete(f"{QUERY}/{child}").json() == {"status": "OK", "area": child}
    gone = feedback_house.delete(f"{QUERY}/{child}")
    assert gone.json() == {"status": "ERROR", "area": None, "error": {"data": child, "message": "Area not found"}}
    assert feedback_house.delete(f"{QUERY}/x").json()["error"]["message"] == "Invalid id"
    assert post(feedback_house, area("B"))["message"].startswith("Created 1")


def test_managers(feedback_house: httpx.Client, control: Control) -> None:
    """Managers are users that exist; users can be made, listed and shown."""
    control.put_feedback_house_users({"id": "a" * 24, "name": "Ada", "emails": ["ada@example.invalid"]})
    users = feedback_house.get("/common/user/v1/users").json()
    assert users["pageInfo"]["totalCount"] == 3
    assert feedback_house.get(f"/common/user/v1/users/{'a' * 24}").json()["user"]["name"] == "Ada"
    assert feedback_house.get("/common/user/v1/users/x").json()["user"] is None
    assert post(feedback_house, area("A", managers=["a" * 24]))["data"][0]["managers"] == ["a" * 24]


def test_readings_of_the_documents(feedback_house: httpx.Client, control: Control) -> None:
    """The switches hide the ids in `data`, and refuse an id that does not exist."""
    control.configure(feedback_house={"data_ids": False, "unknown_id": "error"})
    answer = post(feedback_house, area("A"))
    assert (answer["data"][0]["name"], "id" in answer["data"][0]) == ("Area A", False)
    assert post(feedback_house, area("B", id=NOBODY))["errors"][0]["message"] == "Area not found"


def test_size_and_pace(feedback_house: httpx.Client, control: Control) -> None:
    """A request of more than 10 MB is refused, and so is the eleventh in a second."""
    big = area("A", tags=["x" * 10_000_000])
    answer = feedback_house.post("/planning/area/v1/update-or-create", json={"areas": [big]})
    assert answer.status_code == 413
    control.configure(feedback_house={"limit": {"requests": 10, "seconds": 60}})
    assert [feedback_house.get(QUERY).status_code for _ in range(11)] == [200] * 10 + [429]


def test_limit_of_the_documents_is_in_force(control: Control) -> None:
    """A sandbox as it comes enforces the documents' 10 requests a second."""
    control.reset()
    limit = control.configure()["feedback_house"]["limit"]
    assert (limit["requests"], limit["seconds"], limit["enforce"]) == (10, 1, True)


def test_key_header_is_a_choice(server: SandboxServer, control: Control) -> None:
    """The key is checked in the sandbox's own header, or in the one that the switches name."""
    url = f"{server.url}/feedback-house/api{QUERY}"
    assert httpx.get(url).status_code == 401
    assert httpx.get(url, headers={"x-api-key": "wrong"}).status_code == 401
    assert httpx.get(url, headers={"X-API-Key": "sandbox"}).status_code == 200
    control.configure(feedback_house={"auth_header": "Authorization", "auth_value": "Token abc"})
    assert httpx.get(url, headers={"x-api-key": "sandbox"}).status_code == 401
    assert httpx.get(url, headers={"authorization": "Token abc"}).status_code == 200


@pytest.mark.parametrize(
    ("reading", "left"), [("keep", [False, ["t"]]), ("defaults", [True, ["t"]]), ("reset", [True, []])]
)
def test_what_an_update_leaves_out(
    feedback_house: httpx.Client, control: Control, reading: str, left: list[Any]
) -> None:
    """The switch is any of three readings: all stays, flags take their defaults, or everything does."""
    (above,) = (entry["id"] for entry in post(feedback_house, area("P"))["data"])
    post(feedback_house, area("A", active=False, tags=["t"], parent=above, businessDivision=NOBODY))
    control.configure(feedback_house={"omitted_on_update": reading})
    (shown,) = post(feedback_house, area("A", name="New"))["data"]
    assert [shown["active"], shown["tags"]] == left
    links = (None, None) if reading == "reset" else (above, NOBODY)
    assert (shown["parent"], shown["businessDivision"]) == links
    assert (shown["name"], shown["correlationID"]) == ("New", "A")


@pytest.mark.parametrize("name", ["parent", "businessDivision"])
def test_null_links(feedback_house: httpx.Client, control: Control, name: str) -> None:
    """Whether an empty link is taken is a switch."""
    assert post(feedback_house, area("A", **{name: None}))["errors"] == []
    control.configure(feedback_house={"null_links": "refuse"})
    (error,) = post(feedback_house, area("A", **{name: None}))["errors"]
    assert error["message"] == f"Invalid {name} field"


def test_repeated_managers(feedback_house: httpx.Client, control: Control) -> None:
    """One manager twice is refused, unless the switch takes it."""
    twice = ["5d9b2f000000000000000001"] * 2
    (error,) = post(feedback_house, area("A", managers=twice))["errors"]
    assert error["message"] == "Repeated managers"
    control.configure(feedback_house={"repeated_managers": "accept"})
    assert post(feedback_house, area("A", managers=twice))["errors"] == []


def test_answers_without_keys(feedback_house: httpx.Client, control: Control) -> None:
    """Whether the areas in an answer show their correlationID is a switch."""
    control.configure(feedback_house={"data_keys": False})
    (shown,) = post(feedback_house, area("A"))["data"]
    assert (shown["name"], "correlationID" in shown) == ("Area A", False)
