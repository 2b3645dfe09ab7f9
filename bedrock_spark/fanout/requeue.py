"""Ask records with an answer again by batch, if their shard has enough of them for a job.

The reconciliation that collect wrote names the records, and the limit of tokens that each of them
gets. It is used only if it was made of the jobs and outputs that are there now, by the rules of the
config as it is now; else records whose answer is ok by now, or which the user does not want to ask
again, would be paid for again.
"""

from __future__ import annotations

from bedrock_spark.fanout.controller import Controller
from bedrock_spark.fanout.deadline import is_over
from bedrock_spark.fanout.remainder import chosen_input
from bedrock_spark.outputs.ask_again import ask_again_of, rules_digest
from bedrock_spark.outputs.reconciled_shard import ReconciledShard, read_all_reconciled
from bedrock_spark.outputs.shard_outputs import jobs_digest, outputs_digest, shard_inputs
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.ledger import ExtraAttempt
from bedrock_spark.run_folder.published import Publications


def requeue_answered(controller: Controller) -> int:
    """Give shards with enough such records an extra attempt; return how many shards these are.

    After the deadline there are none: a job would be stopped as soon as it was created. Nor after
    the rows were appended to the place of the results: more answers could not be appended.
    """
    run, storage = controller.run, controller.run.storage
    again = ask_again_of(run.config)
    if not again.total or is_over(run.config, run.begun_at, controller.clock.now()):
        return 0
    if run.config.results.mode == "append" and Publications(storage).has_appended():
        return 0
    rules = rules_digest(run.config)
    path = again.ceiling.path if again.ceiling is not None else ()
    extra_attempts: dict[str, ExtraAttempt] = {}
    for reconciled in read_all_reconciled(storage):
        record_ids = reconciled.again_ids
        if reconciled.rules != rules:
            continue
        shard = controller.shard(reconciled.unit)
        if shard is None or len(record_ids) < run.config.shards.min_records:
            continue
        last = controller.last_job(shard.shard_id)
        if last is None or not _is_up_to_date(controller, reconciled):
            continue
        limits = reconciled.limits if path else {}
        limits = {i: limits[i] for i in record_ids if i in limits}
        made = chosen_input(storage, shard, last.attempt + 1, record_ids, path, limits)
        extra_attempts[shard.shard_id] = ExtraAttempt(
            last.attempt + 1, made.key, made.records, made.sha256, sum(limits.values())
        )
    if extra_attempts:
        controller.requeue(extra_attempts)
    return len(extra_attempts)


def _is_up_to_date(controller: Controller, reconciled: ReconciledShard) -> bool:
    """Tell whether a reconciliation covers all jobs, their output and the fallback's answers."""
    jobs = controller.tracker.jobs_of(reconciled.unit)
    if jobs_digest(jobs) != reconciled.jobs_known:
        return False
    inputs = shard_inputs(controller.run.storage, reconciled.unit)
    answers = {stored.key for stored in inputs if stored.key.startswith(f"{layout.FALLBACK}/")}
    return outputs_digest(inputs) == reconciled.outputs and answers == set(
        reconciled.fallback_files
    )
