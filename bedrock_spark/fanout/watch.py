"""Open a run's fan-out, and step until every shard is settled."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from bedrock_spark.aws.batch_jobs import BatchJobs, SeenJob
from bedrock_spark.aws.clients import bedrock_client, queue_client, quotas_client
from bedrock_spark.aws.service_quotas import ask_slots
from bedrock_spark.clock import Clock
from bedrock_spark.errors import BedrockSparkError, ConfigError, JobRejectedError, RunStoppedError
from bedrock_spark.fanout import poll_interval as pace
from bedrock_spark.fanout.controller import Controller
from bedrock_spark.fanout.event_queue import EventWaiter
from bedrock_spark.fanout.scheduler import AllowAll, SubmitPolicy
from bedrock_spark.fanout.step_result import StepResult, progress_of
from bedrock_spark.fanout.targets import targets_of
from bedrock_spark.progress import Observer, unobserved
from bedrock_spark.run_folder.lease import CONTROL, RENEW_SECONDS, Lease
from bedrock_spark.run_folder.ledger import Ledger
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run

log = logging.getLogger(__name__)

_JITTER = 0.2
_ASK_AGAIN_SECONDS = 86_400.0

# Waits, and may say (True) that something happened meanwhile.
Waiter = Callable[[float], bool | None]


def open_controller(
    run: Run,
    manifest: RunManifest,
    clock: Clock,
    lease: Lease | None = None,
    policy: SubmitPolicy | None = None,
) -> Controller:
    """Return the fan-out of a run as its ledger leaves it. Only who has its lease may drive it.

    Raises ConfigError where the run folder is not in S3.
    """
    check_reachable(run)
    targets = targets_of(run, lambda aws: BatchJobs(bedrock_client(aws), clock))
    return Controller(
        run, manifest, clock, targets, Ledger(run.storage), lease, policy or AllowAll()
    )


def ask_service_quotas(controller: Controller) -> None:
    """Ask Service Quotas for the slots that the config does not tell, if that is long ago."""
    now = controller.clock.now()
    for target in controller.targets:
        asked_at = target.slots.asked_at
        if target.told or (asked_at is not None and 0 <= now - asked_at < _ASK_AGAIN_SECONDS):
            continue
        client = quotas_client(replace(controller.run.aws, region=target.region or None))
        target.slots.most = ask_slots(client, target.model_id) or target.slots.most
        target.slots.asked_at = now


@contextmanager
def leased_controller(
    run: Run,
    manifest: RunManifest,
    clock: Clock,
    policy: SubmitPolicy | None = None,
    purpose: str = CONTROL,
) -> Iterator[Controller]:
    """Take the run's lease and open its fan-out. Raises RunHeldError where another drives it."""
    check_reachable(run)
    with Lease(run.storage, clock, purpose) as lease:
        controller = open_controller(run, manifest, clock, lease, policy)
        if purpose == CONTROL:
            ask_service_quotas(controller)
        try:
            yield controller
        except BaseException:
            _flush_quietly(controller)
            raise
        controller.flush()


def _flush_quietly(controller: Controller) -> None:
    """Write what is known while an error is on its way; what is lost can be found out again."""
    try:
        controller.flush()
    except BedrockSparkError as exc:
        log.warning("%s: %s", controller.run.run_id, exc)


def check_reachable(run: Run) -> None:
    """Raise ConfigError where batch jobs cannot reach the run folder."""
    if not run.storage.uri.startswith("s3://"):
        raise ConfigError(
            f"run_uri = {run.storage.uri!r}: Bedrock reads and writes S3 only; batch jobs need an "
            "s3:// run_uri"
        )


def watch(
    controller: Controller, observe: Observer = unobserved, sleep: Waiter | None = None
) -> StepResult:
    """Advance until every shard is settled, with a pause between steps.

    Where nothing more may be submitted, what runs is watched to its end. Raises JobRejectedError
    where the service refused a job, RunStoppedError where the run was stopped meanwhile; a policy's
    stop is in the standing that is returned.
    """
    sleep = sleep or waiter_of(controller)
    while True:
        result = controller.advance()
        observe(progress_of(result))
        if result.is_done or (result.reason is not None and result.active == 0):
            raise_refusal(controller, result)
            return result
        _pause(controller, sleep)


def waiter_of(controller: Controller) -> Waiter:
    """Return how to wait: by the clock, or for an event where the config names a queue."""
    url = controller.run.config.events.queue_url
    if url is None:
        return controller.clock.sleep
    return EventWaiter(
        queue_client(controller.run.aws), url, controller.run.run_id, controller.clock
    )


def raise_refusal(controller: Controller, result: StepResult) -> None:
    """Raise the error for which nothing more is submitted, if shards are left and there is one."""
    if result.is_done:
        return
    if controller.rejection is not None:
        raise controller.rejection
    if controller.hold is not None:
        kind = RunStoppedError if controller.hold.kind == "stopped" else JobRejectedError
        raise kind(f"{controller.run.storage.uri}: {controller.hold.reason}")


def _pause(controller: Controller, sleep: Waiter) -> None:
    """Wait for the next step, in pieces short enough to keep the lease."""
    left = pause_seconds(controller)
    while left > 0:
        piece = min(left, RENEW_SECONDS)
        is_awake = sleep(piece)
        if controller.lease is not None:
            controller.lease.hold()
        left = 0.0 if is_awake else left - piece


def _counts_nothing(job: SeenJob) -> bool:
    return job.status == "InProgress" and job.processed is None


def pause_seconds(controller: Controller) -> float:
    """Return how long to wait for the next step: as configured, or as things change."""
    fixed = controller.run.config.batch.poll_seconds
    if fixed is not None:
        return fixed * random.uniform(1 - _JITTER, 1 + _JITTER)
    rates = controller.sweep.throughput
    due = [
        pace.Due(rates.done_at(job.job_name), _counts_nothing(job.seen))
        for job in controller.tracker.running()
        if job.seen is not None
    ]
    trouble = controller.submitter.trouble
    return pace.pause(controller.clock.now(), due, controller.sweep.typical_seconds, trouble)
