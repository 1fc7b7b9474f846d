"""Fixtures and settings that the whole suite shares."""

from __future__ import annotations

from hypothesis import settings

from tests.disks import small_disk
from tests.postgres import postgres

__all__ = ["postgres", "small_disk"]

# How long an example takes says more about the machine than about the code.
settings.register_profile("pipelines", deadline=None)
settings.load_profile("pipelines")
