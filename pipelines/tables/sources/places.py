"""Where files are: the deployment's folder, or any address that fsspec knows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import fsspec
from fsspec import AbstractFileSystem

from pipelines.delivery.errors import ConfigurationError
from pipelines.tables.source_spec import DATE_IN_FILES
from pipelines.tables.sources.engine import connect, short

_PATTERN = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Place:
    """Files on a file system: a pattern of names, in a folder whose own name is no pattern."""

    fs: AbstractFileSystem
    folder: str
    files: str
    local: bool

    @classmethod
    def of(cls, files: str, base: Path) -> Place:
        """The place of `files`, relative to `base` unless it is an address.

        Raises:
            ConfigurationError: the address needs a package that is not installed.
        """
        if "://" not in files:
            folder = "" if Path(files).is_absolute() else f"{base.absolute()}/"
            return cls(fsspec.filesystem("file"), folder, files, local=True)
        protocol = files.split("://", 1)[0]
        try:
            fs, path = fsspec.url_to_fs(files)
        except (ImportError, ValueError) as error:
            raise ConfigurationError(
                f"{files} cannot be opened: {short(error)}",
                do=f"Install the fsspec package for {protocol}:// into this environment.",
            ) from error
        fs.invalidate_cache()  # a long-lived process must see what was exported since
        return cls(fs, "", str(path), local=protocol in {"file", "local"})

    def find(self, day: date | None = None) -> list[str]:
        """The files of the pattern, in order, with `{date}` replaced by a day."""
        if day is None:
            return self._matching(self.files)
        return self._matching(DATE_IN_FILES.sub(lambda found: format(day, found[1] or "%Y-%m-%d"), self.files))

    def any_day(self) -> list[str]:
        """The files of the pattern, in order, with `{date}` standing for anything."""
        return self._matching(DATE_IN_FILES.sub("*", self.files))

    def _matching(self, files: str) -> list[str]:
        if self.fs.isfile(self.folder + files):
            return [self.folder + files]
        if not _PATTERN.search(files):
            return []
        found = self.fs.glob(_literally(self.folder) + files)
        return sorted(str(name) for name in found if self.fs.isfile(name))

    def address(self, name: str) -> str:
        """A file's name as DuckDB reports it."""
        return name if self.local else str(self.fs.unstrip_protocol(name))

    def exact(self, name: str) -> str:
        """A file's address as DuckDB takes it without seeing a pattern in it."""
        return _literally(self.address(name))

    @contextmanager
    def opened(self, name: str, *, unpack: bool = False) -> Iterator[Any]:
        """A file for reading bytes; `unpack` by its ending."""
        with self.fs.open(name, "rb", compression="infer" if unpack else None) as stream:
            yield stream

    def connected(self, timezone: str) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """A DuckDB that sees this place. Its own S3 support would have to be downloaded, so fsspec does it."""
        return connect(timezone, fs=None if self.local else self.fs)


def _literally(name: str) -> str:
    """A pattern that only this name matches."""
    return _PATTERN.sub(r"[\g<0>]", name)
