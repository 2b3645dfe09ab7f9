"""How a batch job goes through its statuses.

Each status has an event on the timeline that ends it. What a job comes to is decided from emulated
times alone (how many records fit before the timeout, how many were done when it was stopped), so
that it does not depend on how fast this machine is. The work itself is `job_work`'s, on other
threads; an event whose work is not done yet waits for it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from bedrock_emulator.batch.processing import JobWork, problem
from bedrock_emulator.errors import conflict
from bedrock_emulator.faults import JobFaults
from bedrock_emulator.state.jobs import Counts, Job
from bedrock_emulator.state.world import World

_WAITING = frozenset({"Submitted", "Validating", "Scheduled"})
_RUNNING = frozenset({"InProgress", "Stopping"})


class JobRunner:
    """Moves jobs along; one per emulator."""

    def __init__(self, world: World, work: JobWork) -> None:
        self._world = world
        self._work = work

    # --- from outside ---------------------------------------------------------------------------

    def begin(self, job: Job) -> None:
        """Schedule the events of a job that was just created."""
        submitted = self._world.settings.timings.submitted
        self._at(job, job.submit_time + submitted, self._validate)
        self._at(job, job.expiration_time, self._expire)

    def resume(self, job: Job) -> None:
        """Schedule the events of a job found unsettled after a restart.

        Work that was under way is done again from the start; answers are the same, and a job's
        bill is replaced, so nothing is counted twice.
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
            self._at(job, job.modified_time + self._world.settings.timings.stopping, self._stopped)

    def stop(self, job: Job) -> None:
        """Stop a job: what is processed by now will be its output."""
        now = self._world.clock.now()
        done = self._modelled(job, now) if job.status == "InProgress" else None
        # Expected is the status that was looked at: in another, another number is processed.
        expected = frozenset({job.status}) & (_WAITING | {"InProgress"})
        moved = self._world.jobs.move(job.job_id, expected, "Stopping", now, to_process=done)
        if moved is not None:
            self._at(moved, now + self._world.settings.timings.stopping, self._stopped)
            return
        current = self._world.jobs.get(job.job_id)
        if current is None or current.status == "Stopping":
            return
        if current.is_settled:
            raise conflict(f"The job is in status {current.status} and cannot be stopped.")
        self.stop(current)

    def progress(self, job: Job) -> Counts:
        """Return the counts to show: those of a running job grow with the emulated time."""
        if job.status != "InProgress":
            return job.counts
        modelled = self._modelled(job, self._world.clock.now())
        return self._work.counts(job, modelled) or job.counts

    # --- one method per change of status ---------------------------------------------------------

    def _validate(self, job: Job, at: float) -> None:
        expected = frozenset({"Submitted", "Validating"})
        moved = self._world.jobs.move(job.job_id, expected, "Validating", at)
        if moved is None:
            return
        checked = self._work.check(moved)
        due = at + self._world.settings.timings.validating
        self._at(
            moved, due, lambda now, when: self._after(now, checked, when, self._valid, checked)
        )

    def _valid(self, job: Job, at: float, checked: Future[int]) -> None:
        rule = JobFaults.model_validate(job.rule)
        message = problem(checked)
        if message is None and rule.end == "Failed":
            message = rule.message or "The job failed because of an internal error. Try again."
        validating = frozenset({"Validating"})
        if message is not None:
            self._end_empty(job, validating, "Failed", at, message)
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
        # After a restart the job is InProgress already, and began when it did.
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
        end, processed, status = self._plan(moved)
        self._at(moved, at + (end - at) / 2, self._show)
        self._at(moved, end, lambda now, when: self._end(now, when, processed, status))

    def _plan(self, job: Job) -> tuple[float, int, str]:
        """Return when a job ends, after how many records, and in which status."""
        rule = JobFaults.model_validate(job.rule)
        started = job.started_time or 0.0
        length = self._length(job)
        end, processed, status = started + length, job.records, "Completed"
        if rule.end in ("PartiallyCompleted", "Stopped"):
            processed = min(int(job.records * rule.processed_share), job.records - 1)
            end, status = started + length * rule.processed_share, rule.end
        if end > job.expiration_time:
            end = job.expiration_time
            processed = min(processed, self._modelled(job, end))
            status = "PartiallyCompleted"
        return end, processed, status

    def _modelled(self, job: Job, at: float) -> int:
        """Return how many records of a running job are done at an emulated time."""
        length = self._length(job)
        share = (at - (job.started_time or at)) / length if length else 1.0
        return int(job.records * min(1.0, max(0.0, share)))

    def _length(self, job: Job) -> float:
        """Return how many emulated seconds all records of a job take."""
        slowdown = JobFaults.model_validate(job.rule).slowdown
        return self._world.settings.timings.processing(job.records) * slowdown

    def _show(self, job: Job, at: float) -> None:
        """Half-way, write what is done: who reads before the job has settled reads too little."""
        if job.status != "InProgress":
            return
        task, done = self._work.task(job.job_id), self._modelled(job, at)

        def show(now: Job, when: float) -> None:
            # A task that failed is found by the end of the job, which tells why.
            if task.exception() is None:
                shown = self._work.show(now, done)
                self._after(now, shown, when, lambda *_: None)

        self._after(job, task, at, show)

    def _end(self, job: Job, at: float, processed: int, status: str) -> None:
        if job.status == "InProgress":
            self._finish(job, at, processed, status)

    def _stopped(self, job: Job, at: float) -> None:
        if job.status != "Stopping":
            return
        if job.to_process is None:
            self._end_empty(job, frozenset({"Stopping"}), "Stopped", at, "")
        else:
            self._finish(job, at, job.to_process, "Stopped")

    def _finish(self, job: Job, at: float, processed: int, status: str) -> None:
        """Write what was processed once that is done, then settle."""

        def write(now: Job, when: float) -> None:
            written = self._work.write(now, processed)
            self._after(now, written, when, self._settle, written, status)

        self._after(job, self._work.task(job.job_id), at, write)

    def _settle(self, job: Job, at: float, written: Future[Counts], status: str) -> None:
        message = problem(written)
        if message is not None:
            self._world.jobs.move(job.job_id, _RUNNING, "Failed", at, message=message)
        else:
            told = JobFaults.model_validate(job.rule).message or ""
            counts = written.result()
            self._world.jobs.move(job.job_id, _RUNNING, status, at, counts=counts, message=told)
        self._work.forget(job.job_id)

    def _expire(self, job: Job, at: float) -> None:
        message = "The job expired because it did not begin before its timeout."
        self._end_empty(job, _WAITING, "Expired", at, message)

    def _end_empty(
        self, job: Job, expected: frozenset[str], status: str, at: float, message: str
    ) -> None:
        moved = self._world.jobs.move(job.job_id, expected, status, at, message=message)
        if moved is not None:
            self._work.write_nothing(moved)

    # --- events ---------------------------------------------------------------------------------

    def _at(self, job: Job, due: float, action: Callable[[Job, float], None]) -> None:
        """Schedule an action on a job, which gets the job as it is by then."""
        job_id = job.job_id

        def act(at: float) -> None:
            current = self._world.jobs.get(job_id)
            if current is not None:
                action(current, at)

        self._world.timeline.schedule(due, job_id, act)

    def _after(
        self, job: Job, future: Future[Any], at: float, action: Callable[..., None], *args: Any
    ) -> None:
        """Run `action(job, at, *args)` when a future is done, however it ended; at once if it is.

        Until then no other event of the job happens.
        """
        if future.done():
            action(job, at, *args)
            return
        timeline = self._world.timeline
        timeline.hold(job.job_id)

        def follow(_: Future[Any]) -> None:
            self._at(job, at, lambda now, when: action(now, when, *args))
            timeline.release(job.job_id)

        future.add_done_callback(follow)
