"""Ask records again by batch if their answers do not fit `results.parse` and a shard has enough.

The reconciliation that collect wrote names the records. It is used only if it covers everything
that came back for the shard; otherwise records that have an answer by now would be paid for again.
"""

from __future__ import annotations

from bedrock_spark.fanout.controller import Controller
from bedrock_spark.fanout.remainder import chosen_input
from bedrock_spark.outputs.reconciled_shard import ReconciledShard, read_all_reconciled
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.ledger import ExtraAttempt, Job
from bedrock_spark.run_folder.run import Run


def requeue_invalid(controller: Controller) -> int:
    """Give shards with enough such records an extra attempt; return how many shards these are."""
    run, storage = controller.run, controller.run.storage
    parse = run.config.results.parse
    if parse is None or not parse.retries:
        return 0
    extra_attempts: dict[str, ExtraAttempt] = {}
    for reconciled in read_all_reconciled(storage):
        record_ids = reconciled.invalid_ids
        shard = controller.shard(reconciled.unit)
        if shard is None or len(record_ids) < run.config.shards.min_records:
            continue
        last = controller.last_job(shard.shard_id)
        if last is None or not _is_up_to_date(run, reconciled, last):
            continue
        made = chosen_input(storage, shard, last.attempt + 1, record_ids)
        extra_attempts[shard.shard_id] = ExtraAttempt(
            last.attempt + 1, made.key, made.records, made.sha256
        )
    if extra_attempts:
        controller.requeue(extra_attempts)
    return len(extra_attempts)


def _is_up_to_date(run: Run, reconciled: ReconciledShard, last: Job) -> bool:
    """Tell whether a reconciliation covers the last job and every answer of the fallback."""
    if last.seen is None or all(job.job_id != last.seen.job_id for job in reconciled.jobs):
        return False
    answers = run.storage.list(layout.fallback_prefix(reconciled.unit))
    return set(reconciled.fallback_files) == {answer.key for answer in answers}
