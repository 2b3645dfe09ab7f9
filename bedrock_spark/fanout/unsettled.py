"""What the batch jobs of a run have left to do, by the ledger alone: no call to AWS is made."""

from __future__ import annotations

from bedrock_spark.config import Config
from bedrock_spark.fanout.step_result import batch_shards
from bedrock_spark.fanout.tracker import ShardTracker
from bedrock_spark.run_folder.ledger import LedgerState
from bedrock_spark.run_folder.manifest import RunManifest


def count_unsettled(config: Config, manifest: RunManifest, state: LedgerState) -> int:
    """Return how many shards have an active job or need another one, by the last sweep."""
    return len(unsettled_shards(config, manifest, state))


def unsettled_shards(config: Config, manifest: RunManifest, state: LedgerState) -> set[str]:
    """Return the shards that have an active job or need another one."""
    tracker = tracker_of(config, manifest, state)
    return {*tracker.open_shards(), *(job.shard_id for job in tracker.open.values())}


def tracker_of(config: Config, manifest: RunManifest, state: LedgerState) -> ShardTracker:
    """Return the tracker of the shards that batch jobs take, by the last sweep."""
    return ShardTracker(batch_shards(manifest, config), config.batch.attempts, state)
