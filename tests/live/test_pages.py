"""The pages that people look at, in a browser; the README's pictures come from here."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pipelines
from pipelines.home import Home
from tests.live.browser import browser_page, picture
from tests.live.deployment import Live, served

_PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """What the demo leaves behind, served."""
    folder = tmp_path_factory.mktemp("home")
    subprocess.run(
        [sys.executable, "-m", "pipelines", "demo"],
        env={**os.environ, "PIPELINES_HOME": str(folder)},
        check=True,
        capture_output=True,
    )
    home = Home.of({"PIPELINES_HOME": str(folder / "demo")})
    with served(Path(pipelines.__file__).parent, home, "pipelines.definitions") as live:
        yield live


@pytest.mark.timeout(300)
def test_lineage_reads_from_the_source_to_the_api(live: Live, tmp_path: Path) -> None:
    """The asset graph shows sources, the table, and each sync with its checks, by system."""
    with browser_page(1800, 1100) as page:
        page.goto(f"{live.url}/assets/flight_kpis_valid?view=lineage&lineageScope=neighbors&lineageDepth=2")
        for text in ("warehouse", "valuestreamer", "stativate", "dnsimple", "shop_floor_upserts", "status_board"):
            page.get_by_text(text, exact=True).first.wait_for(timeout=_PATIENCE_MS)
        # The graph's nodes load their facts one after another, and say so nowhere when they are done.
        page.wait_for_timeout(5000)
        picture(page, "asset_graph", tmp_path)


@pytest.mark.timeout(300)
def test_partitions_of_a_sync_are_green_and_say_their_mode(live: Live, tmp_path: Path) -> None:
    """The sync's page names its mode, and the days of January are materialized, each with its figures."""
    with browser_page() as page:
        page.goto(f"{live.url}/assets/shop_floor?view=partitions&partition=2013-01-31")
        page.get_by_text("Materialized (31)").first.wait_for(timeout=_PATIENCE_MS)
        page.get_by_text("extracted", exact=True).first.wait_for(timeout=_PATIENCE_MS)
        picture(page, "partitions", tmp_path)
        page.goto(f"{live.url}/assets/shop_floor")
        page.get_by_text("mode: sandbox").first.wait_for(timeout=_PATIENCE_MS)


@pytest.mark.timeout(300)
def test_a_run_is_drawn_as_a_calendar(live: Live, tmp_path: Path) -> None:
    """The newest day of a delivery shows all days of its run, each with its colour and number."""
    with browser_page() as page:
        page.goto(f"{live.url}/assets/shop_floor?view=partitions&partition=2013-01-31")
        page.get_by_text("[Show Markdown]").last.click(timeout=_PATIENCE_MS)
        calendar = page.locator("img[src^='data:image/svg']").first
        calendar.wait_for(timeout=_PATIENCE_MS)
        assert calendar.evaluate("image => image.complete && image.naturalWidth > 0")
        page.wait_for_timeout(500)
        picture(page, "calendar", tmp_path)


@pytest.mark.timeout(300)
def test_checks_are_told_day_by_day(live: Live, tmp_path: Path) -> None:
    """The delivery check passed on each day of January, and says so for each; standing checks stand beside it."""
    with browser_page() as page:
        page.goto(f"{live.url}/assets/shop_floor?view=checks&checkDetail=delivery")
        page.get_by_text("Every extracted row is accounted for").first.wait_for(timeout=_PATIENCE_MS)
        page.get_by_text("Partitions", exact=True).last.click()
        page.get_by_text("Passed (31)").first.wait_for(timeout=_PATIENCE_MS)
        page.get_by_text("read_back", exact=True).first.wait_for(timeout=_PATIENCE_MS)
        picture(page, "checks", tmp_path)


@pytest.mark.timeout(300)
def test_figures_are_plotted(live: Live, tmp_path: Path) -> None:
    """Outcomes, requests and answer times of the days are plots, without anybody's doing."""
    with browser_page() as page:
        page.goto(f"{live.url}/assets/shop_floor?view=overview")
        page.get_by_text("Plots", exact=True).first.click(timeout=_PATIENCE_MS)
        page.get_by_text("Events", exact=True).last.click(timeout=_PATIENCE_MS)
        page.get_by_text("answer_p95_s", exact=True).first.wait_for(timeout=_PATIENCE_MS)
        page.locator("canvas").nth(2).scroll_into_view_if_needed(timeout=_PATIENCE_MS)
        page.wait_for_timeout(1000)
        picture(page, "plots", tmp_path)


@pytest.mark.timeout(300)
def test_runs_say_their_mode(live: Live) -> None:
    """Nobody has to guess whether a run went to a real API."""
    with browser_page() as page:
        page.goto(f"{live.url}/runs")
        page.get_by_text("pipelines/mode: sandbox").first.wait_for(timeout=_PATIENCE_MS)


@pytest.mark.timeout(300)
def test_board_shows_what_was_delivered(live: Live, tmp_path: Path) -> None:
    """The sandbox's page shows the statuses, line charts and areas that the demo's delivery left there."""
    with browser_page(1440, 1000) as page:
        page.goto(live.sandbox.url)
        page.get_by_role("searchbox").fill("EWR-A")
        page.get_by_text("Departed on time EWR-AA").first.wait_for(timeout=_PATIENCE_MS)
        page.get_by_text("Newark Liberty Intl").first.wait_for(timeout=_PATIENCE_MS)
        page.wait_for_timeout(1500)
        picture(page, "board", tmp_path)
