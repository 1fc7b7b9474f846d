"""What is wrong with written fields, in words for whoever wrote them: pydantic's errors without pydantic's language."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

NAME = r"^[A-Za-z][A-Za-z0-9_]*$"
"""The form of the names that people give to syncs, accounts and quotas."""
_FORMS = {NAME: "letters, digits and underscores, a letter first"}
_LISTED = 12
_QUOTES = "put it in quotation marks"
_KINDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", list: "a list"}
_TYPES: Mapping[str, type] = {"string": str, "int": int, "float": float, "bool": bool, "list": list}
_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("above", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("below", "lt"),
}
_SIZES = {
    "string_too_short": ("at least", "min_length", ("character", "characters")),
    "string_too_long": ("at most", "max_length", ("character", "characters")),
    "too_short": ("at least", "min_length", ("entry", "entries")),
    "too_long": ("at most", "max_length", ("entry", "entries")),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """A field that cannot be used: where it is in the whole, and why; what it holds is not repeated."""

    path: tuple[str | int, ...]
    why: str


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an error is: its path, without pydantic's names for alternatives; the type there and the model around it.

    `choice` is the path of the nearest field with alternatives, `alternative` which of them the error is about, and
    `whole` whether it is about the alternative as such.
    """

    path: tuple[str | int, ...]
    type: Any
    model: type[BaseModel] | None
    choice: tuple[str | int, ...] | None = None
    alternative: Any = None
    whole: bool = False


def faults(error: ValidationError, spec: type[Any]) -> list[Fault]:
    """Every wrong field of a model, once, each with what would be right or the closest name."""
    found = [(_place(one["loc"], spec), one) for one in error.errors(include_url=False)]
    meant = {place.choice: place.alternative for place, one in found if place.choice and not _misses(place, one)}
    said: dict[tuple[str | int, ...], list[str]] = {}
    for place, one in found:
        if place.choice not in meant or place.alternative is meant[place.choice]:
            said.setdefault(place.path, []).append(_why(place, one))
    return [Fault(path, _either(whys)) for path, whys in said.items()]


def did_you_mean(name: str, known: Iterable[str], *, most: int = 3) -> str:
    """A question that names the closest of the known names, or nothing."""
    close = get_close_matches(name, list(known), n=most, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else ""


def _misses(place: _Place, error: ErrorDetails) -> bool:
    """Whether the value is not of the kind of this alternative at all."""
    return place.whole and bool(re.fullmatch(r"(model|dict|mapping)_.*|.*_(type|parsing|from_float)", error["type"]))


def _either(whys: Sequence[str]) -> str:
    """What several alternatives ask of one field."""
    unique = list(dict.fromkeys(whys))
    if len(unique) > 1 and all(why.startswith("must be ") for why in unique):
        brief = sorted(unique, key=lambda why: ":" in why)  # what goes on after a colon comes last
        return "must be " + " or ".join(why.removeprefix("must be ") for why in brief)
    return "; or ".join(unique)


def _place(loc: Sequence[str | int], spec: type[Any]) -> _Place:
    place = _Place((), spec, None)
    for part in loc:
        members = _alternatives(place.type)
        if len(members) > 1:
            chosen = next((one for one in members if _tagged(one, str(part))), None)
            place = _Place(place.path, chosen, place.model, place.path, chosen, whole=True)
            continue
        here = members[0] if members else None
        model = here if isinstance(here, type) and issubclass(here, BaseModel) else None
        inner = model.model_fields[str(part)].annotation if model and part in model.model_fields else _inner(here)
        place = _Place((*place.path, part), inner, model, place.choice, place.alternative)
    return place


def _alternatives(kind: Any) -> list[Any]:
    """The types of which a value may be one; None apart."""
    if get_origin(kind) is Annotated:
        return _alternatives(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return [one for member in get_args(kind) for one in _alternatives(member) if one is not type(None)]
    return [kind]


def _tagged(kind: Any, tag: str) -> bool:
    """Whether pydantic calls the type so in the place of an error: by its name, also within a validator's."""
    name = getattr(get_origin(kind) or kind, "__name__", str(kind))
    return re.search(rf"\b{re.escape(name)}\b", tag, re.IGNORECASE) is not None


def _inner(kind: Any) -> Any:
    """What a list or a mapping holds."""
    arguments = get_args(kind)
    return arguments[-1] if arguments and get_origin(kind) is not Literal else None


def _why(place: _Place, error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        return f"must be {words} {context[bound]:g}"
    if kind in _SIZES:
        words, bound, (one, many) = _SIZES[kind]
        return f"must have {words} {context[bound]} {one if context[bound] == 1 else many}"
    return _WHYS.get(kind, _other_kind)(place, error)


def _name(place: _Place) -> str:
    return str(place.path[-1]) if place.path else ""


def _no_such_field(place: _Place, _: ErrorDetails) -> str:
    known = list(place.model.model_fields) if place.model else []
    hint = did_you_mean(_name(place), known)
    if not hint and 0 < len(known) <= _LISTED:
        hint = f"there are: {', '.join(known)}"
    return "there is no such field" + (f"; {hint}" if hint else "")


def _own_words(place: _Place, error: ErrorDetails) -> str:
    return error["msg"].removeprefix("Value error, ").removeprefix(f"{_name(place)}: ")


def _no_such_word(_: _Place, error: ErrorDetails) -> str:
    expected = error.get("ctx", {})["expected"]
    hint = did_you_mean(str(error["input"]), re.findall(r"'([^']*)'", expected))
    return f"must be {expected}" + (f"; {hint}" if hint else "")


def _form(place: _Place, error: ErrorDetails) -> str:
    fields, pattern = place.model.model_fields if place.model else {}, error.get("ctx", {})["pattern"]
    described = fields[_name(place)].description if _name(place) in fields else None
    form = _FORMS.get(pattern) or (described or pattern).removesuffix(".")
    return f"has not the form that is needed: {form}"


def _other_kind(place: _Place, error: ErrorDetails) -> str:
    """Why a value of another type than is needed cannot be used."""
    kind, value = error["type"], error["input"]
    if kind.startswith("string") and isinstance(value, bool):
        return f"must be a text: {_QUOTES}, since YAML takes yes, no, on and off for true and false"
    if kind.startswith("string") and isinstance(value, int | float | date):
        return f"must be a text: {_QUOTES}"
    if kind.startswith(("model", "dict", "mapping")):
        members = [one for one in _alternatives(place.type) if isinstance(one, type) and issubclass(one, BaseModel)]
        fields = list(members[0].model_fields) if members else []
        return f"must be a group of fields ({_some(fields)})" if fields else "must be names with values: {name: value}"
    wanted = _TYPES.get(kind.split("_")[0])
    if wanted is not None:
        return f"must be {_KINDS[wanted]}" + (": [..., ...]" if wanted is list else "")
    return re.sub(r"^(Input|Value|String) should( be)?( a valid)?", "must be", error["msg"])


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")


_WHYS: Mapping[str, Callable[[_Place, ErrorDetails], str]] = {
    "extra_forbidden": _no_such_field,
    "missing": lambda _, __: "must be given",
    "value_error": _own_words,
    "literal_error": _no_such_word,
    "string_pattern_mismatch": _form,
}
