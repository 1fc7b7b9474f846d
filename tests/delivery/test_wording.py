"""What is wrong with written fields, in words that name the field and what would be right."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pipelines.delivery.wording import faults


class Part(BaseModel):
    """A part with a validator of its own, after which pydantic gives it another name."""

    model_config = ConfigDict(extra="forbid")

    column: str
    kind: Literal["text", "number"] = "text"

    @model_validator(mode="after")
    def _fits(self) -> Part:
        if self.column == "bad":
            msg = "column: bad is no column"
            raise ValueError(msg)
        return self


class Whole(BaseModel):
    """A bit of everything."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(default="a", pattern="^[a-z]+$", description="Small letters.")
    few: list[str] = Field(default=["a"], min_length=1)
    count: Annotated[int | None, Field(ge=1)] = None
    share: float = Field(default=1, gt=0, le=1)
    on: bool = True
    part: Part | None = None
    parts: dict[str, str | Part] = Field(default_factory=dict)
    colour: Part | int = 1
    mark: str = Field(default=";", max_length=1)

    @field_validator("name")
    @classmethod
    def _not_this(cls, name: str) -> str:
        if name == "this":
            msg = "this is taken"
            raise ValueError(msg)
        return name


CASES: dict[str, tuple[Any, str, str]] = {
    "misspelt": ({"nam": "x"}, "nam", "there is no such field; did you mean name?"),
    "within a part": (
        {"part": {"column": "a", "kid": "text"}},
        "part.kid",
        "there is no such field; did you mean kind?",
    ),
    "nothing near": (
        {"part": {"column": "a", "zzz": 1}},
        "part.zzz",
        "there is no such field; there are: column, kind",
    ),
    "missing": ({"part": {}}, "part.column", "must be given"),
    "a word": (
        {"part": {"column": "a", "kind": "numbr"}},
        "part.kind",
        "must be 'text' or 'number'; did you mean number?",
    ),
    "a form": ({"name": "A-1"}, "name", "has not the form that is needed: Small letters"),
    "its own words": ({"name": "this"}, "name", "this is taken"),
    "the part's own words": ({"part": {"column": "bad"}}, "part", "column: bad is no column"),
    "a yes as a text": (
        {"name": True},
        "name",
        "must be a text: put it in quotation marks, since YAML takes yes, no, on and off for true and false",
    ),
    "a date as a text": ({"name": date(2026, 1, 1)}, "name", "must be a text: put it in quotation marks"),
    "a whole number": ({"count": "many"}, "count", "must be a whole number"),
    "a bound": ({"count": 0}, "count", "must be at least 1"),
    "an open bound": ({"share": 0}, "share", "must be above 0"),
    "yes or no": ({"on": "perhaps"}, "on", "must be true or false"),
    "a list": ({"few": "a"}, "few", "must be a list: [..., ...]"),
    "too few": ({"few": []}, "few", "must have at least 1 entry"),
    "too long": ({"mark": ";;"}, "mark", "must have at most 1 character"),
    "fields": ({"part": 5}, "part", "must be a group of fields (column, kind)"),
    "names with values": ({"parts": 5}, "parts", "must be names with values: {name: value}"),
    "one of two kinds": ({"colour": "red"}, "colour", "must be a group of fields (column, kind) or a whole number"),
    "the kind that was meant": (
        {"colour": {"column": "a", "kin": "text"}},
        "colour.kin",
        "there is no such field; did you mean kind?",
    ),
    "the kind that was meant, in a mapping": (
        {"parts": {"x": {"column": "a", "kind": "txt"}}},
        "parts.x.kind",
        "must be 'text' or 'number'; did you mean text?",
    ),
    "the meant one's own words": ({"parts": {"x": {"column": "bad"}}}, "parts.x", "column: bad is no column"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_field_is_told_once_without_the_librarys_words(case: str) -> None:
    """Each mistake is one fault: its path as it is written, and what would be right there."""
    written, path, why = CASES[case]
    with pytest.raises(ValidationError) as caught:
        Whole.model_validate(written)
    (fault,) = faults(caught.value, Whole)
    assert (".".join(map(str, fault.path)), fault.why) == (path, why)


def test_every_wrong_field_is_told() -> None:
    """Several mistakes at once are several faults, in the order of the fields."""
    with pytest.raises(ValidationError) as caught:
        Whole.model_validate({"nam": 1, "count": 0, "parts": {"a": 5}})
    assert [fault.path for fault in faults(caught.value, Whole)] == [("count",), ("parts", "a"), ("nam",)]
