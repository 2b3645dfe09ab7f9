"""Move batch jobs through their statuses: a discrete-event simulation.

Every status ends with an event on the timeline. Emulated times alone decide a job's result: how
many records fit before the timeout, how many were done when the job was stopped. So the result
does not depend on the speed of this machine. `processing.JobWork` does the work on other threads;
an event waits until its work is done.

https://en.wikipedia.org/wiki/Discrete-event_simulation
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from bedrock_emulator.batch.processing import JobWork, failure_message
from bedrock_emulator.errors import conflict
from bedrock_emulator.faults import JobFaults
from bedrock_emulator.state.jobs import Counts, Job
from bedrock_emulator.state.world import EmulatorState

log = logging.getLogger(__name__)

_WAITING = frozenset({"Submitted", "Validating", "Scheduled"})
_RUNNING = frozenset({"InProgress", "Stopping"})
_UNSETTLED = _WAITING | _RUNNING


class JobRunner:
    """Changes the statuses of all jobs; one per emulator."""

    def __init__(self, world: EmulatorState, work: JobWork) -> None:
        self._world = world
        self._work = work

    # --- from outside ---------------------------------------------------------------------------

    def begin(self, job: Job) -> None:
        """Schedule the events of a job that was just created."""
        submitted = self._world.settings.timings.submitted
        self._at(job, job.submit_time + submitted, self._validate)
        self._at(job, job.expiration_time, self._expire)

    def resume(self, job: Job) -> None:
        """Schedule the events of a job that had not settled before a restart.

        Its work starts again from the first record. The answers are the same, and the bill of the
        job is replaced, so nothing is counted twice.
        """
        if job.status == "Submitted":
            self.begin(job)
            return
        self._at(job, job.expiration_time, self._expire)
        if job.status == "Validating":
            self._at(job, job.modified_time, self._validate)
        elif job.status == "Scheduled":
            self._leave_scheduled(job)
        elif job.status == "InProgress":
            self._at(job, job.modified_time, self._start)
        elif job.status == "Stopping":
            if job.to_process is not None:
                self._work.begin(job)
            self._at(
                job, job.modified_time + self._world.settings.timings.stopping, self._end_stopping
            )

    def stop(self, job: Job) -> None:
        """Stop a job. Its output will hold the records that are done by now.

        Raise ConflictException if it has settled. A job that is Stopping stays as it is.
        """
        now = self._world.clock.now()
        done = self._records_done(job, now) if job.status == "InProgress" else None
        # Move only from the status that was read: `done` is wrong for any other.
        expected = frozenset({job.status}) & (_WAITING | {"InProgress"})
        moved = self._world.jobs.move(job.job_id, expected, "Stopping", now, to_process=done)
        if moved is not None:
            self._at(moved, now + self._world.settings.timings.stopping, self._end_stopping)
            return
        current = self._world.jobs.get(job.job_id)
        if current is None or current.status == "Stopping":
            return
        if current.is_settled:
            raise conflict(f"The job is in status {current.status} and cannot be stopped.")
        self.stop(current)

    def progress(self, job: Job) -> Counts:
        """Return the counts of a job; those of a running job grow with the emulated time."""
        if job.status == "InProgress":
            done = self._records_done(job, self._world.clock.now())
        elif job.status == "Stopping":
            done = job.to_process or 0
        else:
            return job.counts
        return self._work.counts(job, done) or job.counts

    def catch_up(self, timeout: float) -> bool:
        """Wait until every running job has the counts that it has at this emulated time.

        So they do not depend on how fast this machine is. Return False after `timeout` seconds.
        """
        now = self._world.clock.now()
        running = [job for job in self._world.jobs.all() if job.status == "InProgress"]
        return self._work.wait(
            {job.job_id: self._records_done(job, now) for job in running}, timeout
        )

    # --- one method per change of status ---------------------------------------------------------

    def _validate(self, job: Job, at: float) -> None:
        expected = frozenset({"Submitted", "Validating"})
        moved = self._world.jobs.move(job.job_id, expected, "Validating", at)
        if moved is None:
            return
        checked = self._work.check(moved)

        def follow(current: Job, when: float) -> None:
            self._after(current, checked, when, self._end_validation, checked)

        self._at(moved, at + self._world.settings.timings.validating, follow)

    def _end_validation(self, job: Job, at: float, checked: Future[int]) -> None:
        rule = JobFaults.model_validate(job.rule)
        message = failure_message(checked)
        if message is None and rule.end == "Failed":
            message = rule.message or "The job failed because of an internal error. Try again."
        validating = frozenset({"Validating"})
        if message is not None:
            self._settle_without_output(job, validating, "Failed", at, message)
            return
        records = checked.result()
        moved = self._world.jobs.move(job.job_id, validating, "Scheduled", at, records=records)
        if moved is not None:
            self._leave_scheduled(moved)

    def _leave_scheduled(self, job: Job) -> None:
        rule = JobFaults.model_validate(job.rule)
        due = job.modified_time + self._world.settings.timings.scheduled
        if rule.end == "Expired":
            self._at(job, due, self._expire)
        elif rule.stick != "Scheduled":
            self._at(job, due, self._start)

    def _start(self, job: Job, at: float) -> None:
        # After a restart the job is InProgress already and keeps its start time.
        started = job.started_time if job.status == "InProgress" else at
        moved = self._world.jobs.move(
            job.job_id,
            frozenset({"Scheduled", "InProgress"}),
            "InProgress",
            at,
            started_time=started,
            counts=Counts(total=job.records),
        )
        if moved is None:
            return
        self._work.begin(moved)
        end, processed, status = self._plan_end(moved)
        self._at(moved, at + (end - at) / 2, self._write_partial)
        self._at(
            moved, end, lambda current, when: self._end_processing(current, when, processed, status)
        )

    def _plan_end(self, job: Job) -> tuple[float, int, str]:
        """Return when a job ends, the number of records it processes, and its last status."""
        rule = JobFaults.model_validate(job.rule)
        started = job.started_time or 0.0
        seconds = self._processing_seconds(job)
        end, processed, status = started + seconds, job.records, "Completed"
        if rule.end in ("PartiallyCompleted", "Stopped"):
            processed = min(int(job.records * rule.processed_share), job.records - 1)
            end, status = started + seconds * rule.processed_share, rule.end
        if end > job.expiration_time:
            end = job.expiration_time
            processed = min(processed, self._records_done(job, end))
            status = "PartiallyCompleted"
        return end, processed, status

    def _records_done(self, job: Job, at: float) -> int:
        """Return how many records of a running job are done at an emulated time.

        Records are done at an even rate: records x elapsed time / processing time.
        """
        seconds = self._processing_seconds(job)
        share = (at - (job.started_time or at)) / seconds if seconds else 1.0
        return int(job.records * min(1.0, max(0.0, share)))

    def _processing_seconds(self, job: Job) -> float:
        """Return the emulated seconds that all records of a job take."""
        slowdown = JobFaults.model_validate(job.rule).slowdown
        return self._world.settings.timings.processing(job.records) * slowdown

    def _write_partial(self, job: Job, at: float) -> None:
        """Write the lines that are done, half-way through InProgress.

        A caller that reads the output before the job has settled gets too few records.
        """
        if job.status != "InProgress":
            return
        task, done = self._work.task(job.job_id), self._records_done(job, at)

        def write(current: Job, when: float) -> None:
            # If the task has failed, the end of the job reports it.
            if task.exception() is None:
                written = self._work.write_partial(current, done)
                self._after(current, written, when, lambda *_: None)

        self._after(job, task, at, write)

    def _end_processing(self, job: Job, at: float, processed: int, status: str) -> None:
        if job.status == "InProgress":
            self._write_and_settle(job, at, processed, status)

    def _end_stopping(self, job: Job, at: float) -> None:
        if job.status != "Stopping":
            return
        if job.to_process is None:
            self._settle_without_output(job, frozenset({"Stopping"}), "Stopped", at, "")
        else:
            self._write_and_settle(job, at, job.to_process, "Stopped")

    def _write_and_settle(self, job: Job, at: float, processed: int, status: str) -> None:
        """When the job's task is done, write the first `processed` records, then settle.

        If the output is late, settle first.
        """
        late_seconds = JobFaults.model_validate(job.rule).output.late_seconds

        def write(current: Job, when: float) -> None:
            if late_seconds:
                self._settle_before_output(current, when, processed, status, late_seconds)
                return
            written = self._work.write(current, processed)
            self._after(current, written, when, self._settle, written, status)

        self._after(job, self._work.task(job.job_id), at, write)

    def _settle(self, job: Job, at: float, written: Future[Counts], status: str) -> None:
        message = failure_message(written)
        if message is not None:
            self._world.jobs.move(job.job_id, _RUNNING, "Failed", at, message=message)
        else:
            message = JobFaults.model_validate(job.rule).message or ""
            counts = written.result()
            self._world.jobs.move(job.job_id, _RUNNING, status, at, counts=counts, message=message)
        self._work.forget(job.job_id)

    def _settle_before_output(
        self, job: Job, at: float, processed: int, status: str, late_seconds: float
    ) -> None:
        """Settle now, and write the output `late_seconds` later."""
        counts = self._work.counts(job, processed)
        message = JobFaults.model_validate(job.rule).message or ""
        self._world.jobs.move(job.job_id, _RUNNING, status, at, counts=counts, message=message)

        def write(current: Job, when: float) -> None:
            written = self._work.write(current, processed)
            self._after(current, written, when, lambda *_: self._work.forget(job.job_id))

        self._at(job, at + late_seconds, write)

    def _expire(self, job: Job, at: float) -> None:
        message = "The job expired because it did not begin before its timeout."
        self._settle_without_output(job, _WAITING, "Expired", at, message)

    def _settle_without_output(
        self, job: Job, expected: frozenset[str], status: str, at: float, message: str
    ) -> None:
        moved = self._world.jobs.move(job.job_id, expected, status, at, message=message)
        if moved is not None:
            self._work.write_empty_manifest(moved)

    # --- events ---------------------------------------------------------------------------------

    def _at(self, job: Job, due: float, action: Callable[[Job, float], None]) -> None:
        """Schedule `action(job, due)`. It gets the job as it is at that time."""
        job_id = job.job_id

        def act(at: float) -> None:
            current = self._world.jobs.get(job_id)
            if current is None:
                return
            try:
                action(current, at)
            except Exception as exc:
                # A defect of the emulator fails this job, and no other.
                log.exception("job %s failed", job_id)
                message = f"The job failed because of an internal error: {type(exc).__name__}"
                self._world.jobs.move(job_id, _UNSETTLED, "Failed", at, message=message)

        self._world.timeline.schedule(due, job_id, act)

    def _after(
        self, job: Job, future: Future[Any], at: float, action: Callable[..., None], *args: Any
    ) -> None:
        """Run `action(job, at, *args)` as soon as a future is done, even if it has failed.

        Until then no other event of the job runs.
        """
        if future.done():
            action(job, at, *args)
            return
        timeline = self._world.timeline
        timeline.hold(job.job_id)

        def follow(_: Future[Any]) -> None:
            self._at(job, at, lambda current, when: action(current, when, *args))
            timeline.release(job.job_id)

        future.add_done_callback(follow)
