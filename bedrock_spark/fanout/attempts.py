"""Plan the next attempt at a shard: its records, its target, and the name of its job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bedrock_spark.fanout.remainder import attempt_input
from bedrock_spark.fanout.targets import Target
from bedrock_spark.outputs.claims import UnfoundAnswers
from bedrock_spark.run_folder.job_plan import JobPlan, output_prefix, plan_job
from bedrock_spark.run_folder.ledger import ExtraAttempt, Job
from bedrock_spark.run_folder.manifest import Shard
from bedrock_spark.run_folder.run import Run


@dataclass(frozen=True)
class NotFound:
    """Answers of the shard's jobs that are claimed and were not found: nothing may be asked again.

    detail: names each job, with what it claims and what was found
    """

    detail: str


def first_attempt(run: Run, shard: Shard, target: Target) -> JobPlan:
    """Return the plan of a shard's first job: all of its records."""
    return _plan(run, shard, target, 1, shard.sha256)


def next_attempt(
    run: Run, shard: Shard, target: Target, latest: Job, jobs: Sequence[Job] = ()
) -> JobPlan | str | NotFound:
    """Return the plan of the job after `latest`, or the reason why the shard needs no more jobs.

    The plan covers the records that have no final answer yet. If these are not all records of the
    shard, their input is written into the run folder first. If answers are claimed and not found,
    there is no plan.

    jobs: all jobs of the shard; the errors of excused ones are not final
    """
    attempt = latest.attempt + 1
    remainder = attempt_input(run.storage, shard, attempt, jobs)
    if isinstance(remainder, tuple):
        return _not_found(remainder)
    if not remainder.records:
        return "every record is answered"
    if remainder.records < run.config.shards.min_records:
        return "too few records are left"
    if remainder.key == shard.key:
        return _plan(run, shard, target, attempt, remainder.sha256)
    return _plan(run, shard, target, attempt, remainder.sha256, remainder.key, remainder.records)


def _not_found(unfound: Sequence[UnfoundAnswers]) -> NotFound:
    return NotFound("; ".join(map(str, unfound)))


def extra_attempt(run: Run, shard: Shard, target: Target, extra: ExtraAttempt) -> JobPlan:
    """Return the plan of an extra attempt, which asks some records of a finished shard again."""
    values = extra.attempt, extra.sha256, extra.input_key, extra.records, extra.longer
    return _plan(run, shard, target, *values)


def _plan(
    run: Run,
    shard: Shard,
    target: Target,
    attempt: int,
    sha256: str,
    input_key: str | None = None,
    records: int | None = None,
    longer: int = 0,
) -> JobPlan:
    return plan_job(
        run.run_id,
        shard.shard_id,
        sha256,
        target.model_id,
        attempt,
        prepare_id=shard.prepare_id,
        input_key=input_key or shard.key,
        records=records,
        target=target.name,
        place=target.place,
        longer=longer,
    )


def announced_job(plan: JobPlan, now: float) -> Job:
    """Return the job as the ledger has it once its plan is announced and before it is submitted."""
    return Job(
        plan.shard_id,
        plan.attempt,
        plan.job_name,
        plan.token,
        input_key=plan.part_key,
        records=plan.records,
        target=plan.target,
        place=plan.place,
        announced_at=now,
        longer=plan.longer,
    )


def plan_of(job: Job, shard: Shard) -> JobPlan:
    """Return the plan of an announced job of this shard: the inverse of `announced_job`."""
    return JobPlan(
        shard_id=job.shard_id,
        attempt=job.attempt,
        job_name=job.job_name,
        token=job.token,
        input_key=job.input_key or shard.key,
        output_prefix=output_prefix(job.shard_id, job.attempt, job.token),
        records=job.records,
        target=job.target,
        place=job.place,
        longer=job.longer,
    )
