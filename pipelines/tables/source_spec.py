"""Where a table's rows come from, as it is written in YAML."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Kind = Literal["text", "number", "boolean", "date"]

BOOLEANS = {"true": True, "false": False, "t": True, "f": False, "yes": True, "no": False, "1": True, "0": False}
"""The words for true and false that every source may use."""
DATE_IN_FILES = re.compile(r"\{date(?::([^{}]+))?\}")
"""`{date}` or `{date:%Y%m%d}` in the name of a file: the first day of a partition."""


_CSV = re.compile(r"\.(csv|tsv|txt)(\.gz)?$", re.IGNORECASE)
_PARQUET = re.compile(r"\.(parquet|pq)$", re.IGNORECASE)


class Spec(BaseModel):
    """Base of every part: what is misspelt is an error, and what was checked does not change any more."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceSpec(Spec):
    """Where rows come from: exactly one of `files`, `duckdb` and `database_env`."""

    files: str | None = Field(
        default=None,
        description="Parquet or CSV files, relative to the deployment's folder, or an address such as "
        "s3://bucket/kpi.csv. May hold * and ?. {date} or {date:%Y%m%d} stands for a partition's first day: "
        "then only the wanted partitions' files are read.",
    )
    format: Literal["parquet", "csv"] | None = Field(
        default=None,
        description="Of the files; without it, the name's ending decides (.parquet, .csv, .csv.gz, .tsv, .txt).",
    )
    delimiter: str | None = Field(
        default=None,
        min_length=1,
        max_length=1,
        description="Of CSV files; without it, the header line decides between , ; tab and |.",
    )
    encoding: Literal["utf-8", "utf-16", "latin-1"] = Field(default="utf-8", description="Of CSV files.")
    decimal: Literal[".", ","] = Field(
        default=".", description="Of CSV files: the mark before a number's decimals; ',' for 1234,5."
    )
    thousands: Literal[".", ",", " ", "'"] | None = Field(
        default=None,
        description="Of CSV files: the mark between groups of three digits, as '.' in 1.234,5; without it, a number "
        "with such a mark is none. A space may be one that does not break.",
    )
    true_words: list[str] = Field(
        default_factory=list,
        description="Further words for true in yes/no columns, such as [ja, wahr], beside true, t, yes and 1. "
        "Capitals do not matter.",
    )
    false_words: list[str] = Field(
        default_factory=list,
        description="Further words for false, such as [nein, falsch], beside false, f, no and 0.",
    )
    missing_files: Literal["fail", "empty"] = Field(
        default="fail",
        description="With {date} in `files`: whether a partition without its file fails, or is one without rows.",
    )
    duckdb: str | None = Field(
        default=None,
        description="A DuckDB database file, relative to the deployment's folder; opened for reading only.",
    )
    database_env: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="The environment variable that holds a database's SQLAlchemy URL, "
        "such as postgresql+psycopg://user:password@host/name.",
    )
    table: str | None = Field(
        default=None, description="A table or view of the database, with its schema: mart.kpi_daily."
    )
    query: str | None = Field(
        default=None, description="A SELECT instead of `table`; it is wrapped, so that only the wanted dates are read."
    )

    @model_validator(mode="after")
    def _one_place(self) -> SourceSpec:
        places = [name for name in ("files", "duckdb", "database_env") if getattr(self, name)]
        if len(places) != 1:
            msg = f"give exactly one of files, duckdb and database_env (found: {', '.join(places) or 'none'})"
            raise ValueError(msg)
        inside = [name for name in ("table", "query") if getattr(self, name)]
        if self.files and inside:
            msg = f"{inside[0]} belongs to duckdb or database_env, not to files"
            raise ValueError(msg)
        if not self.files and len(inside) != 1:
            msg = f"give exactly one of table and query beside {places[0]}"
            raise ValueError(msg)
        return self._check_files()

    @model_validator(mode="after")
    def _notation(self) -> SourceSpec:
        for name in ("decimal", "thousands"):
            if getattr(self, name) != type(self).model_fields[name].default and (not self.files or self.is_parquet):
                msg = f"{name} belongs to CSV files: elsewhere numbers have a type of their own"
                raise ValueError(msg)
        if self.thousands == self.decimal:
            msg = f"thousands: {self.thousands!r} is the decimal mark as well; for 1.234,5 say decimal: ',' too"
            raise ValueError(msg)
        meanings: dict[str, bool] = dict(BOOLEANS)
        for word, meaning in self.words_of_booleans:
            if meanings.setdefault(word, meaning) != meaning:
                name = "true_words" if meaning else "false_words"
                msg = f"{name}: {word!r} means {str(not meaning).lower()} already"
                raise ValueError(msg)
        return self

    @property
    def words_of_booleans(self) -> list[tuple[str, bool]]:
        """The source's own words for true and false, in small letters without spaces around them."""
        named = [(word, True) for word in self.true_words] + [(word, False) for word in self.false_words]
        return [(word.strip().lower(), meaning) for word, meaning in named]

    def _check_files(self) -> SourceSpec:
        for name in ("format", "delimiter", "encoding", "missing_files"):
            if not self.files and getattr(self, name) != type(self).model_fields[name].default:
                msg = f"{name} belongs to files"
                raise ValueError(msg)
        if self.files and re.search(r"[{}]", DATE_IN_FILES.sub("", self.files)):
            msg = f"in files, only {{date}} or {{date:%Y%m%d}} may stand in braces, not {self.files!r}"
            raise ValueError(msg)
        if self.files and re.search(r"://[^/]*@", self.files):
            msg = "an address with a user or password has no place in a file: leave credentials to the environment"
            raise ValueError(msg)
        if self.files and not self.format and self._ending is None:
            msg = f"{self.files} ends neither like Parquet nor like CSV: say format: parquet or format: csv"
            raise ValueError(msg)
        if self.missing_files == "empty" and not self.per_partition:
            msg = "missing_files: empty needs {date} in files"
            raise ValueError(msg)
        return self

    @property
    def _ending(self) -> Literal["parquet", "csv"] | None:
        if _PARQUET.search(str(self.files)):
            return "parquet"
        return "csv" if _CSV.search(str(self.files)) else None

    @property
    def is_parquet(self) -> bool:
        """Whether the files are Parquet; else they are CSV."""
        return (self.format or self._ending) == "parquet"

    @property
    def per_partition(self) -> bool:
        """Whether each partition has files of its own."""
        return bool(self.files and DATE_IN_FILES.search(self.files))

    def __str__(self) -> str:
        if self.files:
            return self.files
        return f"{self.table or 'the query'} in {self.duckdb or f'the database of {self.database_env}'}"


class CatalogueSpec(SourceSpec):
    """A table that describes the codes of the readings, joined to them."""

    key: str | None = Field(
        default=None,
        description="The catalogue's column with the code; default: the name of the readings' column in their source.",
    )
    join: str | None = Field(
        default=None, description="The readings' column to join; default: the catalogue's own name."
    )
    valid_from: str | None = Field(
        default=None,
        description="A date column: from when on a line counts. A reading takes the newest line begun by its date. "
        "Default: the column valid_from, if there is one.",
    )
    types: dict[str, Kind] = Field(
        default_factory=dict, description="Types of columns that the source does not type, as in CSV files."
    )

    @model_validator(mode="after")
    def _whole(self) -> CatalogueSpec:
        if self.per_partition:
            msg = "a catalogue is read as a whole: {date} has no place in its files"
            raise ValueError(msg)
        return self
