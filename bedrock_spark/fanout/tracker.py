"""Which shard waits, which has a job, which is done.

The tracker is kept up to date job by job: a step costs what changed in it, not what the run has.
"""

from __future__ import annotations

import enum
from collections import Counter, deque
from collections.abc import Iterable

from bedrock_spark.fanout.failure_causes import Cause, cause_of, is_complete
from bedrock_spark.run_folder.ledger import ExtraAttempt, Job, LedgerState
from bedrock_spark.run_folder.manifest import Shard

USER, DEADLINE = "user", "deadline"


class ShardState(enum.Enum):
    """Where a shard is."""

    WAITING = "waiting"
    OPEN = "open"
    BLOCKED = "blocked"
    DONE = "done"


class ShardTracker:
    """The shards that batch jobs take, and the newest job of each.

    jobs: every job of the run by name, as it was seen last
    open: those that are announced or active, by name
    attempts: how many jobs a shard may have
    """

    def __init__(self, shards: Iterable[Shard], attempts: int, state: LedgerState) -> None:
        self.shards = {s.shard_id: s for s in shards}
        self.records = sum(s.records for s in self.shards.values())
        self.processed = 0
        self.jobs: dict[str, Job] = {}
        self.open: dict[str, Job] = {}
        self.active: Counter[str] = Counter()
        self._attempts = attempts
        self._finished = dict(state.finished)
        self._again = dict(state.again)
        self._latest: dict[str, Job] = {}
        self._excused: Counter[str] = Counter()
        self._phases = dict.fromkeys(self.shards, ShardState.WAITING)
        self._counts = Counter({ShardState.WAITING: len(self.shards)})
        self._waiting = deque(self.shards)
        self._refusals: dict[str, str] = {}
        for job in sorted(state.jobs.values(), key=lambda j: j.attempt):
            self.put(job)
        self._waiting = deque(s for s in self.shards if self._phases[s] is ShardState.WAITING)

    @property
    def settled(self) -> int:
        """Return how many shards need no more jobs."""
        return self._counts[ShardState.DONE]

    @property
    def waiting(self) -> int:
        """Return how many shards wait for a job."""
        return self._counts[ShardState.WAITING]

    @property
    def refusal(self) -> str | None:
        """Return the message of a job that failed for a reason that every job would meet."""
        return next(iter(self._refusals.values()), None)

    def done_shards(self) -> list[str]:
        """Return the shards that need no more jobs."""
        return [shard_id for shard_id, phase in self._phases.items() if phase is ShardState.DONE]

    def waiting_shards(self) -> list[str]:
        """Return the shards that wait for a job."""
        return [s for s in self._waiting if self._phases[s] is ShardState.WAITING]

    def announced(self) -> list[Job]:
        """Return the jobs that were about to be created and of which nothing was seen."""
        return [job for job in self.open.values() if job.seen is None]

    def running(self) -> list[Job]:
        """Return the jobs that are seen and not settled."""
        return [job for job in self.open.values() if job.seen is not None]

    def repeat(self, shard_id: str) -> ExtraAttempt | None:
        """Return the job that a shard shall have though its jobs are over, until it has it."""
        repeat, latest = self._again.get(shard_id), self._latest.get(shard_id)
        is_due = repeat is not None and latest is not None and repeat.attempt > latest.attempt
        return repeat if is_due else None

    def is_done(self, shard_id: str) -> bool:
        """Tell whether a shard needs no more jobs."""
        return self._phases.get(shard_id) is ShardState.DONE

    def reopen(self, shard_id: str, repeat: ExtraAttempt) -> None:
        """Let a shard whose jobs are over have another."""
        self._finished.pop(shard_id, None)
        self._again[shard_id] = repeat
        self._place(shard_id)

    def latest(self, shard_id: str) -> Job | None:
        """Return the newest job of a shard."""
        return self._latest.get(shard_id)

    def put(self, job: Job) -> None:
        """Note a job as it is now."""
        before = self.jobs.get(job.job_name)
        self.jobs[job.job_name] = job
        self._count(before, -1)
        self._count(job, 1)
        if job.is_settled:
            self.open.pop(job.job_name, None)
        else:
            self.open[job.job_name] = job
        if job.shard_id not in self.shards:
            return
        latest = self._latest.get(job.shard_id)
        if latest is None or job.attempt >= latest.attempt:
            self._latest[job.shard_id] = job
            self._place(job.shard_id)

    def _count(self, job: Job | None, by: int) -> None:
        if job is None or job.seen is None:
            return
        self.processed += by * (job.seen.processed or 0)
        if not job.is_settled:
            self.active[job.target] += by
        elif job.stopping == USER or _is_refused(job):
            self._excused[job.shard_id] += by

    def finish(self, shard_id: str, why: str) -> None:
        """Note that a shard needs no more jobs, though its last did not complete."""
        self._finished[shard_id] = why
        self._again.pop(shard_id, None)
        self._place(shard_id)

    def unblock(self) -> None:
        """Let shards whose jobs were refused have another attempt: somebody mended the cause."""
        for shard_id in list(self._refusals):
            del self._refusals[shard_id]
            self._move(shard_id, ShardState.WAITING)

    def take(self) -> str | None:
        """Take the next waiting shard from the queue, or None."""
        while self._waiting:
            shard_id = self._waiting.popleft()
            if self._phases[shard_id] is ShardState.WAITING:
                return shard_id
        return None

    def give_back(self, shard_id: str) -> None:
        """Put a shard that was taken at the head of the queue."""
        self._waiting.appendleft(shard_id)

    def _place(self, shard_id: str) -> None:
        self._move(shard_id, self._phase(shard_id))

    def _move(self, shard_id: str, phase: ShardState) -> None:
        before = self._phases[shard_id]
        if before is phase:
            return
        self._phases[shard_id] = phase
        self._counts[before] -= 1
        self._counts[phase] += 1
        if phase is ShardState.WAITING:
            self._waiting.appendleft(shard_id)  # what was begun is finished first

    def _phase(self, shard_id: str) -> ShardState:
        """Say what a shard needs.

        A job that came to its end is a shard's last, even with every record an error: what it left
        out goes to the fallback.
        """
        if shard_id in self._finished:
            return ShardState.DONE
        if self.repeat(shard_id) is not None:
            return ShardState.WAITING
        job = self._latest[shard_id]
        if job.seen is None or not job.is_settled:
            return ShardState.OPEN
        if is_complete(job.seen) or job.stopping == DEADLINE:
            return ShardState.DONE
        cause = cause_of(job.seen)
        if cause is Cause.REFUSED:
            self._refusals[shard_id] = f"{job.seen.job_arn}: {job.seen.message}"
            return ShardState.BLOCKED
        if cause is Cause.BAD_INPUT or job.attempt - self._excused[shard_id] >= self._attempts:
            return ShardState.DONE
        return ShardState.WAITING


def _is_refused(job: Job) -> bool:
    """Tell whether a job failed for a reason that every job would meet: that is no attempt."""
    return job.seen is not None and cause_of(job.seen) is Cause.REFUSED
