"""The four APIs as a local server, for what the product calls, with a page that shows what they hold."""

from __future__ import annotations

from pipelines.sandbox.remote import Control, ControlError
from pipelines.sandbox.server import SandboxError, SandboxServer, run

__all__ = ["Control", "ControlError", "SandboxError", "SandboxServer", "run"]
