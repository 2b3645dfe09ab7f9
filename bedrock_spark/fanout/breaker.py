"""A circuit breaker (https://martinfowler.com/bliki/CircuitBreaker.html) on what jobs come to.

If a run's jobs answer no record, its next jobs most likely will not either, whatever the service's
messages say. So the run is held before the other shards are tried, and before the fallback is asked
for all of them at another price. A person removes the cause; then the same shards are tried again.

Jobs of the same shard count once: one bad shard holds nothing. Jobs that never began, and jobs that
a person or the deadline stopped, do not count.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence

from bedrock_spark.config import Config
from bedrock_spark.errors import StorageError
from bedrock_spark.fanout.tracker import ShardTracker
from bedrock_spark.outputs.lines import OutputRecord, read_lines
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.job_plan import output_prefix
from bedrock_spark.run_folder.ledger import Job, Streak
from bedrock_spark.storage import Storage

log = logging.getLogger(__name__)

# The run is held if the jobs of its first shards answer nothing. A run of at most this many shards
# is never held: it has no other jobs to protect, and fallback.max_share protects the money.
FIRST_SHARDS = 2
# The same later, for the jobs of this many shards in a row. If one job in twenty fails at random,
# 100,000 jobs have five failures in a row in three runs of a hundred.
SHARDS_IN_A_ROW = 5
# If at most this share of the records is left, the run is not held: little is left to protect.
FEW_LEFT = 0.10

# How many messages the reason has, and how long each may be.
_MESSAGES, _MESSAGE_LENGTH = 3, 300
# How many jobs a reason looks at.
_JOBS = 20
# How much of an output file is read for its error codes.
_HEAD_BYTES = 65_536


def is_tripped(streak: Streak, tracker: ShardTracker) -> bool:
    """Tell whether the last jobs answered nothing, and enough of the run is left to hold it."""
    jobs = [tracker.jobs[name] for name in streak.job_names]
    shards = {job.shard_id for job in jobs} & tracker.shards.keys()
    if len(shards) < (SHARDS_IN_A_ROW if streak.is_proven else FIRST_SHARDS):
        return False
    if len(tracker.shards) <= FIRST_SHARDS:
        return False
    done = sum(tracker.shards[s].records for s in shards if tracker.is_done(s))
    return tracker.records_left + done > FEW_LEFT * tracker.records


def reason_of(jobs: Sequence[Job], config: Config, storage: Storage) -> str:
    """Return why the run is held: what the jobs came to, the most frequent first, and what to do.

    jobs: the last ones that answered nothing; not more than a few of them are looked at
    It holds the service's messages and error codes, and nothing of a record.
    """
    jobs = jobs[-_JOBS:]
    grouped = Counter(_outcome(job, storage) for job in jobs)
    causes = [f"{count} x {outcome}" for outcome, count in grouped.most_common(_MESSAGES)]
    if len(grouped) > _MESSAGES:
        causes.append(f"and {len(grouped) - _MESSAGES} other outcomes")
    fallback = (
        " To have the fallback answer everything instead, at its own price: bedrock-spark fallback "
        "with fallback.max_share: 1.0."
        if config.fallback is not None
        else ""
    )
    return (
        f"the last {len(jobs)} batch jobs answered no record: {'; '.join(causes)}. Correct the "
        "cause, and run submit or run again: it tries the same shards again. If the model refuses "
        f"the requests themselves, correct them in a new run_uri.{fallback}"
    )


def _outcome(job: Job, storage: Storage) -> str:
    assert job.seen is not None
    at = f" at {job.target}" if job.target else ""
    if job.seen.message:
        return f'{job.seen.status}{at} "{_message(job)}"'
    return f"{job.seen.status}{at}{_codes(job, storage)}"


def _message(job: Job) -> str:
    """Return a job's message without what is the job's own, so that equal causes are equal."""
    assert job.seen is not None
    message = job.seen.message or ""
    for own in (job.seen.job_arn, job.job_name, job.seen.job_id):
        message = message.replace(own, "...")
    message = " ".join(message.split())
    if len(message) <= _MESSAGE_LENGTH:
        return message
    return f"{message[:_MESSAGE_LENGTH]} ..."


def _codes(job: Job, storage: Storage) -> str:
    """Return the error codes at the beginning of a job's output, in words."""
    try:
        codes = Counter(_error_codes(job, storage))
    except StorageError as exc:
        log.info("%s: %s", job.job_name, exc)
        return ""
    if not codes:
        return " without output"
    return " with errors only: " + ", ".join(f"code {code}" for code, _ in codes.most_common(3))


def _error_codes(job: Job, storage: Storage) -> Iterable[int | str]:
    prefix = output_prefix(job.shard_id, job.attempt, job.token)
    for output in storage.list(prefix):
        if layout.has_output_lines(output.key) and output.size:
            for record in read_lines(storage.read_range(output.key, 0, _HEAD_BYTES)):
                if isinstance(record, OutputRecord) and record.error is not None:
                    yield record.error.code or "unknown"
            return
