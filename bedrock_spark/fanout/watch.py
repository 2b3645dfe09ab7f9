"""Open a run's fan-out, and take steps until every shard is settled."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from bedrock_spark.aws.clients import queue_client, quotas_client
from bedrock_spark.aws.service_quotas import read_job_quota
from bedrock_spark.clock import Clock
from bedrock_spark.errors import (
    BedrockSparkError,
    ConfigError,
    JobRejectedError,
    JobsWithoutAnswersError,
    NoSlotAtAllError,
    RunStoppedError,
)
from bedrock_spark.fanout.controller import Controller
from bedrock_spark.fanout.cost_profiles import delete_profiles_if_done
from bedrock_spark.fanout.event_queue import EventWaiter
from bedrock_spark.fanout.meter import Meter
from bedrock_spark.fanout.scheduler import AllowAll, SubmitPolicy
from bedrock_spark.fanout.step_result import StepResult, progress_of
from bedrock_spark.fanout.targets import jobs_by, targets_of
from bedrock_spark.progress import Observer, ignore_progress
from bedrock_spark.run_folder.lease import CONTROL, RENEW_SECONDS, Lease
from bedrock_spark.run_folder.lease_wait import NO_WAIT, LeaseWait
from bedrock_spark.run_folder.ledger import BREAKER, NO_SLOTS, REFUSED, STOPPED_BY_USER, Ledger
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.prepared_files import check_shard_files
from bedrock_spark.run_folder.run import Run

log = logging.getLogger(__name__)

# A configured interval is varied by this share, to keep the polls of several runs apart.
_JITTER = 0.2
# Service Quotas is asked once a day.
_QUOTA_SECONDS = 86_400.0

# The error that a run ends with, by the kind of its hold.
_HOLD_ERRORS: dict[str, type[BedrockSparkError]] = {
    STOPPED_BY_USER: RunStoppedError,
    REFUSED: JobRejectedError,
    BREAKER: JobsWithoutAnswersError,
    NO_SLOTS: NoSlotAtAllError,
}

# Waits for some seconds; returns True if an event ended the wait early.
Waiter = Callable[[float], bool | None]


def open_controller(
    run: Run,
    manifest: RunManifest,
    clock: Clock,
    lease: Lease | None = None,
    policy: SubmitPolicy | None = None,
    *,
    reads_only: bool = False,
) -> Controller:
    """Return the controller of a run as its ledger leaves it. Only the lease's holder may advance.

    Raises ConfigError if the run folder is not in S3.
    """
    check_reachable(run)
    targets = targets_of(run, jobs_by(clock))
    return Controller(
        run,
        manifest,
        clock,
        targets,
        Ledger(run.storage),
        lease,
        policy or AllowAll(),
        reads_only=reads_only,
    )


def ask_service_quotas(controller: Controller) -> None:
    """Ask Service Quotas for the slots that the config does not name, once a day."""
    now = controller.clock.now()
    for target in controller.targets:
        asked_at = target.slots.asked_at
        is_known = asked_at is not None and 0 <= now - asked_at < _QUOTA_SECONDS
        if target.has_configured_slots or is_known:
            continue
        client = quotas_client(replace(controller.run.aws, region=target.region or None))
        target.slots.most = read_job_quota(client, target.model_id) or target.slots.most
        target.slots.asked_at = now


@contextmanager
def leased_controller(
    run: Run,
    manifest: RunManifest,
    clock: Clock,
    policy: SubmitPolicy | None = None,
    purpose: str = CONTROL,
    wait: LeaseWait = NO_WAIT,
) -> Iterator[Controller]:
    """Acquire the run's lease and open its controller.

    wait: for another process that has the lease and may be dead
    Raises RunHeldError if another process has the lease, and RunFolderError if the file of a shard
    that waits for a job is not as prepare wrote it.
    """
    check_reachable(run)
    with Lease(run.storage, clock, purpose, wait) as lease:
        controller = open_controller(run, manifest, clock, lease, policy)
        if purpose == CONTROL:
            check_shard_files(run.storage, manifest.prepare_id, controller.waiting_shards())
            ask_service_quotas(controller)
        try:
            yield controller
        except BaseException:
            _flush_quietly(controller)
            raise
        controller.flush()
    delete_profiles_if_done(run, clock)


def _flush_quietly(controller: Controller) -> None:
    """Write what is known while another error is raised; what is lost can be found out again."""
    try:
        controller.flush()
    except BedrockSparkError as exc:
        log.warning("%s: %s", controller.run.run_id, exc)


def check_reachable(run: Run) -> None:
    """Raise ConfigError if batch jobs cannot reach the run folder."""
    if not run.storage.uri.startswith("s3://"):
        raise ConfigError(
            f"run_uri = {run.storage.uri!r}: Bedrock reads and writes S3 only; batch jobs need an "
            "s3:// run_uri"
        )


def watch(
    controller: Controller,
    observe: Observer = ignore_progress,
    wait: Waiter | None = None,
    meter: Meter | None = None,
) -> StepResult:
    """Advance until every shard is settled, with a wait between steps.

    meter: counts for the progress
    If nothing more may be submitted, the running jobs are watched until they end. Raises
    JobRejectedError if the service refused a job, RunStoppedError if the run was stopped meanwhile,
    JobsWithoutAnswersError if the jobs answer no record, NoSlotAtAllError if the account allows no
    job; a policy's reason is in the result that is returned.
    """
    wait = wait or waiter_of(controller)
    meter = meter or Meter(controller)
    while True:
        result = controller.advance()
        observe(progress_of(result, meter.counts(result)))
        is_over = result.active <= controller.unreachable
        if result.is_done or (result.reason is not None and is_over):
            raise_refusal(controller, result)
            return result
        _wait_for_next_step(controller, wait)


def waiter_of(controller: Controller) -> Waiter:
    """Return how to wait: by the clock, or for an event if the config names a queue."""
    url = controller.run.config.events.queue_url
    if url is None:
        return controller.clock.sleep
    client = queue_client(controller.run.aws)
    return EventWaiter(client, url, controller.run.run_id, controller.clock)


def raise_refusal(controller: Controller, result: StepResult) -> None:
    """Raise the error because of which nothing more is submitted, if shards are left."""
    if result.is_done:
        return
    if controller.rejection is not None:
        raise controller.rejection
    if controller.hold is not None:
        kind = _HOLD_ERRORS.get(controller.hold.kind, JobRejectedError)
        raise kind(f"{controller.run.storage.uri}: {controller.hold.reason}")


def _wait_for_next_step(controller: Controller, wait: Waiter) -> None:
    """Wait in pieces that are short enough to renew the lease."""
    left = poll_seconds(controller)
    while left > 0:
        piece = min(left, RENEW_SECONDS)
        has_event = wait(piece)
        if controller.lease is not None:
            controller.lease.renew_if_due()
        left = 0.0 if has_event else left - piece


def poll_seconds(controller: Controller) -> float:
    """Return how long to wait for the next step: as configured, or by the jobs' expected ends."""
    configured = controller.run.config.batch.poll_seconds
    if configured is not None:
        return configured * random.uniform(1 - _JITTER, 1 + _JITTER)
    return controller.next_poll_seconds()
