"""How a batch job goes through its statuses.

Each status has an event on the timeline that ends it. What a job comes to is decided from emulated
times alone (how many records fit before the timeout, how many were done when it was stopped), so
that it does not depend on how fast this machine is. The records themselves are processed by a
worker thread meanwhile; an event whose work is not done yet waits for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from bedrock_spark.emulator.families.family import Context
from bedrock_spark.emulator.faults import Faults, JobFaults
from bedrock_spark.emulator.job_input import JobInputError, check_input, locate, raw_records
from bedrock_spark.emulator.job_output import JobOutput, Spool
from bedrock_spark.emulator.jobs import Counts, Job
from bedrock_spark.emulator.model_ids import resolve
from bedrock_spark.emulator.objects import ObjectError
from bedrock_spark.emulator.records import RecordRules, RecordWork
from bedrock_spark.emulator.service_errors import conflict
from bedrock_spark.emulator.usage import JobBill
from bedrock_spark.emulator.world import World

log = logging.getLogger(__name__)

_WAITING = frozenset({"Submitted", "Validating", "Scheduled"})


@dataclass
class _Work:
    """The records of a job while they are processed."""

    spool: Spool
    names: list[str]


class JobRunner:
    """Moves jobs along; one per emulator."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="job")
        self._processing: dict[str, tuple[_Work, Future[None]]] = {}

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        for work, _ in self._processing.values():
            work.spool.close()

    # --- events ---------------------------------------------------------------------------------

    def begin(self, job: Job) -> None:
        """Schedule the events of a job that was just created."""
        timings, timeline = self._world.settings.timings, self._world.timeline
        due, job_id = job.submit_time + timings.submitted, job.job_id
        timeline.schedule(due, job_id, lambda at: self._validate(job_id, at))
        timeline.schedule(job.expiration_time, job_id, lambda at: self._expire(job_id, at))

    def resume(self, job: Job) -> None:
        """Schedule the events of a job found unsettled after a restart.

        Work that was under way is done again from the start; answers are the same, and a job's
        bill is replaced, so nothing is counted twice.
        """
        job_id, since = job.job_id, job.modified_time
        timings, schedule = self._world.settings.timings, self._world.timeline.schedule
        if job.status == "Submitted":
            self.begin(job)
            return
        schedule(job.expiration_time, job_id, lambda at: self._expire(job_id, at))
        if job.status == "Validating":
            schedule(since, job_id, lambda at: self._validate(job_id, at))
        elif job.status == "Scheduled":
            self._leave_scheduled(job)
        elif job.status == "InProgress":
            schedule(since, job_id, lambda at: self._start(job_id, at))
        elif job.status == "Stopping":
            if job.to_process is not None:
                self._process_in_background(job)
            schedule(since + timings.stopping, job_id, lambda at: self._stopped(job_id, at))

    def stop(self, job: Job) -> None:
        """Stop a job: what is processed by now will be its output."""
        now = self._world.clock.now()
        expected = _WAITING | {"InProgress"}
        done = self._modelled(job, now) if job.status == "InProgress" else None
        moved = self._world.jobs.move(job.job_id, expected, "Stopping", now, to_process=done)
        if moved is None:
            current = self._world.jobs.get(job.job_id)
            if current is not None and current.is_settled:
                raise conflict(f"The job is in status {current.status} and cannot be stopped.")
            return
        due = now + self._world.settings.timings.stopping
        self._world.timeline.schedule(due, job.job_id, lambda at: self._stopped(job.job_id, at))

    def progress(self, job: Job) -> Counts:
        """Return the counts to show: those of a running job grow with the emulated time."""
        if job.status != "InProgress" or job.job_id not in self._processing:
            return job.counts
        work, _ = self._processing[job.job_id]
        done = min(self._modelled(job, self._world.clock.now()), work.spool.done)
        return work.spool.counts(job.records, done)

    # --- one method per change of status ---------------------------------------------------------

    def _validate(self, job_id: str, at: float) -> None:
        job = self._world.jobs.move(
            job_id, frozenset({"Submitted", "Validating"}), "Validating", at
        )
        if job is None:
            return
        quotas = self._world.faults.quotas
        checked = self._pool.submit(
            check_input, self._world.objects, job.arn, job.input_uri, quotas
        )
        due = at + self._world.settings.timings.validating

        def checked_by(when: float) -> None:
            self._after(job_id, checked, when, lambda at: self._valid(job, checked, at))

        self._world.timeline.schedule(due, job_id, checked_by)

    def _valid(self, job: Job, checked: Future[int], at: float) -> None:
        rule = JobFaults.model_validate(job.rule)
        problem = self._problem(checked)
        if problem is None and rule.end == "Failed":
            problem = rule.message or "The job failed because of an internal error. Try again."
        validating = frozenset({"Validating"})
        if problem is not None:
            self._finish_empty(job, validating, "Failed", at, problem)
            return
        records = checked.result()
        moved = self._world.jobs.move(job.job_id, validating, "Scheduled", at, records=records)
        if moved is not None:
            self._leave_scheduled(moved)

    def _leave_scheduled(self, job: Job) -> None:
        rule = JobFaults.model_validate(job.rule)
        due = job.modified_time + self._world.settings.timings.scheduled
        if rule.end == "Expired":
            self._world.timeline.schedule(due, job.job_id, lambda at: self._expire(job.job_id, at))
        elif rule.stick != "Scheduled":
            self._world.timeline.schedule(due, job.job_id, lambda at: self._start(job.job_id, at))

    def _start(self, job_id: str, at: float) -> None:
        job = self._world.jobs.get(job_id)
        if job is None:
            return
        started = job.started_time if job.status == "InProgress" else at
        job = self._world.jobs.move(
            job_id,
            frozenset({"Scheduled", "InProgress"}),
            "InProgress",
            at,
            started_time=started,
            counts=Counts(total=job.records),
        )
        if job is None:
            return
        self._process_in_background(job)
        end, processed, status = self._plan(job)
        self._world.timeline.schedule(
            end, job_id, lambda when: self._end(job_id, processed, status, when)
        )

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

    def _end(self, job_id: str, processed: int, status: str, at: float) -> None:
        job = self._world.jobs.get(job_id)
        if job is not None and job.status == "InProgress":
            self._finish(job, processed, status, at)

    def _stopped(self, job_id: str, at: float) -> None:
        job = self._world.jobs.get(job_id)
        if job is None or job.status != "Stopping":
            return
        if job.to_process is None:
            self._finish_empty(job, frozenset({"Stopping"}), "Stopped", at, "")
        else:
            self._finish(job, job.to_process, "Stopped", at)

    def _expire(self, job_id: str, at: float) -> None:
        job = self._world.jobs.get(job_id)
        if job is not None and job.status in _WAITING:
            message = "The job expired because it did not begin before its timeout."
            self._finish_empty(job, _WAITING, "Expired", at, message)

    # --- work -----------------------------------------------------------------------------------

    def _process_in_background(self, job: Job) -> None:
        work = _Work(Spool(), [])
        self._processing[job.job_id] = (work, self._pool.submit(self._process, job, work))

    def _process(self, job: Job, work: _Work) -> None:
        ref = resolve(job.model_arn, job.region)
        rule = JobFaults.model_validate(job.rule)
        record_work = RecordWork(
            job_name=job.name,
            family=ref.family,
            context=Context(ref.base_model_id, self._world.backend),
            is_converse=job.is_converse,
            rules=_record_rules(self._world.faults.current, rule, self._world.faults.seed),
            errors_in_model_output=rule.output.errors_in_model_output,
        )
        number = 0
        for file_index, file in enumerate(locate(self._world.objects, job.input_uri)):
            work.names.append(file.name)
            for line in raw_records(self._world.objects, file):
                work.spool.add(file_index, record_work.process(line, number))
                number += 1

    def _finish(self, job: Job, processed: int, status: str, at: float) -> None:
        """Write what was processed, bill it, and settle the job."""
        work, processing = self._processing[job.job_id]

        def write(when: float) -> None:
            written = self._pool.submit(self._write, job, work, processing, processed)
            self._after(
                job.job_id, written, when, lambda w: self._settle(job, work, written, status, w)
            )

        self._after(job.job_id, processing, at, write)

    def _write(self, job: Job, work: _Work, processing: Future[None], processed: int) -> Counts:
        processing.result()
        rule = JobFaults.model_validate(job.rule)
        seed = self._world.faults.seed
        output = JobOutput(self._world.objects, job.output_uri, job.job_id, rule, seed)
        undelivered = output.write(work.spool, work.names, job.records, processed)
        self._bill(job, work.spool, processed, undelivered)
        return work.spool.counts(job.records, processed)

    def _bill(self, job: Job, spool: Spool, processed: int, undelivered: set[int]) -> None:
        counts = spool.counts(job.records, processed)
        input_tokens, output_tokens = spool.tokens(processed)
        bill = JobBill(
            job_arn=job.arn,
            job_name=job.name,
            client_request_token=job.token,
            model_id=job.base_model_id,
            input_uri=job.input_uri,
            records_billed=counts.success,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
        )
        self._world.usage.bill_job(
            bill,
            (
                (spool.record_ids[index], index not in undelivered)
                for index in range(processed)
                if spool.is_ok(index)
            ),
        )

    def _settle(
        self, job: Job, work: _Work, written: Future[Counts], status: str, at: float
    ) -> None:
        problem = self._problem(written)
        expected = frozenset({"InProgress", "Stopping"})
        if problem is not None:
            self._world.jobs.move(job.job_id, expected, "Failed", at, message=problem)
        else:
            counts = written.result()
            message = JobFaults.model_validate(job.rule).message or ""
            self._world.jobs.move(job.job_id, expected, status, at, counts=counts, message=message)
        self._processing.pop(job.job_id, None)
        work.spool.close()

    def _finish_empty(
        self, job: Job, expected: frozenset[str], status: str, at: float, message: str
    ) -> None:
        rule = JobFaults.model_validate(job.rule)
        moved = self._world.jobs.move(job.job_id, expected, status, at, message=message)
        if moved is None:
            return
        output = JobOutput(self._world.objects, job.output_uri, job.job_id, rule, 0)
        try:
            output.write_manifest(None, 0, 0)
        except ObjectError as exc:
            # The job has settled all the same: the bucket may be gone, which is why it failed.
            log.warning("job %s: no manifest written: %s", job.job_id, exc)

    def _problem(self, future: Future[int] | Future[Counts]) -> str | None:
        """Return why work failed as a job's message, None if it did not."""
        error = future.exception()
        if error is None:
            return None
        if isinstance(error, JobInputError | ObjectError):
            return str(error)
        log.error("a job's work failed", exc_info=error)
        return f"The job failed because of an internal error: {type(error).__name__}"

    def _after(
        self, job_id: str, future: Future[Any], at: float, action: Callable[[float], None]
    ) -> None:
        """Run `action(at)` when the future is done, however it ended; at once if it is."""
        if future.done():
            action(at)
            return
        timeline = self._world.timeline
        timeline.hold(job_id)

        def follow(_: Future[Any]) -> None:
            timeline.schedule(at, job_id, action)
            timeline.release(job_id)

        future.add_done_callback(follow)


def _record_rules(faults: Faults, rule: JobFaults, seed: int) -> RecordRules:
    """Return the record rules of a script, or those a job rule has for all records of its job."""
    if rule.all_records is None:
        return RecordRules(faults.records, seed)
    return RecordRules((rule.all_records,), seed)
