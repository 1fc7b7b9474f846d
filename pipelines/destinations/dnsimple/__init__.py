"""DNSimple's platform statuses: the latest known state of a resource in a context."""

from pipelines.destinations.dnsimple.api import Dnsimple
from pipelines.destinations.dnsimple.mapping import DnsimpleSpec, StateRule, StateStep
from pipelines.destinations.dnsimple.settings import DnsimpleSettings
from pipelines.destinations.dnsimple.statuses import Status

__all__ = ["Dnsimple", "DnsimpleSettings", "DnsimpleSpec", "StateRule", "StateStep", "Status"]
