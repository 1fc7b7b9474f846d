"""The pages that people look at, in a browser, over a month with days of every colour; the READMEs' pictures.

They are looked at in the order of this file: what stands wrong comes first, then it is mended.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from pipelines.components.partitions import END_TAG, START_TAG
from tests.live.browser import PICTURES, browser_page, drawn_texts, picture, press, see
from tests.live.coloured import BROKEN, BY_HAND, DAYS, DOWN, PLANNED, QUARANTINED, RED, SYNCS, YELLOW, Month, month
from tests.live.deployment import Live, export_day, sample_day, served, wait_for

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Month:
    """A month in all colours."""
    return month(tmp_path_factory.mktemp("month"))


@pytest.fixture(scope="module")
def live(made: Month) -> Iterator[Live]:
    """The month, served; its standing checks have looked, its screen is taken, and a day was delivered dry."""
    with served(made.package, made.home) as live:
        dry = {"ops": {"shop_floor": {"config": {"dry_run": True}}}}
        first = live.launch("standing_checks")
        second = live.launch("shop_floor_deliver", span(made, PLANNED, PLANNED), dry)
        assert live.wait_for_runs(first, second) == ["SUCCESS", "SUCCESS"]
        assert live.wait_for_runs(live.launch("delivery_status_job")) == ["SUCCESS"]
        yield live


@pytest.fixture(scope="module")
def page(live: Live) -> Iterator[Page]:
    """One browser for all looks."""
    with browser_page() as page:
        yield page


def span(made: Month, first: int, last: int) -> dict[str, str]:
    """The tags of a run over days of the month."""
    return {START_TAG: made.day(first), END_TAG: made.day(last)}


def test_partitions_show_red_days_among_green_ones(live: Live, made: Month, page: Page, tmp_path: Path) -> None:
    """The bar has the three red days; the page of one that was green before says that its newest run failed."""
    page.goto(f"{live.url}/assets/shop_floor?view=partitions&partition={made.day(RED)}")
    see(page, "Failed (3)", f"Materialized ({DAYS - 3})", "Missing (0)")
    page.get_by_text("failed, and did not materialize this asset").first.wait_for()
    picture(page, "failed_days", tmp_path)
    assert {day for day, state in live.partitions("shop_floor").items() if state == "FAILED"} == {
        made.day(number) for number in (RED, BROKEN, DOWN)
    }


def test_checks_tell_each_day_green_yellow_or_red_with_its_reason(
    live: Live, made: Month, page: Page, tmp_path: Path
) -> None:
    """Also a day that was green before is red now; the sentence says why, the table which keys and what to do."""
    page.goto(f"{live.url}/assets/shop_floor?view=checks&checkDetail=delivery")
    see(page, "delivery", "failed_partitions", "freshness", "open_rows", "read_back")
    press(page, "Partitions", last=True)
    see(page, "Missing (0)", "Execution Failed (0)", "Skipped (0)", "Failed (5)", f"Passed ({DAYS - 5})")
    for number, why in (
        (YELLOW, "warn_above: 3 rejected of 160 rows"),
        (QUARANTINED, "warn_above: 3 quarantined of 160 rows"),
        (BROKEN, "the table flight_kpis was never extracted for it"),
        (DOWN, "1 failed"),
        (RED, "fail_above: 20 rejected of 160 rows"),
    ):
        press(page, made.day(number))
        page.get_by_text(why).locator("visible=true").first.wait_for()
    picture(page, "checks", tmp_path)
    press(page, "[Show Markdown]")
    page.get_by_text("400 Bad Request").locator("visible=true").first.wait_for()
    page.get_by_text("pipelines why shop_floor").locator("visible=true").first.wait_for()
    picture(page, "reasons", tmp_path)


def test_a_run_is_drawn_as_a_calendar_in_colours(live: Live, made: Month, page: Page, tmp_path: Path) -> None:
    """The newest day of a delivery shows all days of its run: sent, unchanged, rejected and red."""
    page.goto(f"{live.url}/assets/shop_floor?view=partitions&partition={made.day(DAYS)}")
    see(page, "extracted")
    press(page, "[Show Markdown]", last=True)
    drawn = page.locator("img[src^='data:image/svg']").first
    drawn.wait_for()
    assert drawn.evaluate("image => image.complete && image.naturalWidth > 0")
    svg = base64.b64decode(str(drawn.get_attribute("src")).partition("base64,")[2]).decode()
    # The legend has each colour but the darkest green once.
    assert "#2a8f50" in svg
    assert all(svg.count(colour) > 1 for colour in ("#e4e7eb", "#f6c244", "#d64545"))
    picture(page, "calendar", tmp_path)


def test_figures_are_plotted_over_partitions(live: Live, made: Month, page: Page, tmp_path: Path) -> None:
    """Outcomes, requests and answer times of the days are plots over their dates, without anybody's doing."""
    page.goto(f"{live.url}/assets/shop_floor?view=overview")
    press(page, "Plots")
    see(page, "accepted", "answer_p95_s", "requests")
    days = {made.day(number) for number in range(1, DAYS + 1)}
    on_axis = wait_for(lambda: days & set(drawn_texts(page)), 60, "the plots' axis")
    assert len(on_axis) > 5
    assert "Partition" in drawn_texts(page)
    page.locator("canvas").nth(2).scroll_into_view_if_needed()
    picture(page, "plots", tmp_path)


def test_standing_checks_show_what_no_run_can_see(live: Live, page: Page, tmp_path: Path) -> None:
    """A value that somebody changed at the API, with what was sent and what stands there; failed days; nothing late."""
    page.goto(f"{live.url}/assets/status_board?view=checks&checkDetail=failed_partitions")
    page.get_by_text(f"1 of {DAYS} partitions are failed").first.wait_for()
    page.goto(f"{live.url}/assets/status_board?view=checks&checkDetail=freshness")
    page.get_by_text("the newest partition that is due, is there").first.wait_for()
    page.goto(f"{live.url}/assets/flight_kpis_valid?view=checks&checkDetail=volume")
    page.get_by_text("the median of the 14 before it is").first.wait_for()
    page.goto(f"{live.url}/assets/status_board?view=checks&checkDetail=read_back")
    page.get_by_text("at 1 of 165 keys something else stands").first.wait_for()
    picture(page, "standing_checks", tmp_path)
    press(page, "[Show Markdown]")
    see(page, BY_HAND, "BY HAND")


def test_the_screen_of_the_morning_says_what_to_do(live: Live, page: Page, tmp_path: Path) -> None:
    """The asset `delivery_status` has a line per sync, red or green, and beneath it what to do next."""
    page.set_viewport_size({"width": 1440, "height": 1000})
    page.goto(f"{live.url}/assets/delivery_status")
    press(page, "[Show Markdown]")
    see(page, "What to do")
    for name in ("org_units (sandbox)", "shop_floor (sandbox)", "23 keys were rejected by the API"):
        page.get_by_text(name).locator("visible=true").first.wait_for()
    picture(page, "delivery_status", tmp_path)


def test_a_dry_run_shows_what_a_run_would_send(live: Live, made: Month, page: Page, tmp_path: Path) -> None:
    """Each field with its old and its new value, the ceilings and the cost, at a day that stays as it was."""
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{live.url}/assets/shop_floor?view=events")
    page.get_by_text("observed in run").first.wait_for()
    see(page, "would_update", "run_expected_requests")
    picture(page, "dry_run", tmp_path)
    press(page, "[Show Markdown]")
    see(page, "old", "new", "update")


def test_runs_say_their_mode(live: Live, page: Page) -> None:
    """Nobody has to guess whether a run went to a real API."""
    page.goto(f"{live.url}/runs")
    page.get_by_text("pipelines/mode: sandbox").first.wait_for()
    page.goto(f"{live.url}/assets/shop_floor")
    page.get_by_text("mode: sandbox").first.wait_for()


def test_mended_days_turn_green_again(live: Live, made: Month) -> None:
    """The file is mended and the API well: one run of the table, and its syncs follow by themselves."""
    export_day(made.exports, made.day(BROKEN), sample_day(f"2013-01-{BROKEN}"))
    assert live.wait_for_runs(live.launch("flight_kpis_extract", span(made, RED, DOWN))) == ["SUCCESS"]
    all_green = {made.day(number): "MATERIALIZED" for number in range(1, DAYS + 1)}
    for sync in SYNCS:
        wait_for(lambda sync=sync: live.partitions(sync) == all_green, 120, f"the last green day of {sync}")
    assert live.wait_for_runs(live.launch("standing_checks")) == ["SUCCESS"]


def test_lineage_reads_from_the_source_to_the_api(live: Live, page: Page, tmp_path: Path) -> None:
    """The asset graph shows sources, the table, and each sync with its checks, by system."""
    page.set_viewport_size({"width": 1800, "height": 1100})
    page.goto(f"{live.url}/assets/flight_kpis_valid?view=lineage&lineageScope=neighbors&lineageDepth=2")
    see(page, "warehouse", "valuestreamer", "stativate", "dnsimple", "shop_floor_upserts", "status_board")
    # The graph's nodes load their facts one after another, and say so nowhere when they are done.
    page.wait_for_timeout(5000)
    picture(page, "asset_graph", tmp_path)


def test_board_shows_what_was_delivered(live: Live, page: Page, tmp_path: Path) -> None:
    """The sandbox's page shows the statuses, line charts and areas that the deliveries left there."""
    page.set_viewport_size({"width": 1440, "height": 1000})
    page.goto(live.sandbox.url)
    page.get_by_role("searchbox").fill("EWR-A")
    see(page, "Departed on time EWR-AA", "Newark Liberty Intl")
    page.wait_for_timeout(1500)
    picture(page, "board", tmp_path)


def test_the_readmes_show_every_picture() -> None:
    """A picture that nobody shows is taken in vain, and one that nobody takes cannot be true."""
    root = PICTURES.parents[2]
    shown = "".join((root / name).read_text() for name in ("README.md", "pipelines/README.md"))
    for taken in PICTURES.glob("*.png"):
        assert taken.name in shown, taken.name
