"""Which units have changed since they were collected: found out on the driver, by few listings.

Only these become work for Spark. What is known of the others is the table of reconciliations.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from bedrock_spark.aws.s3_uri import join_uri
from bedrock_spark.errors import RunFolderError
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.outputs.reconciliations import list_versions, read_table
from bedrock_spark.outputs.run_inputs import scan_inputs
from bedrock_spark.outputs.stored_rows import StoredRows
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.cleaned import refuse_cleaned
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.manifest import KeptRows, RunManifest, Shard
from bedrock_spark.spark.collect.late_output import lacks_answers
from bedrock_spark.spark.collect.task import CollectTask, ShardWork
from bedrock_spark.storage import Storage, StoredObject, calls_at_once


@dataclass(frozen=True)
class Collected:
    """What earlier collects have left in the run folder.

    rows: the table of reconciliations; versions: of the object of each unit
    results, dead_letters: the version of such a file, by the units that have one
    """

    rows: StoredRows
    versions: Mapping[str, str]
    results: Mapping[str, str]
    dead_letters: Mapping[str, str]

    def files(self, unit: str) -> tuple[str, str]:
        """Return the versions of the results and dead letters of a unit; "" for none."""
        return self.results.get(unit, ""), self.dead_letters.get(unit, "")


def read_collected(storage: Storage, *, has_kept: bool) -> Collected:
    """List what earlier collects have left, and read the table of reconciliations.

    has_kept: whether there are units of rows whose answers were kept
    """

    def versions_below(prefix: str) -> dict[str, str]:
        return {layout.unit_of(stored.key): stored.version for stored in storage.scan(prefix)}

    folders = (layout.RESULTS, layout.DEADLETTERS)
    with calls_at_once(storage) as calls:
        rows = calls.begin(read_table, storage)
        versions = calls.begin(list_versions, storage)
        results, dead_letters = (
            [
                calls.begin(versions_below, prefix)
                for prefix in layout.unit_prefixes(folder, has_kept=has_kept)
            ]
            for folder in folders
        )
    # The listings of a folder have no unit in common.
    files = (dict(ChainMap(*(e.result() for e in own))) for own in (results, dead_letters))
    return Collected(rows.result(), versions.result(), *files)


class ChangedUnits:
    """The units of a run that must be collected, with their sizes in bytes; can be read once.

    rows: the rows of the other units, by unit, as they are found
    changed_rows: how many rows the changed units have
    """

    def __init__(
        self, task: CollectTask, manifest: RunManifest, jobs: Mapping[str, Sequence[Job]]
    ) -> None:
        self.rows = StoredRows()
        self.changed_rows = 0
        self._task = task
        self._manifest = manifest
        self._jobs = jobs

    def __iter__(self) -> Iterator[tuple[ShardWork, int]]:
        storage = self._task.storage
        listed = scan_inputs(storage)
        collected = read_collected(storage, has_kept=bool(self._manifest.kept))
        self.rows = collected.rows.none()
        shards = {shard.shard_id: shard for shard in self._manifest.shards}
        for unit, inputs in listed:
            if unit in shards:
                yield from self._changed(shards.pop(unit), inputs, collected)
        for shard in shards.values():
            yield from self._changed(shard, (), collected)
        yield from self._changed_kept(collected)
        for rejects in self._manifest.rejects:
            work = ShardWork(rejects.unit, rejects.bucket, (), ())
            if not self._is_current(work, collected):
                self.changed_rows += rejects.rows
                yield work, 0

    def _changed_kept(self, collected: Collected) -> Iterator[tuple[ShardWork, int]]:
        """Yield the rows with kept answers. Nothing but their own answers is ever read for them.

        Raises RunFolderError if these are not as prepare wrote them. Nobody asks such rows again,
        so they must not become `missing` without a word.
        """
        if not self._manifest.kept:
            return
        prepare_id = self._manifest.prepare_id
        listed = {o.key: o for o in self._task.storage.list(layout.kept_prefix(prepare_id))}
        for kept in self._manifest.kept:
            key = layout.kept_key(kept.unit, prepare_id)
            stored = listed.get(key)
            if stored is None or stored.size != kept.bytes:
                refuse_cleaned(self._task.storage)
                raise RunFolderError(
                    f"{join_uri(self._task.storage.uri, key)}: the kept answers of {kept.rows} "
                    "rows are not as prepare wrote them; restore the file, or begin a new run "
                    "with another run_uri, which finds them in the store of answers again"
                )
            yield from self._changed(kept, (stored,), collected)

    def _changed(
        self, of: Shard | KeptRows, inputs: Sequence[StoredObject], collected: Collected
    ) -> Iterator[tuple[ShardWork, int]]:
        unit, size = (of.shard_id, of.rows_bytes) if isinstance(of, Shard) else (of.unit, 0)
        jobs = tuple(self._jobs.get(unit, ()))
        may_be_dead = unit in collected.dead_letters
        work = ShardWork(unit, None, jobs, tuple(inputs), may_be_dead, size or None)
        if not self._is_current(work, collected):
            self.changed_rows += of.rows
            yield work, sum(stored.size for stored in inputs)

    def _is_current(self, work: ShardWork, collected: Collected) -> bool:
        """Tell whether nothing has changed since a unit was collected; then keep its row."""
        unit = work.unit
        row = collected.rows.get(unit)
        if row is None or row.version != collected.versions.get(unit):
            return False
        try:
            reconciled = row.decode()
        except msgspec.DecodeError:
            return False  # it has another format: the shard is collected again
        is_current = (
            reconciled.fingerprint == self._task.fingerprint(work.inputs or (), work)
            and reconciled.files == collected.files(unit)
            and not self._may_have_late_output(reconciled, work)
        )
        if is_current:
            collected.rows.move(unit, self.rows)
        return is_current

    def _may_have_late_output(self, reconciled: ReconciledShard, work: ShardWork) -> bool:
        folders = self._task.folders
        return lacks_answers(reconciled) and any(job.place in folders for job in work.jobs)
