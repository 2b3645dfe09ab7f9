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
from bedrock_spark.fanout.controller import FanOut
from bedrock_spark.fanout.event_queue import EventSleeper
from bedrock_spark.fanout.scheduler import AllowAll, SubmitPolicy
from bedrock_spark.fanout.step_result import Standing, progress_of
from bedrock_spark.fanout.targets import targets_of
from bedrock_spark.progress import Observer, unobserved
from bedrock_spark.run_folder.lease import DRIVE, RENEW_SECONDS, Lease
from bedrock_spark.run_folder.ledger import Ledger
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run

log = logging.getLogger(__name__)

_JITTER = 0.2
_ASK_AGAIN_SECONDS = 86_400.0

# Waits, and may say (True) that something happened meanwhile.
Sleeper = Callable[[float], bool | None]


def open_fanout(
    run: Run,
    manifest: RunManifest,
    clock: Clock,
    lease: Lease | None = None,
    policy: SubmitPolicy | None = None,
) -> FanOut:
    """Return the fan-out of a run as its ledger leaves it. Only who has its lease may drive it.

    Raises ConfigError where the run folder is not in S3.
    """
    check_reachable(run)
    targets = targets_of(run, lambda aws: BatchJobs(bedrock_client(aws), clock))
    return FanOut(run, manifest, clock, targets, Ledger(run.storage), lease, policy or AllowAll())


def ask_slots_of(fanout: FanOut) -> None:
    """Ask Service Quotas for the slots that the config does not tell, if that is long ago."""
    now = fanout.clock.now()
    for target in fanout.targets:
        asked_at = target.slots.asked_at
        if target.told or (asked_at is not None and 0 <= now - asked_at < _ASK_AGAIN_SECONDS):
            continue
        client = quotas_client(replace(fanout.run.aws, region=target.region or None))
        target.slots.most = ask_slots(client, target.model_id) or target.slots.most
        target.slots.asked_at = now


@contextmanager
def driving(
    run: Run,
    manifest: RunManifest,
    clock: Clock,
    policy: SubmitPolicy | None = None,
    purpose: str = DRIVE,
) -> Iterator[FanOut]:
    """Take the run's lease and open its fan-out. Raises RunHeldError where another drives it."""
    check_reachable(run)
    with Lease(run.storage, clock, purpose) as lease:
        fanout = open_fanout(run, manifest, clock, lease, policy)
        if purpose == DRIVE:
            ask_slots_of(fanout)
        try:
            yield fanout
        except BaseException:
            _flush_quietly(fanout)
            raise
        fanout.flush()


def _flush_quietly(fanout: FanOut) -> None:
    """Write what is known while an error is on its way; what is lost can be found out again."""
    try:
        fanout.flush()
    except BedrockSparkError as exc:
        log.warning("%s: %s", fanout.run.run_id, exc)


def check_reachable(run: Run) -> None:
    """Raise ConfigError where batch jobs cannot reach the run folder."""
    if not run.storage.uri.startswith("s3://"):
        raise ConfigError(
            f"run_uri = {run.storage.uri!r}: Bedrock reads and writes S3 only; batch jobs need an "
            "s3:// run_uri"
        )


def watch(fanout: FanOut, observe: Observer = unobserved, sleep: Sleeper | None = None) -> Standing:
    """Advance until every shard is settled, with a pause between steps.

    Where nothing more may be submitted, what runs is watched to its end. Raises JobRejectedError
    where the service refused a job, RunStoppedError where the run was stopped meanwhile; a policy's
    stop is in the standing that is returned.
    """
    sleep = sleep or sleeper_of(fanout)
    while True:
        standing = fanout.advance()
        observe(progress_of(standing))
        if standing.is_done or (standing.reason is not None and standing.active == 0):
            raise_refusal(fanout, standing)
            return standing
        _pause(fanout, sleep)


def sleeper_of(fanout: FanOut) -> Sleeper:
    """Return how to wait: by the clock, or for an event where the config names a queue."""
    url = fanout.run.config.events.queue_url
    if url is None:
        return fanout.clock.sleep
    return EventSleeper(queue_client(fanout.run.aws), url, fanout.run.run_id, fanout.clock)


def raise_refusal(fanout: FanOut, standing: Standing) -> None:
    """Raise the error for which nothing more is submitted, if shards are left and there is one."""
    if standing.is_done:
        return
    if fanout.rejection is not None:
        raise fanout.rejection
    if fanout.hold is not None:
        kind = RunStoppedError if fanout.hold.kind == "stopped" else JobRejectedError
        raise kind(f"{fanout.run.storage.uri}: {fanout.hold.reason}")


def _pause(fanout: FanOut, sleep: Sleeper) -> None:
    """Wait for the next step, in pieces short enough to keep the lease."""
    left = pause_seconds(fanout)
    while left > 0:
        piece = min(left, RENEW_SECONDS)
        is_awake = sleep(piece)
        if fanout.lease is not None:
            fanout.lease.hold()
        left = 0.0 if is_awake else left - piece


def _counts_nothing(job: SeenJob) -> bool:
    return job.status == "InProgress" and job.processed is None


def pause_seconds(fanout: FanOut) -> float:
    """Return how long to wait for the next step: as configured, or as things change."""
    fixed = fanout.run.config.batch.poll_seconds
    if fixed is not None:
        return fixed * random.uniform(1 - _JITTER, 1 + _JITTER)
    rates = fanout.sweep.rates
    due = [
        pace.Due(rates.done_at(job.job_name), _counts_nothing(job.seen))
        for job in fanout.board.running()
        if job.seen is not None
    ]
    trouble = fanout.submitter.trouble
    return pace.pause(fanout.clock.now(), due, fanout.sweep.typical_seconds, trouble)
