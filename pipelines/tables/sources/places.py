"""Where files are: the deployment's folder, or any address that fsspec knows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches
from itertools import zip_longest
from pathlib import Path
from typing import Any

import duckdb
import fsspec
from fsspec import AbstractFileSystem

from pipelines.delivery.errors import ConfigurationError
from pipelines.tables.source_spec import DATE_IN_FILES
from pipelines.tables.sources.engine import connect, short

_PATTERN = re.compile(r"[*?\[]")
_DAY = "%Y-%m-%d"
_SHOWN = 5


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
        return self._matching(self.named(day))

    def named(self, day: date) -> str:
        """The name of a day's files, which may hold * and ?."""
        return DATE_IN_FILES.sub(lambda found: format(day, found[1] or _DAY), self.files)

    def any_day(self) -> list[str]:
        """The files of the pattern, in order, with any date for `{date}`, written as it says."""
        return [name for name in self._matching(DATE_IN_FILES.sub("*", self.files)) if self._is_dated(name)]

    def _is_dated(self, name: str) -> bool:
        """Whether dates stand in the file's name where they belong."""
        formats = [found[1] or _DAY for found in DATE_IN_FILES.finditer(self.files)]
        texts = [_as_pattern(part) for part in DATE_IN_FILES.split(self.files)[::2]]
        dates = [f"([^/]+?{'/[^/]+?' * written.count('/')})" for written in formats]
        pattern = "".join(text + written for text, written in zip_longest(texts, dates, fillvalue=""))
        found = re.search(f"(?s)(?:^|/){pattern}$", name)
        # A name that is taken apart in another way than by * and ? is not doubted.
        return "[" in self.files or (found is not None and all(map(_is_date, found.groups(), formats)))

    def there(self, files: str) -> str:
        """What is in the folder in which `files` were looked for, in words; of a folder without end, a part."""
        folder, *further = [part for part in re.split(r"(?<=/)", self.folder + files) if part]
        for part in further[:-1]:
            if _PATTERN.search(part) or not self.fs.isdir(folder + part):
                break
            folder += part
        try:
            names = sorted(str(name).rstrip("/").rsplit("/", 1)[-1] for name in self.fs.ls(folder, detail=False))
        except (OSError, ValueError):
            return ""
        wanted = (self.folder + files).removeprefix(folder).split("/", 1)[0]
        near = [*dict.fromkeys([*get_close_matches(wanted, names, n=_SHOWN, cutoff=0.5), *names])]
        more = f" and {len(near) - _SHOWN} more" if len(near) > _SHOWN else ""
        return f"{folder.rstrip('/') or '/'} holds {', '.join(near[:_SHOWN]) or 'nothing'}{more}"

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


def _is_date(text: str, written: str) -> bool:
    """Whether the text is a date in this form; what Python can write and not read passes."""
    try:
        datetime.strptime(text, written)  # noqa: DTZ007 - only whether it can be read
    except ValueError as error:
        return "directive" in str(error)
    return True


def _as_pattern(part: str) -> str:
    """A part of a pattern of files as a regular expression."""
    return re.escape(part).replace(r"\*\*", ".*").replace(r"\*", "[^/]*").replace(r"\?", "[^/]")


def _literally(name: str) -> str:
    """A pattern that only this name matches."""
    return _PATTERN.sub(r"[\g<0>]", name)
