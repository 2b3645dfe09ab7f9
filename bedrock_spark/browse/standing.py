"""How far a run is, by its folder alone: its stage, its shards, what holds it, what is left."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from bedrock_spark.costs.tokens import total
from bedrock_spark.costs.used import expected_of
from bedrock_spark.fanout import batch_shards
from bedrock_spark.fanout.run_stage import (
    CLEANED,
    PREPARING,
    is_finished,
    read_ended,
    stage_of,
)
from bedrock_spark.fanout.status import rate_of
from bedrock_spark.fanout.tracker import ShardTracker
from bedrock_spark.report.gather import Known
from bedrock_spark.run_folder.fallback_end import may_fallback_answer
from bedrock_spark.run_folder.ledger import Hold, Job
from bedrock_spark.run_folder.manifest import RunManifest, Shard
from bedrock_spark.run_folder.run import Run


@dataclass(frozen=True)
class Standing:
    """How far a run is, by what its processes have written down. AWS is not asked.

    stage: the last stage that has left something; is_finished: whether nothing is left to do
    is_batch_over: whether no shard needs another batch job
    hold: why nothing more is submitted, None if nothing holds the run
    shards: that batch jobs take; settled, active and waiting ones of them
    records, processed: of these shards
    records_per_second, seconds_left: by the jobs of the last day, None if they are not known
    online: records that are left to the fallback, as far as is known
    places: where the results are published
    """

    stage: str
    is_finished: bool
    is_batch_over: bool = False
    hold: Hold | None = None
    shards: int = 0
    settled: int = 0
    active: int = 0
    waiting: int = 0
    records: int = 0
    processed: int = 0
    records_per_second: float | None = None
    seconds_left: float | None = None
    online: int = 0
    places: tuple[str, ...] = ()


@dataclass(frozen=True)
class Waiting:
    """What batch jobs are still to answer.

    records: of shards that wait for a job; cost: about as much in dollars, None without a price
    active: jobs that are not over; active_records: that they have not processed yet
    """

    shards: int
    records: int
    cost: Decimal | None
    active: int
    active_records: int


def standing_of(run: Run, known: Known | None, now: float) -> Standing:
    """Return how far a run is.

    known: what its folder says, None if it was cleaned; now: in seconds since the epoch
    """
    if known is None:
        return Standing(CLEANED, is_finished=True)
    if known.manifest is None:
        return Standing(PREPARING, is_finished=False)
    tracker = _tracker(run, known, known.manifest)
    shards, settled = len(tracker.shards), tracker.settled
    active = len(tracker.open)  # also those that are announced: their ARN may be written later
    is_over = settled == shards
    processed = min(tracker.processed, tracker.records)
    rate = rate_of(tracker, now)
    ended = read_ended(run)
    small = known.manifest.records - tracker.records
    unanswered = (ended.unanswered or 0) if ended.is_collected else small
    may_ask = may_fallback_answer(run.config, unanswered, has_ended=ended.has_fallback_ended)
    return Standing(
        stage=stage_of(
            ended, is_prepared=True, has_jobs=bool(known.state.jobs), is_batch_over=is_over
        ),
        is_finished=is_finished(ended, run.config, is_batch_over=is_over),
        is_batch_over=is_over,
        hold=known.state.hold if not is_over else None,
        shards=shards,
        settled=settled,
        active=active,
        waiting=max(0, shards - settled - active),
        records=tracker.records,
        processed=tracker.records if is_over else processed,
        records_per_second=rate,
        seconds_left=(tracker.records - processed) / rate if rate and not is_over else None,
        online=unanswered if may_ask else 0,
        places=ended.places,
    )


def waiting_of(run: Run, known: Known) -> Waiting:
    """Return what batch jobs are still to answer, and what that costs about."""
    if known.manifest is None:
        return Waiting(0, 0, None, 0, 0)
    tracker = _tracker(run, known, known.manifest)
    tracker.unblock()  # who goes on with the run lets its blocked shards wait again
    shards = [tracker.shards[shard_id] for shard_id in tracker.waiting_shards()]
    expected = expected_of(run.config, run.prices, known.tries)
    prices, cost = run.prices, None
    if prices.batch is not None or prices.image is not None:
        tokens = total(expected.tokens(shard.bytes, shard.records) for shard in shards)
        cost = tokens.cost(prices.batch, prices.image)
    left = sum(
        _left(job, shard)
        for job in tracker.open.values()
        if (shard := tracker.shards.get(job.shard_id)) is not None
    )
    records = sum(shard.records for shard in shards)
    return Waiting(len(shards), records, cost, len(tracker.open), left)


def _left(job: Job, shard: Shard) -> int:
    """Return how many records of a job are not processed, as far as is known."""
    seen, records = job.seen, job.records or shard.records
    return records if seen is None else max(0, (seen.total or records) - (seen.processed or 0))


def _tracker(run: Run, known: Known, manifest: RunManifest) -> ShardTracker:
    shards = batch_shards(manifest, run.config)
    tracker = ShardTracker(shards, run.config.batch.attempts, known.state)
    if known.state.hold is None:
        tracker.unblock()
    return tracker
