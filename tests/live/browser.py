"""Headless Chromium, and where its pictures go."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

PICTURES = Path(__file__).parent / "pictures"
"""The READMEs' pictures. They are taken anew when KEEP_PICTURES is set; other runs look and throw away."""
PATIENCE_MS = 60_000
_SWITCHES = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
# What is drawn on a canvas is no text of the page; this keeps it.
_KEEP_DRAWN_TEXTS = """
    window.drawnTexts = [];
    const draw = CanvasRenderingContext2D.prototype.fillText;
    CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
        window.drawnTexts.push(String(text));
        return draw.call(this, text, ...rest);
    };
"""


@contextmanager
def browser_page(width: int = 1440, height: int = 900) -> Iterator[Page]:
    """A page of Debian's Chromium; without it the test is skipped, or fails where CI is set."""
    chromium = shutil.which("chromium")
    if chromium is None:
        reason = "chromium is not installed (Debian: apt-get install chromium)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_SWITCHES)
        page = browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=1)
        page.set_default_timeout(PATIENCE_MS)
        page.add_init_script(_KEEP_DRAWN_TEXTS)
        yield page
        browser.close()


def see(page: Page, *texts: str) -> None:
    """Wait until these texts stand on the page, each by itself."""
    for text in texts:
        page.get_by_text(text, exact=True).locator("visible=true").first.wait_for()


def press(page: Page, text: str, *, last: bool = False) -> None:
    """Click the first, or the last, thing that says this and can be seen."""
    found = page.get_by_text(text, exact=True).locator("visible=true")
    (found.last if last else found.first).click()


def drawn_texts(page: Page) -> list[str]:
    """What was written onto canvases so far."""
    return page.evaluate("window.drawnTexts")


def picture(page: Page, name: str, folder: Path) -> Path:
    """Take a screenshot; returns its path."""
    target = (PICTURES if os.environ.get("KEEP_PICTURES") else folder) / f"{name}.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    page.wait_for_timeout(700)  # what is about to move has moved by then
    page.screenshot(path=target)
    return target
