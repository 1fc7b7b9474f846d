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
"""The README's pictures. They are taken anew when KEEP_PICTURES is set; other runs look and throw away."""
_SWITCHES = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


def has_browser() -> bool:
    """Whether pages can be looked at; where CI is set they must be."""
    return bool(shutil.which("chromium") or os.environ.get("CI"))


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
        yield page
        browser.close()


def picture(page: Page, name: str, folder: Path) -> Path:
    """Take a screenshot; returns its path."""
    target = (PICTURES if os.environ.get("KEEP_PICTURES") else folder) / f"{name}.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=target)
    return target
