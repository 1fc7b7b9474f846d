"""The fingerprint: values that are one value to an API have one hash."""

from __future__ import annotations

import math
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.delivery.fingerprint import canonical, fingerprint

numbers = st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
json = st.recursive(
    st.none() | st.booleans() | numbers | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("abc"), inner),
)


@given(json)
@example(-0.0)
@example(1e15)
@example(2.0**53)
@example("1.0, null")
def test_whole_floats_are_integers_wherever_they_stand(value: Any) -> None:
    """No float below 2**53 that is whole is left in the canonical form, whatever else stands beside it."""
    text = canonical({"b": value, "a": value})
    read = orjson.loads(text)
    assert read == {"a": value, "b": value}
    assert list(read) == ["a", "b"]
    assert not any(isinstance(one, float) and one.is_integer() and abs(one) < 2**53 for one in _leaves(read))


def test_one_value_has_one_fingerprint() -> None:
    """The order of keys, and whether a number is written with .0, play no part; a text is no number."""
    assert fingerprint({"a": 1.0, "b": [2]}) == fingerprint({"b": [2.0], "a": 1})
    assert fingerprint({"a": "1.0"}) != fingerprint({"a": 1.0})


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused(number: float) -> None:
    """A number that JSON does not have is an error, never null."""
    with pytest.raises(ValueError, match="no place in JSON"):
        canonical({"values": [{"value": number, "other": None}]})


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for one in value.values() for leaf in _leaves(one)]
    return [leaf for one in value for leaf in _leaves(one)] if isinstance(value, list) else [value]
