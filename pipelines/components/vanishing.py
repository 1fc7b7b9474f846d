"""Which keys of a sync the source no longer has. Where that cannot be said for certain, a key counts as still there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.delivery.errors import ConfigurationError, PipelinesError
from pipelines.delivery.ledger import Known
from pipelines.delivery.upsert import Built, Outcome
from pipelines.destinations.base import SyncSpec
from pipelines.destinations.columns import unknown
from pipelines.tables import catalogues
from pipelines.tables.grains import SNAPSHOT
from pipelines.tables.names import quarantine_of, suspects_of, valid_of
from pipelines.tables.spec import AnyTable, TableSpec
from pipelines.tables.store import PartitionStore


@dataclass(frozen=True, slots=True)
class NotSeen:
    """Implements `delivery.removal.Vanishing`: known keys of these partitions that no row has."""

    partitions: Sequence[str] | None
    seen: Collection[str]
    notes: Sequence[str] = ()

    def vanished(self, known: Iterable[Known]) -> list[str]:
        """The keys of which nothing is left in the source."""
        return [one.key for one in known if one.key not in self.seen]


@dataclass(frozen=True, slots=True)
class NotListed:
    """The same for keys whose code a catalogue no longer has, and that the newest stored partition does not have."""

    readings: Readings
    column: str
    codes: Collection[str]
    seen: Collection[str]
    partitions: Sequence[str] | None = None
    notes: Sequence[str] = ()

    def vanished(self, known: Iterable[Known]) -> list[str]:
        """The keys whose code is known and no longer listed; a key whose reading is not stored any more is kept."""
        candidates = [one for one in known if one.key not in self.seen]
        wanted = sorted({one.partition for one in candidates} & {*self.readings.stored})
        code_of = self.readings.codes(wanted, self.column)
        gone = [one.key for one in candidates if code_of.get(one.key, "") not in {"", *self.codes}]
        newest = self.readings.codes(self.readings.stored[-1:], self.column) if gone else {}
        return [key for key in gone if key not in newest]


@dataclass(frozen=True, slots=True)
class Readings:
    """The stored readings of a sync's table."""

    sync: SyncSpec
    store: PartitionStore
    stored: Sequence[str]

    def codes(self, partitions: Sequence[str], column: str) -> dict[str, str]:
        """Key -> its row's text in the column, over these partitions."""
        if not partitions:
            return {}
        frame = self.store.read(valid_of(self.sync.table), partitions)
        places = zip(frame["partition"], frame["row"], strict=True)
        text = dict(zip(places, frame[column].astype("string").fillna(""), strict=True))
        built = self.sync.build(frame).upserts
        return {upsert.key: text[upsert.partition, upsert.rows[0]] for upsert in built if upsert.rows}


def check_removal(sync: SyncSpec, table: AnyTable) -> None:
    """Whether the sync says which keys have vanished in a way that its table can answer.

    Raises:
        ConfigurationError: names the field.
    """
    known = [*table.catalogues] if isinstance(table, TableSpec) else []
    if sync.keys_from is not None and sync.keys_from not in known:
        raise unknown(f"sync {sync.name}, field keys_from", "catalogue", sync.keys_from, known)
    whole = sync.dated or not isinstance(table, TableSpec) or table.grain == SNAPSHOT
    if sync.vanished != "keep" and not whole and sync.keys_from is None:
        raise ConfigurationError(
            f"sync {sync.name}: vanished: {sync.vanished} needs keys_from: a key shows the latest of many partitions, "
            "and none of these says which keys there are",
            do=f"Name one of the catalogues of {table.name}: {', '.join(known) or 'it has none yet'}.",
            field="keys_from",
        )


def vanishing_of(
    sync: SyncSpec,
    table: AnyTable | None,
    built: Built,
    present: Sequence[str],
    *,
    store: PartitionStore,
    folder: Path,
    environ: Mapping[str, str],
) -> NotSeen | NotListed | None:
    """What a run over these partitions may conclude; None: the sync takes nothing away.

    Raises:
        ConfigurationError: `keys_from` without a table that has catalogues.
        TableError: a stored partition cannot be read.
    """
    if sync.vanished == "keep":
        return None
    if sync.keys_from is not None:
        if not isinstance(table, TableSpec):
            raise ConfigurationError(f"sync {sync.name}: keys_from needs the table that has this catalogue")
        readings = Readings(sync, store, store.partitions(valid_of(sync.table)))
        return _by_catalogue(table, sync.keys_from, built, readings, folder=folder, environ=environ)
    seen, unclear = _seen(sync, built, present, store)
    notes = [
        f"{partition}: vanished keys were kept, since one may be that of a row that cannot be read: {why}"
        for partition, why in sorted(unclear.items())
    ]
    clear = [partition for partition in present if partition not in unclear]
    # A snapshot is the whole: where it is unclear, nothing can be said of any key.
    return NotSeen(clear if sync.dated or unclear else None, seen, notes)


def _seen(
    sync: SyncSpec, built: Built, present: Sequence[str], store: PartitionStore
) -> tuple[set[str], dict[str, str]]:
    """The keys of these partitions' rows, valid or not; and partitions with rows whose key nobody knows, and why."""
    bad = [partition for partition in present if store.rows(quarantine_of(sync.table), partition)]
    stored = set(store.partitions(suspects_of(sync.table))) if bad else set()
    unclear = {partition: "it is in quarantine" for partition in bad if partition not in stored}
    parts = [built]
    if suspect := [partition for partition in bad if partition in stored]:
        parts.append(sync.build(store.read(suspects_of(sync.table), suspect)))
    seen: set[str] = set()
    for part in parts:
        seen.update(upsert.key for upsert in part.upserts)
        for dropped in part.dropped:
            if dropped.key:
                seen.add(dropped.key)
            elif dropped.outcome is Outcome.INVALID:
                unclear[dropped.partition] = dropped.reason
    return seen, unclear


def _by_catalogue(
    table: TableSpec, name: str, built: Built, readings: Readings, *, folder: Path, environ: Mapping[str, str]
) -> NotSeen | NotListed:
    try:
        catalogue = catalogues.load(table, name, base=folder, environ=environ)
    except PipelinesError as error:
        return NotSeen([], (), [f"vanished keys were kept, since the catalogue cannot be read: {error}"])
    if catalogue.quarantine.num_rows:
        count = catalogue.quarantine.num_rows
        return NotSeen([], (), [f"vanished keys were kept, since {count} rows of the catalogue {name} are invalid"])
    codes = {str(code) for code in catalogue.rows[catalogue.key].to_pylist()}
    return NotListed(readings, catalogue.join, codes, {upsert.key for upsert in built.upserts})
