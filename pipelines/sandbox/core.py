"""The sandbox as one object: its state, its APIs, its switches, its faults, its counts."""

from __future__ import annotations

from typing import Any

from pipelines.sandbox.api import Api
from pipelines.sandbox.counts import ApiCounts
from pipelines.sandbox.dnsimple import Dnsimple
from pipelines.sandbox.faults import Faults
from pipelines.sandbox.feedback_house import FeedbackHouse
from pipelines.sandbox.settings import Settings
from pipelines.sandbox.state import State
from pipelines.sandbox.stativate import Stativate
from pipelines.sandbox.valuestreamer import Valuestreamer


class Sandbox:
    """The APIs over one state. Switches, faults and counts live as long as the process, the state as long as its id."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.settings = Settings()
        self.faults = Faults()
        self.valuestreamer = Valuestreamer(state, self.settings.valuestreamer)
        self.dnsimple = Dnsimple(state, self.settings.dnsimple)
        self.feedback_house = FeedbackHouse(state, self.settings.feedback_house)
        apis: tuple[Api[Any], ...] = (
            Stativate(state, self.settings.stativate),
            self.valuestreamer,
            self.dnsimple,
            self.feedback_house,
        )
        self.apis = {api.name: api for api in apis}
        self.counts = {name: ApiCounts() for name in self.apis}
        self.adopt(self.settings)

    def adopt(self, settings: Settings) -> None:
        """Use these switches from now on."""
        self.settings = settings
        for name, api in self.apis.items():
            api.settings = getattr(settings, name)
            self.counts[name].limited_by(api.settings)

    def reset(self) -> None:
        """Empty the boards, take a new id, and forget switches, faults, counts and what was used of every limit."""
        self.state.clear()
        for api in self.apis.values():
            api.editing.clear()
            api.restart()
        self.faults.rules = []
        self.counts = {name: ApiCounts() for name in self.apis}
        self.adopt(Settings())
