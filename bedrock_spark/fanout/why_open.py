"""Whether a run may still answer rows, by its run folder alone: no call to Bedrock is made.

Not by its report: a process that was killed may have paid for answers after the last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bedrock_spark.config import Config
from bedrock_spark.fanout import deadline
from bedrock_spark.fanout.unsettled import count_unsettled
from bedrock_spark.outputs.reconciled_shard import ReconciledShard, unanswered_rows
from bedrock_spark.run_folder.fallback_end import has_fallback_ended
from bedrock_spark.run_folder.ledger import LedgerState
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.storage import Storage


@dataclass(frozen=True)
class Known:
    """What a run folder says of a prepared run.

    begun_at: in seconds since the epoch, or None if not known; state: of the ledger
    """

    config: Config
    begun_at: float | None
    storage: Storage
    manifest: RunManifest
    state: LedgerState


@dataclass(frozen=True)
class StillOpen:
    """What rows of a run still wait for, and what goes on with them."""

    why: str
    advice: str


def why_open(
    known: Known, reconciled: Sequence[ReconciledShard], now: float, *, is_over: bool
) -> StillOpen | None:
    """Return what the rows of a run still wait for; None if they have their last outcome.

    is_over: whether the fallback gave up, or may ask no more
    """
    config = known.config
    unsettled = count_unsettled(config, known.manifest, known.state)
    if unsettled:
        shards = (
            "1 shard has an active batch job or waits"
            if unsettled == 1
            else f"{unsettled:,} shards have active batch jobs or wait"
        )
        return StillOpen(f"{shards} for one", "submit or run goes on with them")
    unanswered = unanswered_rows(reconciled)
    if not unanswered or is_over or has_fallback_ended(known.storage):
        return None
    least = config.shards.min_records
    has_time = not deadline.is_over(config, known.begun_at, now)
    if has_time and any(s.again_records >= least for s in reconciled):
        why = "records whose answers are not ok will be asked again by batch jobs"
        return StillOpen(why, "submit or run goes on with them")
    if config.fallback is not None:
        rows = "1 row" if unanswered == 1 else f"{unanswered:,} rows"
        return StillOpen(f"the fallback may still answer {rows}", "fallback or run asks it")
    return None
