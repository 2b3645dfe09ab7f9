"""Decide whether the results are final. Only final results replace what was published before.

They are final if no shard has a batch job or waits for one, and no stage may still answer a row.
"""

from __future__ import annotations

from collections.abc import Sequence

from bedrock_spark.fanout import count_unsettled
from bedrock_spark.outputs.reconciled_shard import ReconciledShard, unanswered_rows
from bedrock_spark.run_folder.fallback_end import has_fallback_ended, may_fallback_answer
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run


def has_place(run: Run) -> bool:
    """Tell whether the config says where to publish the results."""
    return (run.config.results.path or run.config.results.table) is not None


def why_not_final(
    run: Run, manifest: RunManifest, reconciled: Sequence[ReconciledShard], *, is_over: bool
) -> str | None:
    """Return what the results still wait for, or None if they are final.

    is_over: whether the fallback gave up, or may ask no more
    """
    unsettled = count_unsettled(run, manifest)
    if unsettled:
        shards = (
            "1 shard has an active batch job or waits"
            if unsettled == 1
            else (f"{unsettled:,} shards have active batch jobs or wait")
        )
        return f"{shards} for one: submit or run goes on with them"
    unanswered = unanswered_rows(reconciled)
    has_ended = is_over or has_fallback_ended(run.storage)
    if not unanswered or has_ended:
        return None
    config = run.config
    least = config.shards.min_records
    if config.results.parse and any(s.invalid_unanswered >= least for s in reconciled):
        return (
            "answers that do not fit results.parse will be asked again by batch jobs: submit or "
            "run goes on with them"
        )
    if may_fallback_answer(config, unanswered, has_ended=has_ended):
        rows = "1 row" if unanswered == 1 else f"{unanswered:,} rows"
        return f"the fallback may still answer {rows}: fallback or run asks it"
    return None
