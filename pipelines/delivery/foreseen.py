"""What a delivery would do, as the ledger tells it: what a dry run leaves behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.delivery.gates import Measured, Obstacle
from pipelines.delivery.ledger import Known
from pipelines.delivery.plan import Plan


@dataclass(frozen=True, slots=True)
class Foreseen:
    """The plan and the verdict about it.

    `vanished`: keys that would be taken away; `unanswered`: upserts of earlier runs that would be read back first;
    `known`: keys that the sync has delivered so far; `measured`: the plan beside the sync's ceilings.
    """

    plan: Plan
    vanished: Sequence[Known] = ()
    unanswered: int = 0
    known: int = 0
    measured: Sequence[Measured] = ()
    obstacles: Sequence[Obstacle] = ()
