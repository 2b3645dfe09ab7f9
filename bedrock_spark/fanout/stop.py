"""Stop a run for the user: stop all of its jobs, and submit no more.

The answers of a stopped job are kept. The ledger records the request before the call: a job that
anybody else stopped is submitted again.

A job that the service does not let the caller stop ends the wait: an error lists the jobs that run
on and are billed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bedrock_spark.errors import JobError, JobRejectedError, JobsNotStoppedError
from bedrock_spark.fanout.controller import Controller
from bedrock_spark.fanout.step_result import StepResult
from bedrock_spark.fanout.tracker import USER
from bedrock_spark.progress import Observer, Progress, ignore_progress
from bedrock_spark.run_folder.lease import RENEW_SECONDS
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.ledger.events import Held

STOPPED = "it was stopped by the user; run or submit goes on with it"
_POLL_SECONDS = 10.0
# How long a listing may lag behind: it may not show a job whose creator then died.
_LAG_SECONDS = 60.0
# How often a job is asked to stop: if the service refuses it, and if it does not answer.
_REFUSED_TRIES, _TRIES = 3, 30
# How many of the jobs that run on an error lists.
_LISTED = 20


def stop_run(controller: Controller, observe: Observer = ignore_progress) -> StepResult:
    """Stop every active job, wait until they are settled, and hold the run.

    A controller whose lease was taken over may create announced jobs until its next renewal:
    stopping waits that long. Raises JobsNotStoppedError once no other job is active if jobs cannot
    be stopped.
    """
    began = controller.clock.now()
    if controller.hold is None or controller.hold.kind != "stopped":
        controller.note([Held("stopped", STOPPED, began)])
    took_over = controller.lease is not None and controller.lease.took_over
    until = began + (RENEW_SECONDS if took_over else 0.0)
    if controller.tracker.announced_jobs():
        until = max(until, began + _LAG_SECONDS)
    refusals = _Refusals()
    while True:
        result = controller.advance()
        observe(_progress(result, refusals))
        running = controller.tracker.running_jobs()
        refusals.note(running, controller.stop_jobs(running, USER))
        if controller.clock.now() >= until:
            if result.active == 0:
                return result
            refusals.raise_if_all(controller.tracker.running_jobs(), controller.run.storage.uri)
        configured = controller.run.config.batch.poll_seconds
        controller.clock.sleep(min(configured or _POLL_SECONDS, _POLL_SECONDS))


@dataclass
class _Refusals:
    """How often each job was not stopped, in a row, and why not."""

    tries: dict[str, int] = field(default_factory=dict)
    errors: dict[str, JobError] = field(default_factory=dict)

    def note(self, running: Sequence[Job], failed: Mapping[str, JobError]) -> None:
        """Note for which of the running jobs the last request to stop failed."""
        self.errors = dict(failed)
        names = {job.job_name for job in running}
        self.tries = {name: self.tries.get(name, 0) + 1 for name in failed if name in names}

    def raise_if_all(self, running: Sequence[Job], uri: str) -> None:
        """Raise JobsNotStoppedError if every job that runs has been asked often enough."""
        if not running or not all(self._is_given_up(job.job_name) for job in running):
            return
        messages = dict.fromkeys(str(self.errors[job.job_name]) for job in running[:_LISTED])
        jobs = [job.seen.job_arn for job in running if job.seen is not None]
        more = f" and {len(jobs) - _LISTED} more" if len(jobs) > _LISTED else ""
        raise JobsNotStoppedError(
            f"{uri}: {len(jobs)} jobs cannot be stopped; they run on, and are billed: "
            f"{', '.join(jobs[:_LISTED])}{more}. The service says: {'; '.join(messages)}. The run "
            "is marked as stopped and submits nothing. Run stop again with the permission "
            "bedrock:StopModelInvocationJob"
        )

    def _is_given_up(self, job_name: str) -> bool:
        is_refused = isinstance(self.errors.get(job_name), JobRejectedError)
        return self.tries.get(job_name, 0) >= (_REFUSED_TRIES if is_refused else _TRIES)


def _progress(result: StepResult, refusals: _Refusals) -> Progress:
    """Return what stopping waits for, in words; with the service's message if it refuses."""
    detail = f"{result.active:,} jobs are active"
    if refusals.errors:
        message = next(iter(refusals.errors.values()))
        detail += f"; {len(refusals.errors)} are not stopped yet: {message}"
    waits_for = "the jobs to stop" if result.active else "a job that no listing shows yet"
    return Progress("stop", 0, None, detail, waits_for=waits_for)
