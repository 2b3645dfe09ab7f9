"""One record of a run: its request, every answer and error that came back, its rows, its jobs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from bedrock_spark.browse.jobs_of_unit import JobOfUnit, jobs_of_units
from bedrock_spark.browse.kept_requests import first_row, kept_unit_of, request_of_row
from bedrock_spark.browse.replies import Reply, read_replies
from bedrock_spark.browse.results import reader_of
from bedrock_spark.browse.unit_file import Place, UnitFile
from bedrock_spark.errors import ConfigError, RunFolderError
from bedrock_spark.outputs.shard_outputs import shard_inputs
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.cleaned import read_cleaned
from bedrock_spark.run_folder.manifest import RunManifest, Shard
from bedrock_spark.run_folder.records import find_record, shards_of
from bedrock_spark.run_folder.results_file import open_parquet
from bedrock_spark.run_folder.run import Run
from bedrock_spark.run_folder.shard_records import read_records
from bedrock_spark.schema import ROW_RECORD_ID, is_internal
from bedrock_spark.shards.buckets import is_record_id
from bedrock_spark.storage import StoredObject, list_all

_RECORD_ID = "record_id"


@dataclass(frozen=True)
class ShownRecord:
    """A record: `request` is its body, byte for byte; `rows` are its rows in the results.

    record_id: None for a rejected row, which is no record
    request: None if nothing can show it; note: why, or where it is from
    rows: several may share a record; before the shard is collected, the source rows
    is_collected: whether the rows are those of the results
    unit: the shard, or the unit of kept or rejected rows, that has it
    jobs: the batch jobs of that shard
    """

    record_id: str | None
    request: bytes | None
    replies: tuple[Reply, ...]
    rows: tuple[dict[str, Any], ...]
    note: str = ""
    is_collected: bool = True
    unit: str | None = None
    jobs: tuple[JobOfUnit, ...] = ()


def show_record(
    run: Run, manifest: RunManifest, record_id: str, unit: str | None = None
) -> ShownRecord:
    """Return a record of a run. Reads the outputs of the shards of its bucket, in pieces.

    unit: the unit that has it, if that is known: then only its outputs are read
    Raises RunFolderError if no record has this id.
    """
    shards = _shards(manifest, record_id, unit)
    found = _request(run, manifest, record_id, shards, unit)
    if found is None:
        return _show_kept(run, manifest, record_id, unit)
    request, note = found
    units = [shard.shard_id for shard in shards]
    owner, table = _rows(run, units, record_id)
    is_collected = table is not None
    if table is None:
        owner, table = _source_rows(run, manifest, units, record_id)
    inputs = [item for name in units for item in shard_inputs(run.storage, name)]
    return ShownRecord(
        record_id,
        request,
        read_replies(run, inputs, record_id),
        () if table is None else tuple(table.to_pylist()),
        note,
        is_collected,
        owner or (units[0] if len(units) == 1 else None),
        jobs_of_units(run.storage, units if owner is None else [owner]),
    )


def show_place(run: Run, manifest: RunManifest, place: Place) -> ShownRecord:
    """Return the record of a result row, by the place of the row. It may be a rejected row.

    Raises ConfigError if no row is there, and RunFolderError if the unit is not collected.
    """
    with UnitFile(run.storage, place.unit) as file:
        if place.row >= file.rows(place.group):
            raise ConfigError(f"{place}: no row is there; the shard may have been collected again")
        row = file.take(place.group, [place.row], file.schema.names)
    (values,) = row.to_pylist()
    record_id = values.get(f"{run.config.results.prefix}{_RECORD_ID}")
    if record_id is not None:
        return show_record(run, manifest, record_id, place.unit)
    why = values.get(f"{run.config.results.prefix}error_message")
    note = f"the row was rejected, so it was never asked{f': {why}' if why else ''}"
    return ShownRecord(None, None, (), (values,), note, unit=place.unit)


def rejected_rows(run: Run, manifest: RunManifest, most: int) -> list[ShownRecord]:
    """Return the first `most` rejected rows. Raises RunFolderError if they are not collected."""
    places: list[Place] = []
    for rejects in manifest.rejects:
        with UnitFile(run.storage, rejects.unit) as file:
            for group in range(file.groups):
                places += (Place(rejects.unit, group, row) for row in range(file.rows(group)))
        if len(places) >= most:
            break
    return [show_place(run, manifest, place) for place in places[:most]]


def ids_with_outcome(run: Run, outcome: str, most: int) -> list[str]:
    """Return the first `most` records whose rows ended so, in the order of shards."""
    prefix = run.config.results.prefix
    name = f"{prefix}{_RECORD_ID}"
    found: dict[str, None] = {}
    for batch in reader_of(run, [name, run.config.results.outcome_column], [outcome]):
        found.update(dict.fromkeys(i for i in batch.column(0).to_pylist() if i is not None))
        if len(found) >= most:
            break
    return list(found)[:most]


def _shards(manifest: RunManifest, record_id: str, unit: str | None) -> list[Shard]:
    """Return the shards that may have a record."""
    if unit is not None:
        return [shard for shard in manifest.shards if shard.shard_id == unit]
    return list(shards_of(manifest, record_id)) if is_record_id(record_id) else []


def _request(
    run: Run,
    manifest: RunManifest,
    record_id: str,
    shards: Sequence[Shard],
    unit: str | None,
) -> tuple[bytes | None, str] | None:
    """Return the body of a record and what to know about it; None if no shard has the record.

    Raises RunFolderError if the run has no such record, and no kept answers.
    """
    if unit is not None and not shards:
        return None
    cleaned = read_cleaned(run.storage)
    gone = [] if cleaned is None else [n for n in ("requests", "answers") if n not in cleaned.kept]
    if "requests" in gone:
        if _rows(run, [shard.shard_id for shard in shards], record_id)[1] is None:
            return None
        return None, f"bedrock-spark clean has deleted the {' and '.join(gone)} of this run"
    if unit is not None:
        (shard,) = shards
        for record in read_records(
            run.storage, shard.shard_id, shard.prepare_id, [record_id], shard.files
        ):
            return record.body, ""
        raise RunFolderError(f"{run.storage.uri}: {unit} has no record {record_id}")
    try:
        return find_record(run.storage, manifest, record_id).body, ""
    except RunFolderError:
        if manifest.kept and is_record_id(record_id):
            return None
        raise


def _show_kept(run: Run, manifest: RunManifest, record_id: str, unit: str | None) -> ShownRecord:
    """Return a record whose answer was kept. Raises RunFolderError if the run has no such record.

    unit: that has it; None if that is not known
    """
    unit = unit or kept_unit_of(run.storage, manifest, record_id)
    units = [unit] if unit is not None else []
    owner, table = _rows(run, units, record_id)
    is_collected = table is not None
    if table is None:
        owner, table = _source_rows(run, manifest, units, record_id)
    if table is None or owner is None:
        raise RunFolderError(
            f"{run.storage.uri}: has no record {record_id}; its row may be rejected"
        )
    request, note = request_of_row(run.config, first_row(table), record_id)
    key = layout.kept_key(owner, manifest.prepare_id)
    inputs: list[StoredObject] = [o for o in list_all(run.storage, [key]) if o.key == key]
    replies = read_replies(run, inputs, record_id)
    rows = tuple(table.to_pylist())
    return ShownRecord(record_id, request, replies, rows, note, is_collected, owner)


def _rows(run: Run, units: Sequence[str], record_id: str) -> tuple[str | None, pa.Table | None]:
    """Return the result rows of a record, and their unit; None if it is not collected."""
    column = f"{run.config.results.prefix}{_RECORD_ID}"
    keys = ((unit, layout.results_key(unit)) for unit in units)
    return _find(run, keys, column, record_id)


def _source_rows(
    run: Run, manifest: RunManifest, units: Sequence[str], record_id: str
) -> tuple[str | None, pa.Table | None]:
    """Return the source rows of a record, as prepare has kept them; None if they are deleted."""
    keys = ((unit, layout.rows_key(unit, manifest.prepare_id)) for unit in units)
    unit, table = _find(run, keys, ROW_RECORD_ID, record_id)
    own = [] if table is None else [n for n in table.schema.names if not is_internal(n)]
    return unit, None if table is None else table.select(own)


def _find(
    run: Run, keys: Iterator[tuple[str, str]], column: str, record_id: str
) -> tuple[str | None, pa.Table | None]:
    """Return the rows with a record id, of the first file that has some."""
    for unit, key in keys:
        source = open_parquet(run.storage, key)
        if source is None:
            continue
        with UnitFile(run.storage, unit, source) as file:
            parts = [
                file.take(group, rows, file.schema.names)
                for group, rows in file.find(column, record_id)
            ]
        if parts:
            return unit, pa.concat_tables(parts)
    return None, None
