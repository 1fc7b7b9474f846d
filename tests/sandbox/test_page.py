"""The page, its feed, and the documentation."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from pipelines.sandbox import Control, SandboxServer

TEAM = "dcb1672a-33db-56dd-9c56-f53902fe6f37"
KPI = "d4bf797b-6f48-5dc4-9789-6be42070e83d"
ACTUAL, TARGET = "3a40430c-cecd-5b4c-af66-ba9681d47b9a", "8a87bd83-3cb4-52bc-89ed-e2cfec9d1344"
STATUS = {"name": "Departures today", "value": "812", "colorNo": 5}
STATE = {"resource": "domain:101", "state": "warning", "title": "Late"}


def record(client: httpx.Client, day: str, actual: float) -> None:
    """Write a record of the on-time KPI."""
    values = [{"kpiValueId": ACTUAL, "value": actual}, {"kpiValueId": TARGET, "value": 80}]
    client.put(f"/kpi-data/{day}/{TEAM}/{KPI}", json={"values": values}).raise_for_status()


def area(client: httpx.Client, **item: Any) -> str:
    """Make an area and return its id."""
    answer = client.post("/planning/area/v1/update-or-create", json={"areas": [item]}).json()
    return answer["data"][0]["id"]


def feed(server: SandboxServer, seen: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the page is told after what it has seen."""
    query = {"epoch": seen["epoch"], "since": seen["at"]} if seen else {}
    return httpx.get(f"{server.url}/feed", params=query).json()


@pytest.mark.usefixtures("control")
def test_feed_tells_all_once_then_what_changed(
    server: SandboxServer, stativate: httpx.Client, valuestreamer: httpx.Client, dnsimple: httpx.Client
) -> None:
    """The first look has everything, later ones only what changed, and null for what is gone."""
    stativate.post("/status-keys/a", json=STATUS)
    stativate.post("/status-keys/b", json=STATUS)
    dnsimple.post("/1010/platform/statuses", json=STATE)
    record(valuestreamer, "2013-01-01", 75)
    first = feed(server)
    assert first["fresh"]
    assert list(first["statuses"]) == ["a", "b"]
    assert first["records"] == {f"{TEAM}/{KPI}": {"2013-01-01": [75, 80]}}
    assert [state["title"] for state in first["states"].values()] == ["Late"]
    assert {name: count["held"] for name, count in first["counts"].items()} == {
        "stativate": 2,
        "valuestreamer": 1,
        "dnsimple": 1,
        "feedback_house": 0,
    }
    nothing = feed(server, first)
    assert (nothing["fresh"], nothing["statuses"], nothing["records"], "meta" in nothing) == (False, {}, {}, False)
    stativate.post("/status-keys/b", json={"value": "900"})
    stativate.delete("/status-keys/a")
    record(valuestreamer, "2013-01-02", 85)
    later = feed(server, nothing)
    assert (later["statuses"]["a"], later["statuses"]["b"]["value"]) == (None, "900")
    assert later["records"] == {f"{TEAM}/{KPI}": {"2013-01-02": [85, 80]}}


def test_feed_starts_afresh_after_a_reset(server: SandboxServer, control: Control, stativate: httpx.Client) -> None:
    """After a reset the next look is a fresh one, with nothing in it."""
    stativate.post("/status-keys/a", json=STATUS)
    seen = feed(server)
    control.reset()
    after = feed(server, seen)
    assert (after["fresh"], after["statuses"], len(after["meta"]["kpis"])) == (True, {}, 5)


@pytest.mark.usefixtures("control")
def test_a_fresh_look_goes_back_a_year(server: SandboxServer, valuestreamer: httpx.Client) -> None:
    """Records older than the newest year are left out of a fresh look, but counted."""
    for day in ("2010-01-01", "2012-12-31", "2013-12-31"):
        record(valuestreamer, day, 75)
    first = feed(server)
    assert list(first["records"][f"{TEAM}/{KPI}"]) == ["2012-12-31", "2013-12-31"]
    assert first["counts"]["valuestreamer"]["held"] == 3


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_nothing_comes_from_elsewhere(server: SandboxServer, path: str) -> None:
    """The pages and all files they name come from the sandbox, and none of them names another host."""
    page = httpx.get(server.url + path)
    assert page.headers["content-type"].startswith("text/html")
    waiting, seen = set(re.findall(r'(?:href|src)="(/[\w.]+\.(?:css|js))"', page.text)), {path: page.text}
    while waiting:
        name = waiting.pop()
        answer = httpx.get(server.url + name)
        assert answer.status_code == 200
        seen[name] = answer.text
        waiting |= {f"/{file}" for file in re.findall(r'from "\./([\w.]+)"', answer.text)} - set(seen)
    assert len(seen) > 3
    hosts = {host for text in seen.values() for host in re.findall(r"https?://([\w.-]+)", text)}
    assert hosts <= {"www.w3.org"}


@pytest.fixture(scope="module")
def page(server: SandboxServer) -> Iterator[Page]:
    """A browser's page that fails the test for every error it meets."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is not installed")
        pytest.skip("Chromium is not installed")
    problems: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        opened = browser.new_page(viewport={"width": 1440, "height": 900})
        opened.on("pageerror", lambda error: problems.append(str(error)))
        opened.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        opened.on("requestfailed", lambda request: problems.append(request.url))
        yield opened
        browser.close()
    assert problems == []


def test_boards_in_a_browser(
    server: SandboxServer, control: Control, page: Page, stativate: httpx.Client, valuestreamer: httpx.Client,
    dnsimple: httpx.Client, feedback_house: httpx.Client,
) -> None:  # fmt: skip
    """The page shows what the boards hold, follows changes without a reload, filters, and says why it is empty."""
    page.goto(server.url)
    expect(page.locator(".empty:visible")).to_have_count(4)
    stativate.post("/status-keys/a", json=STATUS)
    for day, actual in (("2013-01-01", 75), ("2013-01-02", 85), ("2013-01-03", 64.5)):
        record(valuestreamer, day, actual)
    dnsimple.post("/1010/platform/statuses", json=STATE)
    parent = area(feedback_house, correlationID="EWR", name="Newark")
    area(feedback_house, correlationID="EWR-9E", name="Endeavor", parent=parent, active=False)
    expect(page.locator(".card .value")).to_have_text("812")
    expect(page.locator(".cell .now")).to_have_text("64.5 %")
    expect(page.locator(".cell svg")).to_have_attribute(
        "aria-label", re.compile("3 values; .*actual 64.5 %, target 80 %")
    )
    expect(page.locator(".state")).to_contain_text("warning")
    expect(page.locator(".tree ul .inactive")).to_contain_text("Endeavor")
    expect(page.locator(".empty:visible")).to_have_count(0)
    stativate.post("/status-keys/a", json={"value": "late"})
    expect(page.locator(".card .value")).to_have_text("LATE")
    page.fill("#filter", "newark")
    expect(page.locator(".card:visible, .state:visible, .team:visible")).to_have_count(0)
    expect(page.locator(".area:visible")).to_have_count(1)
    expect(page.locator(".empty:visible")).to_have_text(
        [f"No {what} matches the filter." for what in ("status", "KPI record", "platform state")]
    )
    page.fill("#filter", "newark nowhere")
    expect(page.locator("#feedback_house .empty")).to_have_text("No area matches the filter.")
    page.fill("#filter", "")
    expect(page.locator(".empty:visible")).to_have_count(0)
    control.reset()
    expect(page.locator(".card, .state, .area, .row")).to_have_count(0)
    expect(page.locator("#dnsimple .empty")).to_contain_text("No platform state yet. A sync in mode sandbox")


def test_phone(server: SandboxServer, control: Control, page: Page, valuestreamer: httpx.Client) -> None:
    """On a phone nothing is wider than the screen."""
    record(valuestreamer, "2013-01-01", 75)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(server.url)
    expect(page.locator(".cell .label:visible")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_documentation_in_a_browser(server: SandboxServer, page: Page) -> None:
    """The documentation shows every endpoint with a request that can be copied."""
    page.goto(f"{server.url}/docs")
    expect(page.locator("h2")).to_have_text(["Stativate", "ValueStreamer", "DNSimple", "feedback.house", "Control"])
    endpoint = page.locator("details", has_text="Create or update a record")
    endpoint.locator("summary").click()
    expect(endpoint.locator("pre").last).to_contain_text("Authorization: Basic c2FuZGJveDpzYW5kYm94", ignore_case=True)
    expect(endpoint.locator("pre").last).to_contain_text(f"/2013-12-31/{TEAM}/")
