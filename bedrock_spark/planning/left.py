"""What a prepared run has left to ask, by its run folder alone: no call to AWS is made."""

from __future__ import annotations

from bedrock_spark.fanout import batch_shards, unsettled_shards
from bedrock_spark.fanout.run_stage import read_ended
from bedrock_spark.run_folder.fallback_end import may_fallback_answer
from bedrock_spark.run_folder.ledger import Ledger
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run


def left_to_ask(run: Run, manifest: RunManifest) -> int | None:
    """Return how many records of a prepared run wait for an answer, or may be asked again.

    Records of active jobs count, because they are not paid for yet. None if all jobs are over and
    the fallback may ask records that no collect has counted yet.
    """
    unsettled = unsettled_shards(run.config, manifest, Ledger(run.storage).load())
    ended = read_ended(run)
    waiting = sum(shard.records for shard in manifest.shards if shard.shard_id in unsettled)
    if ended.is_collected:
        unanswered, has_ended = ended.unanswered or 0, ended.has_fallback_ended
        may_ask = may_fallback_answer(run.config, unanswered, has_ended=has_ended)
        return min(manifest.records, waiting + (unanswered if may_ask else 0))
    if run.config.fallback is None:
        return waiting
    by_batch = {shard.shard_id for shard in batch_shards(manifest, run.config)}
    online = sum(s.records for s in manifest.shards if s.shard_id not in by_batch)
    return waiting + online if unsettled or online else None
