"""Ask records with an answer again by batch, if their shard has enough of them for a job.

The reconciliation that collect wrote names the records, and the limit of tokens that each of them
gets. It is used only if it was made of the jobs and outputs that are there now, by the rules of the
config as it is now; else records whose answer is ok by now, or which the user does not want to ask
again, would be paid for again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from bedrock_spark.fanout.controller import Controller
from bedrock_spark.fanout.deadline import is_over
from bedrock_spark.fanout.remainder import chosen_input
from bedrock_spark.outputs.ask_again import ask_again_of, rules_digest
from bedrock_spark.outputs.reconciled_shard import ReconciledShard, read_reconciled
from bedrock_spark.outputs.reconciliations import find_reconciliations
from bedrock_spark.outputs.run_inputs import inputs_of
from bedrock_spark.outputs.shard_outputs import jobs_digest, outputs_digest
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.ledger import ExtraAttempt, Job
from bedrock_spark.run_folder.manifest import Shard
from bedrock_spark.run_folder.published import Publications
from bedrock_spark.storage import StoredObject


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
    for shard, last, reconciled in _up_to_date(controller, rules):
        record_ids = reconciled.again_ids
        limits = reconciled.limits if path else {}
        limits = {i: limits[i] for i in record_ids if i in limits}
        made = chosen_input(storage, shard, last.attempt + 1, record_ids, path, limits)
        extra_attempts[shard.shard_id] = ExtraAttempt(
            last.attempt + 1, made.key, made.records, made.sha256, sum(limits.values())
        )
    if extra_attempts:
        controller.requeue(extra_attempts)
    return len(extra_attempts)


def _up_to_date(controller: Controller, rules: str) -> Iterator[tuple[Shard, Job, ReconciledShard]]:
    """Yield the shards with enough such records, their last jobs, and their reconciliations.

    The table of reconciliations names them. The lists of records are read of these shards only.
    """
    storage, least = controller.run.storage, controller.run.config.shards.min_records
    units = _units_with(controller, rules, least)
    for unit, inputs in inputs_of(storage, units).items():
        shard, last = controller.shard(unit), controller.last_job(unit)
        if shard is None or last is None:
            continue
        reconciled = read_reconciled(storage, unit)
        is_same = reconciled.rules == rules and _has_these_jobs(controller, reconciled)
        if is_same and len(reconciled.again_ids) >= least and _covers(reconciled, inputs):
            yield shard, last, reconciled


def _units_with(controller: Controller, rules: str, least: int) -> list[str]:
    """Return the shards with at least `least` such records, as the table says."""

    def is_wanted(brief: _Brief) -> bool:
        # Of most shards, these two members are all that is looked at.
        return (
            brief.rules == rules
            and brief.again_records >= least
            and _has_these_jobs(controller, brief)
        )

    found = find_reconciliations(controller.run.storage, _Brief, is_wanted)
    return sorted(brief.unit for brief in found)


class _Brief(msgspec.Struct, frozen=True):
    """The members of a reconciliation that tell whether its lists are read."""

    unit: str
    rules: str = ""
    again_records: int = 0
    jobs_known: str = ""


def _has_these_jobs(controller: Controller, reconciled: ReconciledShard | _Brief) -> bool:
    """Tell whether a reconciliation covers all jobs of its shard, as they are now."""
    return jobs_digest(controller.tracker.jobs_of(reconciled.unit)) == reconciled.jobs_known


def _covers(reconciled: ReconciledShard, inputs: Sequence[StoredObject]) -> bool:
    """Tell whether a reconciliation covers the batch output and the fallback's answers."""
    answers = {stored.key for stored in inputs if stored.key.startswith(f"{layout.FALLBACK}/")}
    return outputs_digest(inputs) == reconciled.outputs and answers == set(
        reconciled.fallback_files
    )
