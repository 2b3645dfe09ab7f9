"""The work of batch jobs, on worker threads beside the timeline: check, process, write, bill.

Nothing here knows about statuses or times: `runner` decides when work starts and how many records
count.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from bedrock_emulator.batch.input import JobInputError, check_input, find_input_files, raw_records
from bedrock_emulator.batch.output import JobOutput, Spool
from bedrock_emulator.batch.records import RecordRules, RecordWork
from bedrock_emulator.families.family import Context
from bedrock_emulator.families.model_ids import resolve
from bedrock_emulator.faults import Faults, JobFaults
from bedrock_emulator.s3.objects import ObjectError
from bedrock_emulator.state.jobs import Counts, Job
from bedrock_emulator.state.paid_answers import BatchAnswer
from bedrock_emulator.state.usage import JobBill
from bedrock_emulator.state.world import EmulatorState

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.01


@dataclass(frozen=True)
class _Processing:
    """The records of one job: their output so far, the names of its files, and the task."""

    spool: Spool
    names: list[str]
    task: Future[None]


class JobWork:
    """Runs the work of all jobs; one per emulator."""

    def __init__(self, world: EmulatorState) -> None:
        self._world = world
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="job")
        self._processing: dict[str, _Processing] = {}

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        for processing in self._processing.values():
            processing.spool.close()

    def check(self, job: Job) -> Future[int]:
        """Validate a job's input. The future holds the number of records, or JobInputError."""
        quotas = self._world.faults.quotas
        return self._pool.submit(check_input, self._world.objects, job.arn, job.input_uri, quotas)

    def begin(self, job: Job) -> None:
        """Start to process all records. `write` decides later how many of them count."""
        spool, names = Spool(), list[str]()
        task = self._pool.submit(self._process, job, spool, names)
        self._processing[job.job_id] = _Processing(spool, names, task)

    def task(self, job_id: str) -> Future[None]:
        """Return the future of a begun job; it is done when all its records are processed."""
        return self._processing[job_id].task

    def write_partial(self, job: Job, processed: int) -> Future[Counts]:
        """Write the lines of the first `processed` records while the job runs, as Bedrock may."""
        return self._pool.submit(self._write_lines, job, processed)

    def write(self, job: Job, processed: int) -> Future[Counts]:
        """Write the output of the first `processed` records and bill them."""
        return self._pool.submit(self._write, job, processed)

    def forget(self, job_id: str) -> None:
        """Delete the spool of a job."""
        processing = self._processing.pop(job_id, None)
        if processing is not None:
            processing.spool.close()

    def counts(self, job: Job, processed: int) -> Counts | None:
        """Return the counts after `processed` records, or after all that are spooled if fewer.

        None if the job has not begun.
        """
        processing = self._processing.get(job.job_id)
        if processing is None:
            return None
        return processing.spool.counts(job.records, min(processed, processing.spool.done))

    def wait(self, records: dict[str, int], timeout: float) -> bool:
        """Wait until this many records of each job are processed. Return False after `timeout`.

        Jobs whose work has not begun or has failed are not waited for.
        """
        until = time.monotonic() + timeout
        for job_id, count in records.items():
            processing = self._processing.get(job_id)
            while processing is not None and processing.spool.done < count:
                if processing.task.done() or time.monotonic() > until:
                    break
                wait([processing.task], _LOOK_SECONDS)
        return time.monotonic() <= until

    def write_empty_manifest(self, job: Job) -> None:
        """Write the manifest of a job that processed no records."""
        try:
            self._output(job).write_manifest(None, 0, 0)
        except ObjectError as exc:
            # The job has settled anyway. It may have failed because its bucket is gone.
            log.warning("job %s: no manifest written: %s", job.job_id, exc)

    # --- on the worker threads -------------------------------------------------------------------

    def _process(self, job: Job, spool: Spool, names: list[str]) -> None:
        ref = resolve(job.base_model_id, job.region)
        rule = JobFaults.model_validate(job.rule)
        record_work = RecordWork(
            job_name=job.name,
            family=ref.family,
            context=Context(ref.base_model_id, self._world.backend, self._world.answers),
            is_converse=job.is_converse,
            rules=_record_rules(self._world.faults.current, rule, self._world.faults.seed),
            errors_in_model_output=rule.output.errors_in_model_output,
            null_members=self._world.faults.current.behaviour.null_members,
        )
        number = 0
        for file_index, file in enumerate(find_input_files(self._world.objects, job.input_uri)):
            names.append(file.name)
            for line in raw_records(self._world.objects, file):
                spool.add(file_index, record_work.process(line, number))
                number += 1

    def _write_lines(self, job: Job, processed: int) -> Counts:
        processing = self._processing[job.job_id]
        processing.task.result()
        self._output(job).write_lines(processing.spool, processing.names, job.records, processed)
        return processing.spool.counts(job.records, processed)

    def _write(self, job: Job, processed: int) -> Counts:
        processing = self._processing[job.job_id]
        processing.task.result()
        spool, output = processing.spool, self._output(job)
        undelivered = output.write_lines(spool, processing.names, job.records, processed)
        output.write_manifest(spool, job.records, processed)
        self._bill(job, spool, processed, undelivered)
        return spool.counts(job.records, processed)

    def _output(self, job: Job) -> JobOutput:
        rule = JobFaults.model_validate(job.rule)
        seed = self._world.faults.seed
        return JobOutput(self._world.objects, job.output_uri, job.job_id, rule, seed)

    def _bill(self, job: Job, spool: Spool, processed: int, undelivered: set[int]) -> None:
        input_tokens, output_tokens = spool.tokens(processed)
        bill = JobBill(
            job_arn=job.arn,
            job_name=job.name,
            client_request_token=job.token,
            model_id=job.base_model_id,
            input_uri=job.input_uri,
            records_billed=spool.counts(job.records, processed).success,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
        )
        self._world.usage.bill_job(
            bill,
            (
                BatchAnswer(
                    spool.digest(index),
                    spool.record_ids[index],
                    is_paid=index < processed and spool.is_ok(index),
                    is_delivered=index not in undelivered,
                )
                for index in range(spool.done)
            ),
        )


def failure_message(future: Future[int] | Future[Counts]) -> str | None:
    """Return the job's message if a future that is done has failed, otherwise None."""
    error = future.exception()
    if error is None:
        return None
    if isinstance(error, JobInputError | ObjectError):
        return str(error)
    log.error("a job's work failed", exc_info=error)
    return f"The job failed because of an internal error: {type(error).__name__}"


def _record_rules(faults: Faults, rule: JobFaults, seed: int) -> RecordRules:
    """Return the `all_records` rule of a job's rule if it has one, otherwise the script's rules."""
    if rule.all_records is None:
        return RecordRules(faults.records, seed)
    return RecordRules((rule.all_records,), seed)
