"""Which keys of a sync the source no longer has. Where that cannot be said for certain, a key counts as still there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.delivery.errors import ConfigurationError, PipelinesError
from pipelines.delivery.ledger import Known
from pipelines.delivery.upsert import Built, Dropped, Outcome
from pipelines.destinations.base import SyncSpec
from pipelines.destinations.columns import unknown
from pipelines.tables import catalogues
from pipelines.tables.grains import SNAPSHOT, Calendar
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
    """The same for keys that a catalogue no longer lists. `built`: what the run delivers, without upserts of such keys,
    since those would bring back what is taken away.
    """

    listing: Listing
    built: Built
    partitions: Sequence[str] | None = None
    notes: Sequence[str] = ()

    def vanished(self, known: Iterable[Known]) -> list[str]:
        """The keys that are no longer listed; a key whose reading is not stored any more is kept."""
        seen = {upsert.key for upsert in self.built.upserts}
        candidates = [one for one in known if one.key not in seen]
        gone = self.listing.gone({one.partition for one in candidates})
        return [one.key for one in candidates if one.key in gone]


@dataclass(frozen=True, slots=True)
class Listing:
    """The codes that a catalogue has; the readings have them in `column`."""

    catalogue: str
    column: str
    codes: Collection[str]
    readings: Readings

    def gone(self, partitions: Collection[str]) -> dict[str, str]:
        """Key -> its code, of these partitions, where that is not listed; not what the newest stored partition has."""
        stored = [partition for partition in self.readings.stored if partition in partitions]
        if self.readings.texts(stored, self.column) <= {"", *self.codes}:
            return {}
        code_of = self.readings.codes(stored, self.column)
        newest = self.readings.codes(self.readings.stored[-1:], self.column)
        return {key: code for key, code in code_of.items() if code not in {"", *self.codes} and key not in newest}

    def leave_out(self, built: Built) -> Built:
        """The same with the rows of keys that are gone as not selected."""
        gone = self.gone({upsert.partition for upsert in built.upserts})
        if not gone:
            return built
        dropped = [
            Dropped(Outcome.NOT_SELECTED, one.partition, one.rows, self._why(gone[one.key]), one.key)
            for one in built.upserts
            if one.key in gone
        ]
        return Built([one for one in built.upserts if one.key not in gone], [*built.dropped, *dropped])

    def _why(self, code: str) -> str:
        return f"keys_from: {code} is no longer in the catalogue {self.catalogue}, nor in the newest partition"


@dataclass(frozen=True, slots=True)
class Readings:
    """The stored readings of a sync's table."""

    sync: SyncSpec
    store: PartitionStore
    stored: Sequence[str]

    def texts(self, partitions: Sequence[str], column: str) -> set[str]:
        """All texts in the column, over these partitions."""
        if not partitions:
            return set()
        frame = self.store.read(valid_of(self.sync.table), partitions, [column])
        return {*frame[column].astype("string").fillna("").unique()}

    def codes(self, partitions: Sequence[str], column: str) -> dict[str, str]:
        """Key -> its row's text in the column, over these partitions."""
        if not partitions:
            return {}
        frame = self.store.read(valid_of(self.sync.table), partitions)
        places = zip(frame["partition"], frame["row"], strict=True)
        text = dict(zip(places, frame[column].astype("string").fillna(""), strict=True))
        built = self.sync.build(frame).upserts
        return {upsert.key: text[upsert.partition, upsert.rows[0]] for upsert in built if upsert.rows}


def check_removal(sync: SyncSpec, table: AnyTable | None) -> None:
    """Whether the sync says which keys have vanished in a way that its table can answer.

    Raises:
        ConfigurationError: names the field.
    """
    known = [*table.catalogues] if isinstance(table, TableSpec) else []
    if sync.keys_from is not None and sync.keys_from not in known:
        raise unknown(f"sync {sync.name}, field keys_from", "catalogue", sync.keys_from, known)
    whole = sync.dated or (table is not None and Calendar.of(table).grain == SNAPSHOT)
    if sync.vanished != "keep" and not whole and sync.keys_from is None:
        raise ConfigurationError(
            f"sync {sync.name}: vanished: {sync.vanished} needs keys_from: a key shows the latest of many partitions, "
            "and none of these says which keys there are",
            do=f"Name one of the catalogues of {sync.table}: {', '.join(known) or 'it has none yet'}.",
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
        ConfigurationError: as `check_removal`.
        TableError: a stored partition cannot be read.
    """
    if sync.vanished == "keep":
        return None
    check_removal(sync, table)
    if sync.keys_from is not None and isinstance(table, TableSpec):
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
        # Without its condition: what could not be converted is empty there, and says nothing.
        parts.append(sync.model_copy(update={"where": None}).build(store.read(suspects_of(sync.table), suspect)))
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
    listing = Listing(name, catalogue.join, codes, readings)
    return NotListed(listing, listing.leave_out(built))
