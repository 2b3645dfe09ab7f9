"""The task of collect for one shard: join the answers to the rows that asked, and prove the count.

It reads the shard's rows and outputs, writes one results file and, last, one reconciliation. A
shard whose inputs did not change since its last reconciliation is not read again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from bedrock_spark._version import __version__
from bedrock_spark.costs.paid import place_of
from bedrock_spark.families import family_by_name
from bedrock_spark.garbage import garbage_collection_paused
from bedrock_spark.outputs.ask_again import NEVER, AskAgain
from bedrock_spark.outputs.findings import EXAMPLES
from bedrock_spark.outputs.judge import Judge
from bedrock_spark.outputs.outcomes import REJECTED
from bedrock_spark.outputs.reasons import ReasonCounts
from bedrock_spark.outputs.reconcile import ShardReconciliation
from bedrock_spark.outputs.reconciled_shard import ReconciledShard, digest_of_ids, never_asked
from bedrock_spark.outputs.settled import OkAnswers
from bedrock_spark.outputs.shard_outputs import (
    JobOutput,
    images_of,
    jobs_digest,
    manifest_totals,
    open_outputs,
    outputs_digest,
    read_outputs,
    shard_inputs,
)
from bedrock_spark.outputs.spill import Spill
from bedrock_spark.prices.place_prices import PlaceKey
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.cleaned import refuse_cleaned
from bedrock_spark.run_folder.job_plan import Place
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.schema import REJECT_COLUMN, REJECT_REASON, ROW_BODY_SHA256, ROW_RECORD_ID
from bedrock_spark.spark.collect.answer_counts import AnswerCounts
from bedrock_spark.spark.collect.asked_bodies import AskedBodies
from bedrock_spark.spark.collect.dead_letters import DeadLetters
from bedrock_spark.spark.collect.late_output import copy_late_output, lacks_answers
from bedrock_spark.spark.collect.provenance import NOT_KNOWN, Provenance
from bedrock_spark.spark.collect.result_rows import ResultRows, rejected_rows
from bedrock_spark.spark.collect.results_file import ResultsFile, schema_of
from bedrock_spark.spark.collect.row_places import RowPlaces
from bedrock_spark.spark.collect.source_rows import SourceRows, read_source_rows
from bedrock_spark.spark.parquet import results_file
from bedrock_spark.spark.result_schema import ResultColumns
from bedrock_spark.storage import LineReader, Storage, StoredObject, calls_at_once, scratch_folder

# The version of the format of results and reconciliations. If it changes, the fingerprint of every
# shard changes, and the shard is collected again.
_FORMAT = 16
_REJECT_COLUMNS = (REJECT_COLUMN, REJECT_REASON)


@dataclass(frozen=True)
class ShardWork:
    """One unit of collect: a shard with its jobs, rejected rows, or rows with kept answers.

    inputs: the output objects of the unit, as `shard_inputs` returns them; None: they are listed
    may_be_dead: whether an earlier collect may have left dead letters, to be deleted if none are
        written now
    rows_bytes: of the file of its rows; None if they are not known
    """

    unit: str
    bucket: int | None
    jobs: tuple[Job, ...]
    inputs: tuple[StoredObject, ...] | None = None
    may_be_dead: bool = True
    rows_bytes: int | None = None


class CollectedUnit(msgspec.Struct, frozen=True):
    """The reconciliation of a unit without its lists of records, and the version of its object."""

    version: str
    reconciled: ReconciledShard


@dataclass(frozen=True)
class CollectTask:
    """Collects one shard; Spark sends it to the executors.

    A reconciliation names the versions of the files that it is about. A collect of another config
    that is killed may leave other ones there: then they are made again.

    prepare_id: names the folders of rows and rejects
    ask_unfound, again: see `ShardReconciliation`
    folders: where jobs wrote, by place, if that is not the run folder
    schema: the JSON Schema that answers must fit
    rules: see `rules_digest`
    provenance: what the run knows of all its answers
    """

    storage: Storage
    family: str
    columns: ResultColumns
    prepare_id: str
    ask_unfound: bool = False
    again: AskAgain = NEVER
    folders: Mapping[Place, Storage] = field(default_factory=dict)
    schema: Mapping[str, Any] | None = None
    rules: str = ""
    provenance: Provenance = NOT_KNOWN

    def __call__(self, work: ShardWork) -> CollectedUnit:
        """Collect one unit, or return its last reconciliation if nothing changed since.

        A unit whose results or dead letters were deleted or replaced is collected again. If jobs
        claim answers that were not found, output that came late is copied to the run folder and
        read.
        """
        done = self._collect(work)
        is_late = lacks_answers(done.reconciled)
        if is_late and copy_late_output(self.storage, self.folders, work.jobs):
            done = self._collect(replace(work, inputs=None, may_be_dead=True))
        return done

    def _collect(self, work: ShardWork) -> CollectedUnit:
        inputs = self._inputs(work)
        fingerprint = self.fingerprint(inputs, work)
        with (
            scratch_folder("collect") as folder,
            closing(open_outputs(self.storage, inputs)) as reader,
        ):
            # Mostly the unit has changed: then its rows and answers are here when they are needed.
            with calls_at_once(self.storage) as calls:
                fetch, key = self.storage.fetch, self._rows_key(work)
                rows = calls.begin(fetch, key, folder / "rows", work.rows_bytes)
                reading = calls.begin(self._last_reconciliation, work.unit)
                checked = calls.begin(lambda: self._is_checked)
            # Before anything is written: else the listing may lack answers that clean has deleted.
            checked.result()
            last = reading.result()
            if last is not None and last.fingerprint == fingerprint:
                # It is listed after it was read: if it was written meanwhile, the version is not
                # that of what was read, and the next collect looks at it again.
                version = self._version(last)
                if version is not None and self._files(work.unit) == last.files:
                    return CollectedUnit(version, last.without_ids())
            with _memory_of_a_shard():
                if work.bucket is not None:
                    reconciled = self._collect_rejects(work, rows.result(), folder)
                else:
                    with Spill(folder) as spill:
                        made = work, inputs, reader, rows.result()
                        reconciled = self._join(*made, folder, spill)
        reconciled = msgspec.structs.replace(reconciled, fingerprint=fingerprint)
        version = self.storage.write(layout.reconciliation_key(work.unit), reconciled.to_json())
        return CollectedUnit(version, reconciled.without_ids())

    @cached_property
    def _is_checked(self) -> bool:
        """Raise RunCleanedError if clean has begun. It is asked once by each task of Spark."""
        refuse_cleaned(self.storage)
        return True

    def _rows_key(self, work: ShardWork) -> str:
        if work.bucket is not None:
            return layout.rejects_key(work.bucket, self.prepare_id)
        return layout.rows_key(work.unit, self.prepare_id)

    def _last_reconciliation(self, unit: str) -> ReconciledShard | None:
        data = self.storage.read_if_present(layout.reconciliation_key(unit))
        try:
            return ReconciledShard.from_json(data) if data is not None else None
        except msgspec.DecodeError:
            return None  # it has another format: the shard is collected again

    def _version(self, last: ReconciledShard) -> str | None:
        key = layout.reconciliation_key(last.unit)
        return next((o.version for o in self.storage.list(key) if o.key == key), None)

    def _files(self, unit: str) -> tuple[str, str]:
        """Return the versions of the results and dead letters that are there; "" for none."""
        keys = layout.results_key(unit), layout.deadletters_key(unit)
        with calls_at_once(self.storage) as calls:
            listings = [calls.begin(self.storage.list, key) for key in keys]
        versions = {o.key: o.version for listing in listings for o in listing.result()}
        results, dead_letters = (versions.get(key, "") for key in keys)
        return results, dead_letters

    def fingerprint(self, inputs: Sequence[StoredObject], work: ShardWork) -> str:
        """Return a digest of everything that the results of a shard depend on."""
        versions = [(o.key, o.size, o.version) for o in inputs]
        prices = sorted({self._price_at(place_of(job)) for job in work.jobs})
        parts = [versions, jobs_digest(work.jobs), prices, self._settings]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def _price_at(self, place: PlaceKey | None) -> str:
        text = self._price_texts.get(place)
        if text is None:
            text = repr(self.provenance.prices.of_batch(place))
            self._price_texts[place] = text
        return text

    @cached_property
    def _price_texts(self) -> dict[PlaceKey | None, str]:
        """Return the prices of batch jobs as text, as far as they were asked for."""
        return {}

    @cached_property
    def _settings(self) -> list[Any]:
        return [
            *(self.family, self.columns.fingerprint, self.ask_unfound, repr(self.again)),
            *(self.rules, self.provenance.fingerprint, __version__, _FORMAT),
        ]

    def _inputs(self, work: ShardWork) -> Sequence[StoredObject]:
        if work.bucket is not None:
            return ()
        return shard_inputs(self.storage, work.unit) if work.inputs is None else work.inputs

    def _collect_rejects(self, work: ShardWork, rows: Path, folder: Path) -> ReconciledShard:
        kept, (columns, reasons) = _read_rows(rows, folder, _REJECT_COLUMNS)
        why = [f"{column}: {reason}" for column, reason in zip(columns, reasons, strict=True)]
        with self._results(work.unit, kept) as results:
            rows_of = rejected_rows(why, len(self.columns.parsed), self.provenance)
            for place, row in enumerate(rows_of):
                results.add(row, (place,))
        counts = ReasonCounts()
        for message in why:
            counts.add(REJECTED, None, message)
        outcomes = {REJECTED: len(why)}
        shard = ReconciledShard(
            unit=work.unit, rows=len(why), outcomes=outcomes, files=results.versions
        )
        return _with_reasons(shard, counts)

    def _join(
        self,
        work: ShardWork,
        inputs: Sequence[StoredObject],
        reader: LineReader,
        rows: Path,
        folder: Path,
        spill: Spill,
    ) -> ReconciledShard:
        """Write the rows that are ok while their answers are read, and then the others."""
        kept, (ids, bodies) = _read_rows(rows, folder, (ROW_RECORD_ID, ROW_BODY_SHA256))
        places = RowPlaces(ids)
        asked = AskedBodies(self.provenance.asking, dict(zip(ids, bodies, strict=False)))
        family = family_by_name(self.family)
        judge = Judge(family, self.columns.parsed, self.schema)
        reconciliation = ShardReconciliation(
            *(work.unit, places.expected, judge, self.again, self.ask_unfound), spill=spill
        )
        images = images_of(self.storage, inputs, reconciliation)
        parsed = len(self.columns.parsed)
        made = ResultRows(reconciliation, family, images, parsed, self.provenance, asked)
        reconciliation.note_superseded = made.note_superseded
        counts = AnswerCounts(self.columns.prefix, self.columns.parsed)
        may_exist = work.may_be_dead
        with (
            DeadLetters(self.columns, self.storage, work.unit, may_exist=may_exist) as dead,
            self._results(work.unit, kept, dead, counts) as results,
        ):

            def take(ok: OkAnswers) -> None:
                sizes = list(map(len, ok.outputs))
                results.add_columns(made.ok_columns(ok), places.of_many(ok.ids), sizes)

            reconciliation.settle_into(take)
            outputs = read_outputs(reader, inputs, work.jobs, reconciliation)
            for record_id in reconciliation.unsettled():
                outcome = reconciliation.outcomes.get(record_id)
                size = 0 if outcome is None else outcome.size
                results.add(made.other_row(record_id), places.of(record_id), size)
        if images.bad:
            reconciliation.add_finding(
                "bad_image", "; ".join(images.bad[:EXAMPLES]), len(images.bad)
            )
        reconciliation.finish()
        answers = [o.key for o in inputs if o.key.startswith(layout.FALLBACK)]
        reconciled = _reconciled(reconciliation, outputs, made)
        if layout.is_kept_unit(work.unit):
            reconciled = never_asked(reconciled)
        return msgspec.structs.replace(
            _with_reasons(reconciled, made.reasons),
            fallback_files=tuple(answers),
            lengths=dict(counts.lengths),
            labels={k: None if v is None else dict(v) for k, v in counts.labels.items()},
            dead_letters=dead.rows,
            files=results.versions,
            outputs=outputs_digest(inputs),
            jobs_known=jobs_digest(work.jobs),
            rules=self.rules,
        )

    @contextmanager
    def _results(
        self,
        unit: str,
        kept: SourceRows,
        dead: DeadLetters | None = None,
        counts: AnswerCounts | None = None,
    ) -> Iterator[ResultsFile]:
        """Provide the results of a unit; put them into the run folder after the block, whole.

        With them its dead letters, if there may be some. Then the results have the versions.
        """
        schema = schema_of(kept.schema, self.columns)
        key = layout.results_key(unit)
        with results_file(self.storage, key, schema, self.columns.prefix) as file:
            results = ResultsFile(self.columns, schema, kept, file, dead, counts)
            yield results
            results.flush()
            with calls_at_once(self.storage) as calls:
                commits = [calls.begin(file.commit)]
                if dead is not None:
                    commits.append(calls.begin(dead.commit))
            first, *second = (commit.result() for commit in commits)
            results.versions = first, second[0] if second else ""


def _read_rows(
    file: Path, folder: Path, apart: Sequence[str]
) -> tuple[SourceRows, list[list[Any]]]:
    """Return the rows of a file, and the values of the columns that are no part of them.

    A copy of the file, which is in `folder`, is deleted.
    """
    rows = read_source_rows(file, folder, apart)
    if file.parent == folder:
        file.unlink()
    return rows


def _reconciled(
    reconciliation: ShardReconciliation, outputs: list[JobOutput], results: ResultRows
) -> ReconciledShard:
    rows_of, unanswered = reconciliation.expected, reconciliation.unanswered()
    unfound = reconciliation.unfound()
    again = reconciliation.answered_among(unanswered)
    limits = reconciliation.limits(unanswered)
    return ReconciledShard(
        unit=reconciliation.shard_id,
        rows=sum(rows_of.values()),
        outcomes=reconciliation.counts(),
        served_by=reconciliation.served_by(),
        stop_reasons=reconciliation.stop_reasons(),
        tokens=results.tokens(),
        kept_tokens=results.kept_tokens(),
        manifest_tokens=manifest_totals(outputs),
        fallback_models=results.fallback_used.uses(),
        jobs=tuple(output.collected() for output in outputs),
        lines=dict(reconciliation.lines),
        unanswered=sum(rows_of[record_id] for record_id in unanswered),
        unanswered_records=len(unanswered),
        unfound=sum(rows_of[record_id] for record_id in unfound),
        unfound_records=len(unfound),
        again_records=len(again),
        again_ids=tuple(again),
        limits=limits,
        raised_tokens=sum(limits.values()),
        unanswered_ids=tuple(unanswered),
        unanswered_digest=digest_of_ids(unanswered),
        fallback_minutes=dict(reconciliation.times.minutes),
        latency=dict(reconciliation.times.latency),
        findings=tuple(reconciliation.findings),
    )


def _with_reasons(shard: ReconciledShard, counts: ReasonCounts) -> ReconciledShard:
    reasons, others = counts.most_common()
    return msgspec.structs.replace(shard, reasons=tuple(reasons), other_reasons=others)


@contextmanager
def _memory_of_a_shard() -> Iterator[None]:
    """Search for no garbage, as records form no cycles; give Arrow's memory back at the end."""
    with garbage_collection_paused():
        try:
            yield
        finally:
            pa.default_memory_pool().release_unused()
