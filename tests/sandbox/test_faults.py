"""Faults on demand, seen with a real client."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from pipelines.sandbox import Control, ControlError

FULL = {"name": "Sales", "value": "1"}


def post(client: httpx.Client, key: str = "a") -> httpx.Response:
    """Set a status."""
    return client.post(f"/status-keys/{key}", json=FULL, timeout=5)


def fault(control: Control, kind: str, **rule: Any) -> None:
    """Spoil one answer of Stativate."""
    params = rule.pop("params", {})
    control.add_faults({"api": "stativate", "kind": kind, "params": params, **rule})


def statuses(control: Control) -> list[str]:
    """The keys that Stativate holds."""
    return list(control.state("stativate")["statuses"])


def test_status(stativate: httpx.Client, control: Control) -> None:
    """Any status, with headers, and with a JSON body, a page or nothing; the API did not act."""
    fault(control, "status", params={"code": 503, "body": {"message": "down"}, "headers": {"x-why": "test"}})
    fault(control, "status", params={"code": 502, "html": "<h1>Bad gateway</h1>"})
    fault(control, "status", params={"code": 405})
    json, html, empty = post(stativate), post(stativate), post(stativate)
    assert (json.status_code, json.json(), json.headers["x-why"]) == (503, {"message": "down"}, "test")
    assert (html.status_code, html.text) == (502, "<h1>Bad gateway</h1>")
    assert html.headers["content-type"].startswith("text/html")
    assert (empty.status_code, empty.content) == (405, b"")
    assert statuses(control) == []
    assert post(stativate).status_code == 200


def test_status_after_acting(stativate: httpx.Client, control: Control) -> None:
    """A fault can be told to let the API act first."""
    fault(control, "status", params={"code": 500, "act": True})
    assert post(stativate).status_code == 500
    assert statuses(control) == ["a"]


def test_retry_after(stativate: httpx.Client, control: Control) -> None:
    """Too many requests comes with Retry-After in seconds, as a date, or without."""
    for form in ("seconds", "date", "none"):
        fault(control, "retry_after", params={"form": form, "seconds": 7})
    seconds, date, none = post(stativate), post(stativate), post(stativate)
    assert [answer.status_code for answer in (seconds, date, none)] == [429, 429, 429]
    assert seconds.headers["retry-after"] == "7"
    assert parsedate_to_datetime(date.headers["retry-after"]) > datetime.now(UTC)
    assert "retry-after" not in none.headers


def test_drop_before_and_after_acting(stativate: httpx.Client, control: Control) -> None:
    """A dropped connection leaves no answer; the API has acted or not, as the kind says."""
    fault(control, "drop_before")
    fault(control, "drop_after")
    for landed in ([], ["a"]):
        with pytest.raises(httpx.TransportError):
            post(stativate)
        assert statuses(control) == landed
    assert control.counts("stativate")["statuses"] == {"none": 2}


def test_quota_that_is_used_up(stativate: httpx.Client, control: Control) -> None:
    """The headers say that nothing is left until a reset; the API has acted, or refused where that is asked for."""
    fault(control, "exhausted", params={"seconds": 30})
    fault(control, "exhausted", params={"seconds": 30, "refuse": True})
    last, refused = post(stativate, "last"), post(stativate, "refused")
    assert (last.status_code, refused.status_code) == (200, 429)
    for answer in (last, refused):
        assert answer.headers["x-ratelimit-remaining"] == "0"
        assert int(answer.headers["x-ratelimit-reset"]) > datetime.now(UTC).timestamp() + 20
    assert statuses(control) == ["last"]


def test_quota_headers_of_the_api_give_way(dnsimple: httpx.Client, control: Control) -> None:
    """Where the API has such headers itself, the fault's take their place."""
    control.add_faults({"api": "dnsimple", "kind": "exhausted", "params": {"limit": 7}})
    headers = dnsimple.get("/whoami").headers
    assert headers.get_list("x-ratelimit-remaining") == ["0"]
    assert headers.get_list("x-ratelimit-limit") == ["7"]


def test_hanging_up_after_an_answer(stativate: httpx.Client, control: Control) -> None:
    """The answer is whole and announces no end; the connection is closed all the same."""
    fault(control, "hang_up")
    answer = post(stativate, "a")
    assert (answer.status_code, answer.json()["value"]) == (200, "1")
    assert "connection" not in answer.headers
    stream = answer.extensions["network_stream"]
    deadline = time.monotonic() + 5
    while not stream.get_extra_info("is_readable") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert stream.get_extra_info("is_readable"), "the server has not closed the connection"
    assert post(stativate, "b").status_code == 200


def test_bodies_that_are_not_whole(stativate: httpx.Client, control: Control) -> None:
    """A body can be missing, cut off, or something else, after the API has acted."""
    fault(control, "empty_body")
    answer = post(stativate, "empty")
    assert (answer.status_code, answer.content) == (200, b"")
    fault(control, "cut_body")
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
        post(stativate, "cut")
    fault(control, "other_json")
    assert post(stativate, "other").json() == {"unexpected": True}
    fault(control, "garbage")
    with pytest.raises(httpx.RemoteProtocolError):
        post(stativate, "garbage")
    assert statuses(control) == ["empty", "cut", "other", "garbage"]


def test_slow_answers(stativate: httpx.Client, control: Control) -> None:
    """A late answer has landed all the same; a body can drip in; an answer that never comes leaves no trace."""
    fault(control, "delay", params={"seconds": 60})
    fault(control, "never")
    for key in ("late", "never"):
        with pytest.raises(httpx.ReadTimeout):
            stativate.post(f"/status-keys/{key}", json=FULL, timeout=0.3)
    assert statuses(control) == ["late"]
    fault(control, "drip", params={"seconds": 0.05, "pieces": 5})
    assert post(stativate, "drip").json()["value"] == "1"


def test_expired_key_and_redirect(stativate: httpx.Client, control: Control) -> None:
    """A key can expire, with the API's own 401; an answer can be a redirect."""
    fault(control, "expired_key")
    fault(control, "redirect", params={"code": 302, "location": "/elsewhere"})
    expired, redirected = post(stativate), post(stativate)
    assert (expired.status_code, set(expired.json())) == (401, {"message"})
    assert (redirected.status_code, redirected.headers["location"]) == (302, "/elsewhere")


def test_rules_match_by_method_path_and_number(stativate: httpx.Client, control: Control) -> None:
    """A rule spoils only requests of its API, method and path, after the first ones, and only so often."""
    fault(control, "status", method="POST", path_contains="/b", after=1, times=2)
    control.add_faults({"api": "valuestreamer", "kind": "status", "times": None})
    assert post(stativate, "a").status_code == 200
    assert [post(stativate, "b").status_code for _ in range(4)] == [200, 500, 500, 200]
    assert stativate.get("/status-keys/b").status_code == 200
    assert [(rule["matched"], rule["applied"]) for rule in control.faults()] == [(3, 2), (0, 0)]


def test_rule_without_end(stativate: httpx.Client, control: Control) -> None:
    """A rule with times null holds until the faults are cleared."""
    fault(control, "status", times=None)
    assert {post(stativate).status_code for _ in range(5)} == {500}
    control.clear_faults()
    assert post(stativate).status_code == 200


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "flood"},
        {"kind": "delay"},
        {"kind": "status", "params": {"colour": 1}},
        {"kind": "never", "api": "stativ"},
        {"kind": "never", "times": 0},
        {"kind": "never", "each": 1},
    ],
)
def test_wrong_rules_are_refused(control: Control, rule: dict[str, Any]) -> None:
    """A rule with a wrong field is refused and changes nothing."""
    with pytest.raises(ControlError):
        control.add_faults(rule)
    assert control.faults() == []
