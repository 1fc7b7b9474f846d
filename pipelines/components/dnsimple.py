"""`type: pipelines.DnsimpleSync`."""

from __future__ import annotations

from pipelines.components.sync import SyncComponent
from pipelines.destinations.dnsimple import DnsimpleSpec


class DnsimpleSync(DnsimpleSpec, SyncComponent):
    """Each resource and context one status at DNSimple, with its newest state."""
