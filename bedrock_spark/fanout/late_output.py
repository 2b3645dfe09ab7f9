"""How long the output of jobs is waited for that claim more answers than were found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bedrock_spark.fanout.scheduler import OUTPUT_SECONDS
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.run_folder.ledger import Job


def seconds_to_await(
    jobs: Iterable[Job], reconciled: Sequence[ReconciledShard], now: float
) -> float:
    """Return for how long claimed answers may still come; 0 or less if none are awaited.

    Output may follow the status of a job. It is waited for `OUTPUT_SECONDS`, no longer.
    """
    units = {shard.unit for shard in reconciled if shard.unfound}
    settled = (job.settled_at for job in jobs if job.shard_id in units)
    return max((at + OUTPUT_SECONDS - now for at in settled if at is not None), default=0.0)
