"""A table as Dagster assets: one op yields its raw, valid and quarantined rows, and the contract check."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from pipelines.components.events import CheckOutcome, Event, Story, tell, tell_stop
from pipelines.components.partition_checks import CONTRACT, partitioned_check
from pipelines.components.partitions import partitions_in, partitions_of
from pipelines.components.policy import owners_of
from pipelines.components.reasons import rules_table, sample_table
from pipelines.components.stops import note_stop
from pipelines.components.table_columns import TableColumns, source_of
from pipelines.delivery.errors import PipelinesError, SourceUnavailable
from pipelines.home import Home
from pipelines.tables.extract import Extracted, PartitionFacts, extract
from pipelines.tables.names import quarantine_of, valid_of
from pipelines.tables.sources.wanted import Undated
from pipelines.tables.spec import AnyTable, CatalogueSpec, SourceSpec, TableSpec
from pipelines.tables.store import PartitionStore

_WELL = "all is well"


def table_assets(table: AnyTable, folder: Path, *, chunk: int | None) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """The op of a table, and what it reads as external assets. `chunk`: partitions per run of a
    backfill; None: it has no partitions.
    """
    partitions = partitions_of(table)
    raw, valid, quarantine = (
        dg.AssetKey(name) for name in (table.name, valid_of(table.name), quarantine_of(table.name))
    )
    sources = _sources(table)
    check = partitioned_check(
        CONTRACT,
        valid,
        partitions,
        "No row broke the table's contract; those that did are in the quarantine, with every rule they broke. Rows "
        "without a date that can be read belong to no partition: the newest one of each run tells of them.",
    )
    shared: dict[str, Any] = {
        "partitions_def": partitions,
        "group_name": "tables",
        "skippable": True,
        "owners": owners_of(table),
        "kinds": {"parquet"},
    }
    columns = TableColumns(table).metadata()

    def described(key: dg.AssetKey, after: list[dg.AssetKey], description: str) -> dg.AssetSpec:
        metadata = {"dagster/table_name": key.to_user_string(), **columns[key.to_user_string()]}
        return dg.AssetSpec(key, deps=after, description=description, metadata=metadata, **shared)

    @dg.multi_asset(
        name=table.name,
        specs=[
            described(raw, list(sources), f"Rows as they stand in {table.source}, by partition."),
            described(valid, [raw], "Rows that keep the contract, joined with their catalogues."),
            described(quarantine, [raw], "Rows that break the contract, each with every rule it broke."),
        ],
        check_specs=[check],
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.multi_run(chunk) if chunk else None,
        pool=f"table_{table.name}",
    )
    def _extract(context: dg.AssetExecutionContext) -> Iterator[Event]:
        asked = partitions_in(context)
        try:
            store = PartitionStore(Home.of().store_url)
            extracted = extract(
                table,
                asked,
                base=folder,
                store=store,
                environ=os.environ,
                now=datetime.now(UTC),
            )
        except PipelinesError as error:
            passing = isinstance(error, SourceUnavailable)
            note_stop(context, table.name, passing=passing)
            yield from tell_stop(context, error, check.key, asked, seen_at=raw, passing=passing)
            return
        for line in _beside(table, extracted):
            context.log.warning(line)
        told = _story(table, extracted, store, (raw, valid, quarantine), check.key)
        if told.failed:
            note_stop(context, table.name, passing=bool(told.passing))
        yield from tell(context, told)

    return [_extract, *sources.values()]


def _sources(table: AnyTable) -> dict[dg.AssetKey, dg.AssetSpec]:
    """What the table reads, as assets that somebody else makes."""
    read: dict[dg.AssetKey, SourceSpec] = {source_of(table.name): table.source}
    if isinstance(table, TableSpec):
        read |= {source_of(table.name, name): table.catalogue(name) for name in table.catalogues}
    specs = {}
    for key, source in read.items():
        name = source.table or source.files
        what = "Catalogue" if isinstance(source, CatalogueSpec) else "Table"
        specs[key] = dg.AssetSpec(
            key,
            group_name="warehouse",
            description=f"{what}: {source}",
            metadata={"source": str(source), **({"dagster/table_name": name} if name else {})},
            kinds={_kind(source)},
        )
    return specs


def _kind(source: SourceSpec) -> str:
    if source.files:
        return "csv" if ".csv" in source.files else "parquet"
    return "duckdb" if source.duckdb else "sql"


def _story(
    table: AnyTable,
    extracted: Extracted,
    store: PartitionStore,
    keys: tuple[dg.AssetKey, dg.AssetKey, dg.AssetKey],
    check: dg.AssetCheckKey,
) -> Story:
    raw, valid, quarantine = keys
    good = {partition: facts for partition, facts in extracted.partitions.items() if facts.failed is None}
    bad = {p: str(facts.failed) for p, facts in extracted.partitions.items() if facts.failed is not None}
    files = {partition: store.address(quarantine_of(table.name), partition) for partition in good}
    verdicts = {partition: _verdict(facts, files[partition]) for partition, facts in good.items()}
    told = {
        raw: {p: _metadata(facts, facts.extracted) for p, facts in good.items()},
        valid: {p: _metadata(facts, facts.valid) for p, facts in good.items()},
        quarantine: {p: _metadata(facts, facts.quarantined) for p, facts in good.items()},
    }
    if good:
        newest = max(good)
        if extracted.undated.count:
            verdicts[newest] = _with_undated(verdicts[newest], table, extracted.undated)
        # What was really stored, catalogues' columns included; once per run, since Dagster shows the newest.
        for asset, columns in TableColumns.after(table, extracted).metadata().items():
            told[dg.AssetKey(asset)][newest] |= columns
    return Story(
        title=f"table {table.name}",
        assets=told,
        checks={check: verdicts | {p: CheckOutcome.red(why) for p, why in bad.items()}},
        failed=bad,
        observed={raw: {p: {"why": why} for p, why in bad.items()}},
        passing=[p for p, error in extracted.failed.items() if isinstance(error, SourceUnavailable)],
        do="The other partitions are stored. Mend the source, then retry the failed ones.",
    )


def _beside(table: AnyTable, extracted: Extracted) -> Iterator[str]:
    """What is wrong in the source and belongs to no partition: a line each."""
    if extracted.undated.count:
        yield (
            f"table {table.name}: {extracted.undated.count} rows of {table.source} have no date that can be read, "
            f"so they belong to no partition and are not delivered; for example {list(extracted.undated.sample[:3])}"
        )
    for name, catalogue in extracted.catalogues.items():
        for broken in catalogue.broken:
            yield (
                f"table {table.name}, catalogue {name}: {broken.count} rows break {broken.column}: {broken.rule} "
                f"({', '.join(broken.samples)}); their codes count as unknown"
            )


def _metadata(facts: PartitionFacts, rows: int) -> dict[str, Any]:
    return {
        "dagster/partition_row_count": rows,
        "rows_in": facts.extracted,
        "valid": facts.valid,
        "quarantined": facts.quarantined,
    }


def _verdict(facts: PartitionFacts, file: str) -> CheckOutcome:
    """Yellow where rows were quarantined: which rules they broke, some of the rows, and the file with all of them."""
    told: dict[str, Any] = {
        "why": f"{facts.quarantined} of {facts.extracted} rows break the contract" if facts.quarantined else _WELL,
        "extracted": facts.extracted,
        "quarantined": facts.quarantined,
        "rules": dg.MetadataValue.md(rules_table(facts.broken)),
    }
    if facts.quarantined:
        told["quarantined_rows"] = dg.MetadataValue.md(sample_table(facts.quarantine, facts.quarantined))
        told["quarantine_file"] = dg.MetadataValue.path(file)
    return CheckOutcome(passed=not facts.quarantined, severity=dg.AssetCheckSeverity.WARN, metadata=told)


def _with_undated(verdict: CheckOutcome, table: AnyTable, undated: Undated) -> CheckOutcome:
    """Yellow as well: rows of the source that belong to no partition, told with the newest one of the run."""
    rows = sample_table(undated.sample, undated.count, table.columns.mapped.values())
    why = f"{undated.count} rows of the source have no date that can be read"
    if not verdict.passed:
        why = f"{verdict.metadata['why']}; {why}"
    told = {"why": why, "undated": undated.count, "undated_rows": dg.MetadataValue.md(rows)}
    return CheckOutcome(passed=False, severity=verdict.severity, metadata={**verdict.metadata, **told})
