"""Advance and watch the batch jobs, with their numbers shown and compared with the plan."""

from __future__ import annotations

from bedrock_spark.fanout import (
    Controller,
    StepResult,
    progress_of,
    raise_refusal,
    requeue_answered,
)
from bedrock_spark.fanout import watch as watch_jobs
from bedrock_spark.fanout.meter import Meter
from bedrock_spark.fanout.unsettled import tracker_of
from bedrock_spark.planning.drift import warning_of_drift
from bedrock_spark.progress import Observer, ignore_progress
from bedrock_spark.run_folder.ledger import Ledger
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run
from bedrock_spark.submission import refuse_spent


def take_step(run: Run, controller: Controller, observe: Observer) -> StepResult:
    """Take one step of the fan-out: list the jobs once, submit new ones.

    When all shards are settled, those with enough records that collect found to be asked again
    get one more job: the next step submits it. Raises what `Pipeline.advance` says.
    """
    result = controller.advance()
    if observe is not ignore_progress:
        observe(progress_of(result, Meter(controller).counts(result)))
    if result.is_done and requeue_answered(controller):
        return controller.result()
    if controller.rejection is not None or not result.active:
        raise_refusal(controller, result)
        refuse_spent(run, result)
    return result


def watch_to_end(run: Run, controller: Controller, observe: Observer) -> StepResult:
    """Submit and watch batch jobs until every shard is settled.

    A shard gets one extra job if collect found enough records in it that are asked again though
    they have an answer.
    """
    controller.resume()
    requeue_answered(controller)
    meter = Meter(controller)
    return watch_jobs(controller, warning_of_drift(run, meter, observe), meter=meter)


def without_more(run: Run, manifest: RunManifest) -> StepResult:
    """Return the state of the jobs of a run that submits none any more. Makes no call to Bedrock.

    A shard without an active job is settled: what it left unanswered is asked elsewhere.
    """
    tracker = tracker_of(run.config, manifest, Ledger(run.storage).load())
    shards, active = len(tracker.shards), sum(tracker.active.values())
    return StepResult(shards, shards - active, active, 0, tracker.records, tracker.processed)
