"""The rows of another run as a source: by outcome, with all result columns.

That run must be collected, and nothing may still answer the rows that are asked again: else they
would be paid for twice. Shards without a row of the wanted outcomes are not read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from pyspark.sql import DataFrame, SparkSession

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.clock import Clock, SystemClock
from bedrock_spark.config import SourceConfig
from bedrock_spark.errors import SourceError
from bedrock_spark.fanout.why_open import Known, why_open
from bedrock_spark.outputs.outcomes import NOT_OK
from bedrock_spark.outputs.reconciliations import Reconciliations, read_reconciliations
from bedrock_spark.outputs.shard_outputs import jobs_digest
from bedrock_spark.run_folder.lease import read_holder
from bedrock_spark.run_folder.ledger import Job, Ledger
from bedrock_spark.run_folder.manifest import SourceState
from bedrock_spark.run_folder.published import Publications
from bedrock_spark.run_folder.source_run import DerivedFrom, SourceRun, open_source_run
from bedrock_spark.spark.results import Chosen, results_of

_DIGITS = 12


@dataclass(frozen=True)
class RowsOfRun:
    """The rows of a collected run that are a source, of which none is read yet."""

    source: SourceConfig
    run: SourceRun
    reconciled: Reconciliations

    @cached_property
    def fingerprint(self) -> str:
        """Return a digest of everything that the results were made of."""
        parts = (f"{shard.unit} {shard.fingerprint}\n" for shard in self.reconciled)
        return hashlib.sha256("".join(parts).encode()).hexdigest()

    @property
    def state(self) -> SourceState:
        """Return the state of the source, to notice that the results have changed."""
        version = f"{self.fingerprint[:_DIGITS]} of the results of {self.run.run_id}"
        return SourceState(self.fingerprint, files=len(self.reconciled), versions=(version,))

    @property
    def lineage(self) -> DerivedFrom:
        """Return which rows of which run these are."""
        source = self.source
        return DerivedFrom(
            *(str(source.run), self.run.run_id, self.fingerprint, source.outcomes, source.where)
        )

    def table(self, spark: SparkSession, columns: Iterable[str] | None = None) -> DataFrame:
        """Return the rows with the wanted outcomes; no Spark action runs.

        columns: those to read, with the names of that run; None for all
        """
        outcomes = self.source.outcomes
        wanted = {
            shard.unit
            for shard in self.reconciled
            if outcomes is None or any(shard.outcomes.get(name) for name in outcomes)
        }
        run = self.run
        units = [unit for unit in run.manifest.units if unit in wanted]
        chosen = Chosen(None if columns is None else frozenset(columns), outcomes)
        return results_of(spark, run.storage, run.config.results, run.manifest, units, chosen)


def open_rows(source: SourceConfig, aws: AwsSettings, clock: Clock | None = None) -> RowsOfRun:
    """Return the rows of `source.run`.

    Raises SourceError if that run is not collected, or may still answer these rows.
    """
    rows = look_at_rows(source, aws)
    _refuse_open(rows, clock or SystemClock())
    return rows


def look_at_rows(source: SourceConfig, aws: AwsSettings) -> RowsOfRun:
    """Return the rows of `source.run`, also if that run goes on. Raises SourceError."""
    assert source.run is not None
    found = open_source_run(source.run, aws)
    reconciled = read_reconciliations(found.storage)
    units = set(found.manifest.units)
    missing = len(units - {shard.unit for shard in reconciled})
    if missing:
        raise SourceError(
            f"{found.named}: {missing:,} of its {len(units):,} shards are not collected yet. Run "
            "it to its end first"
        )
    return RowsOfRun(source, found, reconciled)


def _refuse_open(rows: RowsOfRun, clock: Clock) -> None:
    """Raise SourceError if that run may still answer rows that would be asked here."""
    found, source = rows.run, rows.source
    if not set(source.outcomes or NOT_OK).intersection(NOT_OK):
        return
    holder = read_holder(found.storage)
    is_held = holder is not None and not holder.is_over(clock.now())
    why = "a process is at work on it" if is_held else _why_open(rows, clock.now())
    if why is None:
        return
    raise SourceError(
        f"{found.named}: {why}, so rows that are not ok would be paid for twice. Run it to its end "
        "first, or read only its answers by source.outcome: [ok]"
    )


def _why_open(rows: RowsOfRun, now: float) -> str | None:
    """Return what the rows of that run still wait for; None if they have their last outcome."""
    run = rows.run
    state = Ledger(run.storage).load()
    known = Known(run.config, run.begun_at, run.storage, run.manifest, state)
    is_over = Publications(run.storage).has_appended()
    found = why_open(known, rows.reconciled, now, is_over=is_over)
    if found is not None:
        return found.why
    by_shard: dict[str, list[Job]] = {}
    for job in state.jobs.values():
        by_shard.setdefault(job.shard_id, []).append(job)
    late = sum(
        jobs_digest(by_shard[shard.unit]) != shard.jobs_known
        for shard in rows.reconciled
        if shard.unit in by_shard
    )
    return f"{late:,} of its shards have batch output that is not collected yet" if late else None
