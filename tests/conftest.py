"""Fixtures that the whole suite shares."""

from __future__ import annotations

from tests.postgres import postgres

__all__ = ["postgres"]
