"""What the batch jobs of a run have left to do, by the ledger alone: no call to AWS is made."""

from __future__ import annotations

from bedrock_spark.fanout.step_result import batch_shards
from bedrock_spark.fanout.tracker import ShardTracker
from bedrock_spark.run_folder.ledger import LedgerState
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run


def count_unsettled(run: Run, manifest: RunManifest, state: LedgerState) -> int:
    """Return how many shards have an active job or need another one, by the last sweep."""
    return len(unsettled_shards(run, manifest, state))


def unsettled_shards(run: Run, manifest: RunManifest, state: LedgerState) -> set[str]:
    """Return the shards that have an active job or need another one."""
    shards = batch_shards(manifest, run.config)
    tracker = ShardTracker(shards, run.config.batch.attempts, state)
    waiting = {s.shard_id for s in shards if not tracker.is_done(s.shard_id)}
    return waiting | {job.shard_id for job in tracker.open.values()}
