"""The partition store: one Parquet file per asset and partition, in a folder or at any fsspec address."""

from __future__ import annotations

import errno
import re
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem
from upath import UPath

from pipelines.delivery.errors import ConfigurationError, TableError
from pipelines.delivery.redact import redact, url_secrets
from pipelines.home import standing
from pipelines.tables.frames import concat, frame_of, table_of

_ENDING = ".parquet"
_READERS = 8
"""Files read at a time: enough to hide the latency of an object store."""


class PartitionStore:
    """Writes and reads partitions. A reader sees a partition's former content or the new one, never half of it.

    Frames are pandas frames with Arrow-backed columns, so that integers, booleans, dates and texts keep their
    type beside empty values.

    Raises:
        ConfigurationError: `root` is an address that no installed package understands.
    """

    def __init__(self, root: str | Path | UPath) -> None:
        try:
            self.root = UPath(root)
            self._fs: AbstractFileSystem = self.root.fs
        except (ImportError, ValueError, OSError) as error:
            shown, said = (redact(str(text), url_secrets(str(root))) for text in (root, error))
            raise ConfigurationError(
                f"the partition store at {shown} cannot be opened: {said}",
                do="Check PIPELINES_STORE_URL, and that its host can be reached."
                if isinstance(error, OSError)
                else f"Install the fsspec package for {shown.split(':', 1)[0]}:// into this environment.",
            ) from None  # the library's own error may show the address
        self._local = isinstance(self._fs, LocalFileSystem)
        self._fs.invalidate_cache()  # other processes write here too

    def write(self, asset: str, partition: str, frame: pd.DataFrame | pa.Table) -> int:
        """Store a partition, replacing what stood there. Returns its number of rows.

        Raises:
            TableError: it cannot be written, for instance since the disk is full; what stood there is untouched.
        """
        table = frame if isinstance(frame, pa.Table) else table_of(frame)
        buffer = BytesIO()
        # Numbers rarely repeat: to try a dictionary on them takes half of the time.
        texts: Any = [field.name for field in table.schema if pa.types.is_string(field.type)]
        pq.write_table(table, buffer, use_dictionary=texts)
        path = self._path(asset, partition)
        try:
            if self._local:
                _write_local(Path(path.path), buffer.getbuffer())
            else:  # an object store shows an object only when it is complete
                self._fs.pipe_file(path.path, buffer.getvalue())
        except OSError as error:
            raise _unwritten(error, asset, partition, path) from error
        return table.num_rows

    def write_all(self, asset: str, frames: Mapping[str, pd.DataFrame | pa.Table]) -> None:
        """Store several partitions of an asset, side by side."""
        with ThreadPoolExecutor(_READERS) as pool:
            list(pool.map(lambda item: self.write(asset, *item), frames.items()))

    def trial(self) -> str:
        """Write something into the store, or where it would be made, and delete it again; returns its address.

        Raises:
            ConfigurationError: it cannot be written.
        """
        shown = redact(str(self.root), url_secrets(str(self.root)))
        try:
            if self._local:
                folder = standing(Path(self.root.path).absolute())
                with tempfile.TemporaryFile(prefix=".pipelines-check-", dir=folder) as file:
                    file.write(b"?")
            else:
                path = (self.root / f".pipelines-check-{uuid.uuid4().hex}").path
                self._fs.pipe_file(path, b"?")
                self._fs.rm_file(path)
        except (OSError, ValueError) as error:  # fsspec's own errors are these
            said = redact(str(error), url_secrets(str(self.root)))
            raise ConfigurationError(
                f"the partition store at {shown} cannot be written: {said}",
                do="Check PIPELINES_HOME and PIPELINES_STORE_URL, and the rights there.",
            ) from None  # the library's own error may show the address
        return shown

    def address(self, asset: str, partition: str) -> str:
        """Where the partition is stored: a path, or an address without secrets."""
        text = str(self._path(asset, partition))
        return redact(text, url_secrets(text))

    def exists(self, asset: str, partition: str) -> bool:
        """Whether the partition was ever stored."""
        path = self._path(asset, partition)
        return bool(self._fs.exists(path.path))

    def partitions(self, asset: str) -> list[str]:
        """The stored partitions of an asset, in order."""
        folder = self.root / _safe(asset)
        try:
            names = [entry["name"].rsplit("/", 1)[-1] for entry in self._fs.ls(folder.path, detail=True, refresh=True)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(
            unquote(name.removesuffix(_ENDING)) for name in names if name.endswith(_ENDING) and not name.startswith(".")
        )

    def rows(self, asset: str, partition: str) -> int:
        """The number of rows of a stored partition, from the file's footer. Raises as `read`."""
        try:
            with self._opened(asset, partition) as file:
                return file.metadata.num_rows
        except FileNotFoundError:
            raise _missing(asset, [partition]) from None

    def read(self, asset: str, partitions: Sequence[str], columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The rows of the partitions, one after another in the order asked for.

        A wanted column that no partition has is left out; one that only some have is empty in the others.

        Raises:
            TableError: a partition is not stored or its file is unreadable; the message names them all.
        """
        return frame_of(self.read_table(asset, partitions, columns))

    def read_table(self, asset: str, partitions: Sequence[str], columns: Sequence[str] | None = None) -> pa.Table:
        """As `read`, as an Arrow table."""
        with ThreadPoolExecutor(_READERS) as pool:
            found = list(pool.map(lambda partition: self._load(asset, partition, columns), partitions))
        missing = [partition for partition, table in zip(partitions, found, strict=True) if table is None]
        if missing:
            raise _missing(asset, missing)
        return concat([table for table in found if table is not None])

    def newest(self, asset: str, after: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """The rows of all stored partitions later than `after`, only the wanted columns; no row if there is none."""
        return self.read(asset, [partition for partition in self.partitions(asset) if partition > after], columns)

    def _load(self, asset: str, partition: str, columns: Sequence[str] | None) -> pa.Table | None:
        try:
            with self._opened(asset, partition) as file:
                return file.read([name for name in file.schema_arrow.names if columns is None or name in columns])
        except FileNotFoundError:
            return None

    @contextmanager
    def _opened(self, asset: str, partition: str) -> Iterator[pq.ParquetFile]:
        path = self._path(asset, partition)
        try:
            with self._fs.open(path.path, "rb") as stream, pq.ParquetFile(stream) as file:
                yield file
        except pa.ArrowInvalid as error:
            raise TableError(
                f"the stored partition {partition} of {asset} is no readable Parquet file ({error})",
                do=f"Materialize {asset} for this partition again.",
                table=asset,
                partitions=[partition],
                file=redact(str(path), url_secrets(str(path))),
            ) from error

    def _path(self, asset: str, partition: str) -> UPath:
        return self.root / _safe(asset) / f"{_safe(partition)}{_ENDING}"


def _safe(name: str) -> str:
    """A name as a single component of a path; names that differ stay different."""
    if not name:
        msg = "an asset or partition needs a name"
        raise ValueError(msg)
    return re.sub(r"^\.", "%2E", quote(name, safe=""))


def _write_local(path: Path, content: memoryview) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        with draft.open("wb") as file:
            file.write(content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _unwritten(error: OSError, asset: str, partition: str, path: UPath) -> TableError:
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    return TableError(
        f"the partition {partition} of {asset} cannot be stored at {path}: "
        f"{'the disk is full' if full else error.strerror or error}",
        do=("Make room there, " if full else "Check PIPELINES_STORE_URL and the rights there, ")
        + "then run the partition again; what was stored before is untouched.",
        table=asset,
        partitions=[partition],
        file=str(path),
    )


def _missing(asset: str, partitions: list[str]) -> TableError:
    return TableError(
        f"the store holds no {asset} for {_some(partitions)}",
        do=f"Materialize {asset} for {'this partition' if len(partitions) == 1 else 'these partitions'} first.",
        table=asset,
        partitions=partitions,
    )


def _some(names: Iterable[str], most: int = 5) -> str:
    names = list(names)
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
