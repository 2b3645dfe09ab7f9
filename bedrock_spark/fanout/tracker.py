"""Which shard waits, which has a job, which is done.

The tracker is updated job by job: a step costs what changed in it, not the size of the run.
"""

from __future__ import annotations

import enum
from collections import Counter, OrderedDict
from collections.abc import Iterable
from operator import attrgetter

from msgspec.structs import replace

from bedrock_spark.aws.batch_jobs import FAILED
from bedrock_spark.fanout.failure_causes import Cause, cause_of, is_complete
from bedrock_spark.fanout.placed_shards import PlacedShards
from bedrock_spark.run_folder.ledger import ExtraAttempt, Job, KnownJobs, LedgerState
from bedrock_spark.run_folder.manifest import Shard

USER, DEADLINE = "user", "deadline"


class ShardState(enum.Enum):
    """What a shard does: wait for a job, have one, wait for a person, or need nothing more.

    TAKEN: a step plans its next job, which is not announced yet.
    """

    WAITING = "waiting"
    TAKEN = "taken"
    OPEN = "open"
    BLOCKED = "blocked"
    DONE = "done"


class ShardTracker:
    """The shards that batch jobs take, and the newest job of each.

    shards: by id
    jobs: every job of the run by name, as it was last seen
    open: the announced and the active jobs, by name
    active: the number of active jobs, by target
    attempts: how many jobs a shard may have
    """

    def __init__(self, shards: Iterable[Shard], attempts: int, state: LedgerState) -> None:
        self.shards = PlacedShards(shards)
        self.records = sum(s.records for s in self.shards.in_order())
        self.processed = 0
        self.jobs = KnownJobs(sorted(state.jobs.values(), key=attrgetter("attempt")))
        self.open: dict[str, Job] = {}
        self.active: Counter[str] = Counter()
        self._attempts = attempts
        self._finished = dict(state.finished)
        self._extra_attempts = dict(state.extra_attempts)
        # Of each shard, by its place.
        self._latest: list[Job | None] = [None] * len(self.shards)
        # The names of the other jobs of a shard, if it has several.
        self._others: dict[str, list[str]] = {}
        # Jobs that use up no attempt: the user stopped them, the service refused them, or they
        # were excused.
        self._free_attempts: Counter[str] = Counter()
        self._taken: dict[str, None] = {}
        self._refusals: dict[str, str] = {}
        # Whether the shards of excused jobs wait for a person, and not for a job.
        self._is_held = state.hold is not None
        jobs = self.jobs.values()
        places = self.shards.places(job.shard_id for job in jobs)
        for job, place in zip(jobs, places, strict=True):
            self._note_new(job, place)
        self._states = [self._state(place) for place in range(len(self.shards))]
        self._counts = {state: self._states.count(state) for state in ShardState}
        all_shards = zip(self.shards.in_order(), self._states, strict=True)
        self._records_done = sum(s.records for s, state in all_shards if state is ShardState.DONE)
        # The waiting shards, each once: the next one is the first.
        self._queue = OrderedDict.fromkeys(self._shards_in(ShardState.WAITING))

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

    @property
    def records_left(self) -> int:
        """Return the records of the shards that are not done."""
        return self.records - self._records_done

    def open_shards(self) -> list[str]:
        """Return the shards that are not done."""
        every = zip(self.shards.ids, self._states, strict=True)
        return [shard_id for shard_id, state in every if state is not ShardState.DONE]

    def done_shards(self) -> list[str]:
        """Return the shards that need no more jobs."""
        return self._shards_in(ShardState.DONE)

    def _shards_in(self, state: ShardState) -> list[str]:
        every = zip(self.shards.ids, self._states, strict=True)
        return [shard_id for shard_id, own in every if own is state]

    def waiting_shards(self) -> list[str]:
        """Return the shards that wait for a job."""
        return list(self._queue)

    def announced_jobs(self) -> list[Job]:
        """Return the jobs whose intent is written and that no listing has shown."""
        return [job for job in self.open.values() if job.seen is None]

    def running_jobs(self) -> list[Job]:
        """Return the jobs that a listing has shown and that are not settled."""
        return [job for job in self.open.values() if job.seen is not None]

    def extra_attempt(self, shard_id: str) -> ExtraAttempt | None:
        """Return the extra attempt of a finished shard, or None once its job exists."""
        extra = self._extra_attempts.get(shard_id)
        latest = self.latest(shard_id) if extra is not None else None
        is_due = extra is not None and latest is not None and extra.attempt > latest.attempt
        return extra if is_due else None

    def is_done(self, shard_id: str) -> bool:
        """Tell whether a shard needs no more jobs."""
        place = self.shards.find(shard_id)
        return place is not None and self._states[place] is ShardState.DONE

    def latest(self, shard_id: str) -> Job | None:
        """Return the newest job of a shard."""
        place = self.shards.find(shard_id)
        return None if place is None else self._latest[place]

    def jobs_of(self, shard_id: str) -> list[Job]:
        """Return all jobs of a shard."""
        latest = self.latest(shard_id)
        others = [self.jobs[name] for name in self._others.get(shard_id, ())]
        return others if latest is None else [*others, latest]

    def update(self, job: Job) -> None:
        """Replace what is known of a job."""
        if self._note(job):
            self._update_state(job.shard_id)

    def _note(self, job: Job) -> bool:
        """Replace what is known of a job; tell whether it is the newest one of a shard."""
        before = self.jobs.get(job.job_name)
        self.jobs.put(job)
        if before is not None:
            self._count(before, -1)
            if job.is_settled:
                self.open.pop(job.job_name, None)
        return self._note_new(job, self.shards.find(job.shard_id))

    def _note_new(self, job: Job, place: int | None) -> bool:
        """Note a job that is not counted yet; tell whether it is the newest one of a shard.

        place: of its shard; None if that is none of these
        """
        self._count(job, 1)
        if not job.is_settled:
            self.open[job.job_name] = job
        if place is None:
            return False
        latest = self._latest[place]
        is_newest = latest is None or job.attempt >= latest.attempt
        if latest is not None and latest.job_name != job.job_name:
            others = self._others.setdefault(job.shard_id, [])
            older, newer = (latest, job) if is_newest else (job, latest)
            if newer.job_name in others:
                others.remove(newer.job_name)
            if older.job_name not in others:
                others.append(older.job_name)
        if is_newest:
            self._latest[place] = job
        return is_newest

    def withdraw(self, job_name: str) -> None:
        """Forget an announced job that was not created: its shard waits for another one."""
        job = self.jobs.remove(job_name)
        self.open.pop(job_name, None)
        others, latest = self._others.pop(job.shard_id, []), self.latest(job.shard_id)
        self._latest[self.shards.place(job.shard_id)] = None
        left = {latest.job_name, *others} - {job_name} if latest is not None else set(others)
        for other in sorted((self.jobs[name] for name in left), key=lambda other: other.attempt):
            self._note(other)
        self._update_state(job.shard_id)

    def _count(self, job: Job, by: int) -> None:
        if job.seen is None:
            return
        self.processed += by * (job.seen.processed or 0)
        if not job.is_settled:
            self.active[job.target] += by
        elif job.stopping == USER or job.is_excused or _is_refused(job):
            self._free_attempts[job.shard_id] += by

    def finish(self, shard_id: str, why: str) -> None:
        """Note that a shard needs no more jobs, though its last one did not complete."""
        self._finished[shard_id] = why
        self._extra_attempts.pop(shard_id, None)
        self._update_state(shard_id)

    def reopen(self, shard_id: str, extra: ExtraAttempt) -> None:
        """Give a finished shard an extra attempt."""
        self._finished.pop(shard_id, None)
        self._extra_attempts[shard_id] = extra
        self._update_state(shard_id)

    def unblock(self) -> None:
        """Let blocked shards wait for a job again: the user removed the cause."""
        self._is_held = False
        self._refusals.clear()
        for shard_id in self._shards_in(ShardState.BLOCKED):
            self._move(shard_id, ShardState.WAITING)

    def excuse(self, job_name: str) -> None:
        """Block a shard until the run is resumed: its job answered nothing, and is no attempt."""
        self._is_held = True
        self.update(replace(self.jobs[job_name], is_excused=True))

    def pop_waiting(self) -> str | None:
        """Take the next waiting shard and return it; None if there is none.

        It is taken until its job is announced, or it is finished or put back: so a step cannot
        plan two jobs for it.
        """
        if not self._queue:
            return None
        shard_id = next(iter(self._queue))
        self._move(shard_id, ShardState.TAKEN)
        return shard_id

    def push_waiting(self, shard_id: str) -> None:
        """Put a shard that was taken back to the head of the queue."""
        self._move(shard_id, ShardState.WAITING)

    def push_all_taken(self) -> None:
        """Put back every shard that is still taken: the step that planned its job did not end."""
        for shard_id in list(reversed(self._taken)):
            self.push_waiting(shard_id)

    def push_last(self, shard_ids: Iterable[str]) -> None:
        """Put shards that were taken back to the end of the queue."""
        for shard_id in shard_ids:
            self._move(shard_id, ShardState.WAITING)
            self._queue.move_to_end(shard_id)

    def _update_state(self, shard_id: str) -> None:
        self._move(shard_id, self._state(self.shards.place(shard_id)))

    def _move(self, shard_id: str, state: ShardState) -> None:
        place = self.shards.place(shard_id)
        if self._states[place] is state:
            return
        before, self._states[place] = self._states[place], state
        if ShardState.DONE in (before, state):
            by = 1 if state is ShardState.DONE else -1
            self._records_done += by * self.shards[shard_id].records
        self._counts[before] -= 1
        self._counts[state] += 1
        self._taken.pop(shard_id, None)
        if state is ShardState.WAITING:
            self._queue[shard_id] = None
            self._queue.move_to_end(shard_id, last=False)  # finish begun shards before new ones
            return
        self._queue.pop(shard_id, None)
        if state is ShardState.TAKEN:
            self._taken[shard_id] = None

    def _state(self, place: int) -> ShardState:
        """Return what a shard needs.

        A job that came to its end is the last job of its shard, even if every record is an error:
        the fallback answers what it left out.
        """
        shard_id, job = self.shards.ids[place], self._latest[place]
        if shard_id in self._finished:
            return ShardState.DONE
        if self._extra_attempts and self.extra_attempt(shard_id) is not None:
            return ShardState.WAITING
        if job is None:
            return ShardState.WAITING
        if job.seen is None or not job.seen.is_settled:
            return ShardState.OPEN
        if job.is_excused:
            return ShardState.BLOCKED if self._is_held else ShardState.WAITING
        if is_complete(job.seen) or job.stopping == DEADLINE:
            return ShardState.DONE
        cause = cause_of(job.seen)
        if cause is Cause.REFUSED:
            self._refusals[shard_id] = f"{job.seen.job_arn}: {job.seen.message}"
            return ShardState.BLOCKED
        used = job.attempt - self._free_attempts[shard_id]
        if cause is Cause.BAD_INPUT or used >= self._attempts:
            return ShardState.DONE
        return ShardState.WAITING


def _is_refused(job: Job) -> bool:
    """Tell whether a job failed for a reason that every job would meet: it uses up no attempt."""
    seen = job.seen
    return seen is not None and seen.status == FAILED and cause_of(seen) is Cause.REFUSED
