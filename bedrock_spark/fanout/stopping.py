"""Stop jobs: for the user, all of them; for a deadline, those that will not make it.

What a stopped job answered is kept. That the run asked for it is in the ledger before the call: a
job that was stopped by anybody else is submitted again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from bedrock_spark.errors import JobError
from bedrock_spark.fanout.board import USER
from bedrock_spark.fanout.driver import FanOut
from bedrock_spark.fanout.standing import Standing, progress_of
from bedrock_spark.lease import RENEW_SECONDS
from bedrock_spark.ledger import Job, events
from bedrock_spark.progress import Observer, unobserved

log = logging.getLogger(__name__)

STOPPED = "it was stopped by the user; run or submit goes on with it"
_LOOK_SECONDS = 10.0


def ask_to_stop(fanout: FanOut, jobs: Iterable[Job], why: str) -> None:
    """Ask the service to stop jobs; they settle later, or have settled meanwhile."""
    now = fanout.clock.now()
    wanted = [job for job in jobs if job.seen is not None and job.seen.status != "Stopping"]
    fanout.note([events.stopping(j.job_name, why, now) for j in wanted if j.stopping is None])
    for job in wanted:
        assert job.seen is not None
        fanout.mark_stopping(job, why)
        try:
            fanout.sweep.target_of(job).jobs.stop(job.seen.job_arn)
        except JobError as exc:
            log.info("%s %s: %s", fanout.run.run_id, job.job_name, exc)  # most likely it has ended


def stop_run(fanout: FanOut, observe: Observer = unobserved) -> Standing:
    """Stop every active job, wait until they are settled, and hold the run.

    A driver from whom the lease was taken over may create jobs that it had announced until its next
    renewal: so long is waited.
    """
    began = fanout.clock.now()
    if fanout.hold is None or fanout.hold.kind != "stopped":
        fanout.note([events.held("stopped", STOPPED, began)])
    took_over = fanout.lease is not None and fanout.lease.took_over
    until = began + (RENEW_SECONDS if took_over else 0.0)
    while True:
        standing = fanout.advance()
        observe(progress_of(standing))
        ask_to_stop(fanout, fanout.board.running(), USER)
        if standing.active == 0 and fanout.clock.now() >= until:
            return standing
        fixed = fanout.run.config.batch.poll_seconds
        fanout.clock.sleep(min(fixed or _LOOK_SECONDS, _LOOK_SECONDS))
