"""Single rules as pandera checks: vectorised over Arrow values, each with its short name and its words."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import pandera.pandas as pda
import pyarrow as pa

from pipelines.tables.compute import pc
from pipelines.tables.convert import TYPES, AnyKind
from pipelines.tables.frames import arrow_of
from pipelines.tables.sources.wanted import stored_name
from pipelines.tables.spec import RuleSpec

MAX_TEXT = 255
"""Characters of a code or name at most. No API documents more, and what is longer is a mistake in the source."""
_CONTROL = r"[\x00-\x1f\x7f]"
_NOT_BLANK = r"\S"
_SEPARATOR = ": "


@dataclass(frozen=True, slots=True)
class Conditional:
    """A schema that only some rows must meet: those with one of the texts in each of the columns.

    A column of `where` is one of ours if `typed` says so, else one of the raw extract.
    """

    where: Mapping[str, Sequence[str]]
    typed: frozenset[str]
    schema: pda.DataFrameSchema


def passing(test: Callable[[pa.Array], pa.Array], rule: str, words: str) -> pda.Check:
    """A check of a column. An empty value passes: whether it may be empty is the column's own affair."""

    def passes(series: pd.Series) -> pd.Series:
        values = arrow_of(series)
        if pa.types.is_string(values.type):  # codes repeat: look at each text once
            encoded = values.dictionary_encode()
            passed = test(encoded.dictionary).take(encoded.indices)
        else:
            passed = test(values)
        return pd.Series(pc.fill_null(passed, fill_value=True).to_numpy(zero_copy_only=False), index=series.index)

    return pda.Check(passes, name=rule, error=f"{rule}{_SEPARATOR}{words}", ignore_na=False)


def rule_and_words(check: str) -> tuple[str, str]:
    """The short name of a failed check and its words, from how pandera reports it."""
    if check == "not_nullable":
        return "null", "is missing"
    rule, _, words = check.partition(_SEPARATOR)
    return rule, words


def schema_column(
    kind: AnyKind, description: str, *, required: bool = False, checks: Sequence[pda.Check] = ()
) -> pda.Column:
    """A column of a contract: what every value of its kind must be, and the given checks."""
    own = [passing(pc.is_finite, "number:finite", "is not finite")] if kind == "number" else []
    return pda.Column(pd.ArrowDtype(TYPES[kind]), [*own, *checks], nullable=not required, description=description)


def code_checks() -> list[pda.Check]:
    """What every code and name must be."""
    long = f"is longer than {MAX_TEXT} characters"
    return [
        passing(lambda texts: pc.match_substring_regex(texts, _NOT_BLANK), "text:empty", "is an empty text"),
        passing(
            lambda texts: pc.invert(pc.match_substring_regex(texts, _CONTROL)),
            "text:control",
            "holds a control character",
        ),
        passing(lambda texts: pc.less_equal(pc.utf8_length(texts), MAX_TEXT), "text:length", long),
    ]


def conditional(rule: RuleSpec, name: str, kind: AnyKind, ours: Collection[str]) -> Conditional:
    """A user's rule about the column `name`; `ours` are the columns that `where` may mean by our names."""
    where = {
        column if column in ours else stored_name(column): [texts] if isinstance(texts, str) else texts
        for column, texts in rule.where.items()
    }
    column = pda.Column(pd.ArrowDtype(TYPES[kind]), _rule_checks(rule), nullable=not rule.required)
    return Conditional(where, frozenset(ours), pda.DataFrameSchema({name: column}))


def _rule_checks(rule: RuleSpec) -> list[pda.Check]:
    checks = []
    if rule.min is not None:
        least = rule.min
        checks.append(passing(lambda values: pc.greater_equal(values, least), "rule:min", f"is below {least:g}"))
    if rule.max is not None:
        most = rule.max
        checks.append(passing(lambda values: pc.less_equal(values, most), "rule:max", f"is above {most:g}"))
    if rule.one_of is not None:
        allowed = pa.array(rule.one_of, pa.string())
        words = f"is none of {', '.join(rule.one_of)}"
        checks.append(passing(lambda values: pc.is_in(values, allowed), "rule:one_of", words))
    if rule.matches is not None:
        pattern = f"^(?:{rule.matches})$"
        words = f"does not match {rule.matches}"
        checks.append(passing(lambda values: pc.match_substring_regex(values, pattern), "rule:matches", words))
    return checks
