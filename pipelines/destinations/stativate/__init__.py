"""Stativate: status boards that notify people whenever a value is sent."""

from pipelines.destinations.stativate.api import Listed, Stativate, StativateSettings
from pipelines.destinations.stativate.mapping import ColorRule, ColorStep, StativateSpec, ValueSpec

__all__ = ["ColorRule", "ColorStep", "Listed", "Stativate", "StativateSettings", "StativateSpec", "ValueSpec"]
