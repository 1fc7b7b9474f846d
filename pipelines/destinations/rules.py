"""First-matching-step rules: what a value means, such as a colour or a state.

    color:
      column: actual
      steps:
        - {for: {kpi: on_time_pct}, below: 80, color: 1}
        - {above: 95, color: 7}
      otherwise: 5

`for` limits a step to the rows with that text in those columns. A step has one bound, or none: then it always matches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipelines.destinations.columns import Cells, Columns, Problem, derive_by
from pipelines.destinations.formats import label
from pipelines.destinations.texts import shown

T = TypeVar("T")
Condition = Callable[[float | Decimal], bool]
Text = str | bool | int | float
"""A column's content as it is written in YAML; compared as text, so that 1 and 1.0 are the same."""


class Bounds(BaseModel):
    """The condition of a step; an API's step adds its result, such as `color`."""

    model_config = ConfigDict(extra="forbid")

    rows: dict[str, Text | list[Text]] | None = Field(
        default=None, alias="for", description="Only rows with this text in this column, such as {kpi: on_time_pct}."
    )
    below: float | None = Field(default=None, description="The value is less than this.")
    above: float | None = Field(default=None, description="The value is greater than this.")
    at_least: float | None = Field(default=None, description="The value is this or greater.")
    at_most: float | None = Field(default=None, description="The value is this or less.")

    @model_validator(mode="after")
    def _one_bound(self) -> Bounds:
        given = [name for name in ("below", "above", "at_least", "at_most") if getattr(self, name) is not None]
        if len(given) > 1:
            msg = f"a step has one bound at most, this one has {' and '.join(given)}"
            raise ValueError(msg)
        return self

    def condition(self) -> Condition | None:
        """The bound as a function of the value; None where every value matches."""
        below, above, at_least, at_most = self.below, self.above, self.at_least, self.at_most
        if below is not None:
            return lambda value: value < below
        if above is not None:
            return lambda value: value > above
        if at_least is not None:
            return lambda value: value >= at_least
        if at_most is not None:
            return lambda value: value <= at_most
        return None


# Dagster's reader of YAML positions looks each key up as an attribute, which no class statement can call `for`.
setattr(Bounds, "for", property(lambda self: self.rows))


def used_columns(column: str, steps: Sequence[Bounds]) -> tuple[str, ...]:
    """The columns that a rule reads."""
    return tuple(dict.fromkeys([column, *(name for step in steps for name in step.rows or ())]))


def decide(columns: Columns, column: str, steps: Sequence[tuple[Bounds, T]], otherwise: T) -> Cells[T]:
    """The result of the first matching step for each row; a null or a value that is no number is the row's problem."""
    names = used_columns(column, [bounds for bounds, _ in steps])[1:]
    tests = [(_texts(bounds), bounds.condition(), result) for bounds, result in steps]

    def result_of(case: tuple[Any, ...], value: Any) -> T | Problem:
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            return Problem(f"{column}: {shown(value)} is no number")
        row = {name: None if one is None else label(one) for name, one in zip(names, case, strict=True)}
        row[column] = label(value)
        for wanted, holds, result in tests:
            if (holds is None or holds(value)) and all(row[name] in texts for name, texts in wanted.items()):
                return result
        return otherwise

    cases = list(zip(*(columns.values(name) for name in names), strict=True)) if names else [()] * len(columns)
    return derive_by(cases, columns.values(column), result_of, otherwise, columns.nulls(column))


def _texts(bounds: Bounds) -> dict[str, set[str]]:
    """The texts that `for` allows, by column."""
    return {
        name: {label(text) for text in (wanted if isinstance(wanted, list) else [wanted])}
        for name, wanted in (bounds.rows or {}).items()
    }
