"""How many rows may go wrong before a partition turns yellow or red."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipelines.delivery.gates import Ceiling
from pipelines.delivery.upsert import Outcome

WRONG = (Outcome.REJECTED, Outcome.INVALID, Outcome.QUARANTINED)
"""The outcomes of rows that went wrong by themselves, not for want of an answer."""


class Threshold(BaseModel):
    """A bound on rows that went wrong; exceeded where either part is."""

    model_config = ConfigDict(extra="forbid")

    percent: float | None = Field(default=None, description="Percent of the partition's rows.")
    count: int | None = Field(default=None, description="Number of rows.")

    @model_validator(mode="after")
    def _bounded(self) -> Threshold:
        if self.percent is None and self.count is None:
            msg = "a threshold needs percent or count"
            raise ValueError(msg)
        _check_range(self.percent, self.count)
        return self

    def ceiling(self) -> Ceiling:
        """The same as a bound on what one plan may do."""
        return Ceiling(percent=self.percent, count=self.count)

    def exceeded(self, wrong: int, rows: int) -> bool:
        """Whether `wrong` of `rows` rows are more than the bound allows."""
        return any(_parts(self.percent, self.count, wrong, rows))


class Tolerance(BaseModel):
    """Bounds on rows that went wrong: on all of them together (`percent`, `count`), and on each kind by itself. Crossed
    where any of them is.
    """

    model_config = ConfigDict(extra="forbid")

    percent: float | None = Field(
        default=None, description="Percent of the partition's rows: rejected, invalid and quarantined together."
    )
    count: int | None = Field(default=None, description="Number of rows: rejected, invalid and quarantined together.")
    rejected: Threshold | None = Field(default=None, description="Rows that the API refused.")
    invalid: Threshold | None = Field(default=None, description="Rows that cannot become what the sync sends.")
    quarantined: Threshold | None = Field(default=None, description="Rows that break the contract of the table.")

    @model_validator(mode="after")
    def _bounded(self) -> Tolerance:
        if not self.model_dump(exclude_none=True):
            msg = "it needs percent or count, or one of rejected, invalid, quarantined with either of them"
            raise ValueError(msg)
        _check_range(self.percent, self.count)
        return self

    def crossed(self, counts: Mapping[Outcome, int], rows: int) -> list[str]:
        """The bounds that these counts of `rows` rows cross, as they are written, each with what crosses it."""
        return [f"{what} of {rows} rows, more than {bound} allows" for what, bound in self._crossed(counts, rows)]

    def _crossed(self, counts: Mapping[Outcome, int], rows: int) -> Iterator[tuple[str, str]]:
        found = {kind: counts.get(kind, 0) for kind in WRONG}
        together = ", ".join(f"{number} {kind}" for kind, number in found.items() if number)
        for bound in _parts(self.percent, self.count, sum(found.values()), rows):
            yield together, f"{{{bound}}}"
        own = {Outcome.REJECTED: self.rejected, Outcome.INVALID: self.invalid, Outcome.QUARANTINED: self.quarantined}
        for kind, threshold in own.items():
            if threshold is not None:
                for bound in _parts(threshold.percent, threshold.count, found[kind], rows):
                    yield f"{found[kind]} {kind}", f"{{{kind}: {{{bound}}}}}"


def _check_range(percent: float | None, count: int | None) -> None:
    # Not as constraints of the fields: Dagster resolves no nested model whose fields have any.
    if not 0 <= (percent or 0) <= 100 or (count or 0) < 0:
        msg = "percent is from 0 to 100, count is 0 or more"
        raise ValueError(msg)


def _parts(percent: float | None, count: int | None, wrong: int, rows: int) -> Iterator[str]:
    """Those parts of a bound that so many rows exceed, as they are written."""
    if percent is not None and wrong * 100 > percent * rows:
        yield f"percent: {percent:g}"
    if count is not None and wrong > count:
        yield f"count: {count}"
