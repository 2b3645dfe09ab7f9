"""The controller of a fan-out: it keeps as many batch jobs running as the account allows.

`advance` is one idempotent step: list the run's jobs once, note what changed, write down what is
about to be submitted, submit it. A loop, cron or a workflow engine may call it. The process may be
killed anywhere, and the next call, on any machine, carries on.

A step writes at most one ledger object, before its creates: what it saw, what it is about to submit
(a write-ahead log), and the ARNs that the step before received. The next sweep looks up an intent
without an ARN. If the listing does not show it, it is submitted again under the same name and
token.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from bedrock_spark.aws.batch_jobs import BatchJobs
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.clock import Clock
from bedrock_spark.errors import (
    JobError,
    JobRejectedError,
    JobStateUnknownError,
    JobThrottledError,
)
from bedrock_spark.fanout.account_jobs import OtherJobs
from bedrock_spark.fanout.attempts import announced_job
from bedrock_spark.fanout.cost_profiles import CostProfiles
from bedrock_spark.fanout.deadline import Deadline, deadline_of
from bedrock_spark.fanout.holds import Holds
from bedrock_spark.fanout.poll_interval import ExpectedEnd, next_poll_seconds, on_fast_clock
from bedrock_spark.fanout.scheduler import AllowAll, Choice, Scheduler, SubmitPolicy
from bedrock_spark.fanout.step_result import StepResult, batch_shards
from bedrock_spark.fanout.stop_calls import ask_to_stop, stop_duplicates
from bedrock_spark.fanout.submit import Submitter
from bedrock_spark.fanout.sweep import Sweep
from bedrock_spark.fanout.targets import Target, former_targets, jobs_by, target_of
from bedrock_spark.fanout.tracker import DEADLINE, ShardTracker
from bedrock_spark.fanout.withdraw import withdraw
from bedrock_spark.run_folder.lease import Lease
from bedrock_spark.run_folder.ledger import (
    ExtraAttempt,
    Hold,
    Job,
    KnownJobs,
    Ledger,
)
from bedrock_spark.run_folder.ledger.events import (
    Event,
    Finished,
    Held,
    Late,
    Resumed,
    Stopping,
    Submitted,
    Submitting,
    Swept,
    again,
    submitting,
)
from bedrock_spark.run_folder.manifest import RunManifest, Shard
from bedrock_spark.run_folder.run import Run

# Why a shard is finished that the breaker held back.
TO_FALLBACK = "the user left it to the fallback"

log = logging.getLogger(__name__)


@dataclass
class Controller:
    """A run's batch jobs under control. All that it remembers can be found out again.

    lease: renewed in every step if given; without it the caller excludes other controllers
    policy: is asked before every submit
    reads_only: list the jobs, and neither copy outputs nor write to the ledger
    jobs_in: returns the batch job calls of a Region; None for those of AWS
    """

    run: Run
    manifest: RunManifest
    clock: Clock
    targets: tuple[Target, ...]
    ledger: Ledger
    lease: Lease | None = None
    policy: SubmitPolicy = field(default_factory=AllowAll)
    deadline: Deadline | None = None
    reads_only: bool = False
    jobs_in: Callable[[AwsSettings], BatchJobs] | None = None
    tracker: ShardTracker = field(init=False)
    _all_targets: tuple[Target, ...] = field(init=False)
    _sweep: Sweep = field(init=False)
    _submitter: Submitter = field(init=False)
    _scheduler: Scheduler = field(init=False)
    _other_jobs: OtherJobs = field(init=False)
    _holds: Holds = field(init=False)
    _choice: Choice = field(default_factory=Choice)
    _pending: list[Event] = field(default_factory=list)
    _refusals_noted: int = 0

    def __post_init__(self) -> None:
        state = self.ledger.load()
        shards = batch_shards(self.manifest, self.run.config)
        self.tracker = ShardTracker(shards, self.run.config.batch.attempts, state)
        if state.hold is None:
            self.tracker.unblock()  # somebody resumed the run since its jobs were refused
        jobs_in = self.jobs_in or jobs_by(self.clock)
        former = former_targets(self.run, self.targets, self.tracker.open.values(), jobs_in)
        self._all_targets = (*self.targets, *former)
        self._sweep = Sweep.resume(
            self.run, self._all_targets, self.tracker, state, reads_only=self.reads_only
        )
        has_profiles = self.run.config.batch.cost_profile
        profiles = CostProfiles(self.run, self.clock) if has_profiles else None
        self._submitter = Submitter(
            self.run, self.clock, self._sweep, self._renew_lease, profiles=profiles
        )
        self._other_jobs = OtherJobs(self.run.run_id, self.targets, state.swept_at)
        self._holds = Holds(self.run, self.tracker, self.targets, state.streak.copy())
        self._sweep.on_settled = self._holds.note_outcome
        self._scheduler = Scheduler(
            self.run, self.targets, self.tracker, self._other_jobs, self.policy, former
        )
        for target in self.targets:
            known = state.slots.get(target.name, {})
            target.slots.restore(known)
            if not target.has_configured_slots:
                target.slots.most = known.get("most", target.slots.most)
        if self.deadline is None:
            self.deadline = deadline_of(self.run.config, self.run.begun_at, state.late)

    def advance(self) -> StepResult:
        """Take one step. If the service rejects a job, `rejection` and the result's reason say why.

        If the service throttles or does not answer, the step ends early and the next step tries
        again. The error is raised only after a day of such steps.
        """
        self._renew_lease()
        now = self.clock.now()
        try:
            self.look()
        except (JobThrottledError, JobStateUnknownError) as exc:
            self._submitter.note_trouble(exc)
            return self.result()
        stop_duplicates(self._sweep, self._all_targets, self.run.run_id)
        news = self._holds.look(self.hold, now)
        news += withdraw(self.tracker, self._sweep, self.targets, self._all_targets, now)
        if not any(isinstance(event, Held) for event in news):
            news += self._give_up(now)
        is_held = self.hold is not None or any(isinstance(event, Held) for event in news)
        if is_held or self.rejection is not None:
            self._choice = Choice()
        else:
            self._choice = self._scheduler.choose(now, self._submitter.refusals)
        plans = self._choice.plans
        intents = [plan for plan in plans if plan.job_name not in self.tracker.jobs]
        intended = (submitting(plan, now) for plan in intents)
        self.note([*news, *self._choice.finished, *intended])
        for plan in intents:
            self.tracker.update(announced_job(plan, now))
        self._submitter.submit(plans)
        return self.result()

    def look(self) -> None:
        """List the run's jobs once, and note what changed."""
        self._sweep.look(self.clock.now())

    def flush(self) -> None:
        """Write what the last step learnt and no ledger object holds yet."""
        self.note([], force=True)

    def stop_jobs(self, jobs: Iterable[Job], why: str) -> dict[str, JobError]:
        """Ask the service to stop jobs. They settle later, or have settled already.

        Returns the error for each job that the service did not agree to stop, by the job's name.
        """
        failed: dict[str, JobError] = {}
        running = [job for job in jobs if job.seen is not None and job.seen.status != "Stopping"]
        now = self.clock.now()
        self.note([Stopping(job.job_name, why, now) for job in running if job.stopping is None])
        for job in running:
            assert job.seen is not None
            self.tracker.update(replace(job, stopping=job.stopping or why))
            target = target_of(self._all_targets, job)
            error = ask_to_stop(target, job.seen.job_arn, job.job_name, self.run.run_id)
            if error is not None:
                failed[job.job_name] = error
        return failed

    def resume(self) -> None:
        """Let a run that was stopped, or whose jobs were refused, submit again."""
        if self.hold is not None:
            self._renew_lease()
            self._holds.end_streak()
            for target in self._all_targets:
                target.slots.end_backoff()
            self.note([Resumed(self.clock.now())])
            self.tracker.unblock()

    def requeue(self, extra_attempts: Mapping[str, ExtraAttempt]) -> None:
        """Give finished shards an extra attempt each, for records whose answers do not fit."""
        self._renew_lease()
        now = self.clock.now()
        self.note([again(shard_id, extra, now) for shard_id, extra in extra_attempts.items()])
        for shard_id, extra in extra_attempts.items():
            self.tracker.reopen(shard_id, extra)

    def leave_to_fallback(self) -> None:
        """Let every shard that waits need no more jobs: the fallback answers its records."""
        self._renew_lease()
        now = self.clock.now()
        shards = self.tracker.open_shards()
        self.note([Finished(shard_id, TO_FALLBACK, now) for shard_id in shards])
        for shard_id in shards:
            self.tracker.finish(shard_id, TO_FALLBACK)

    @property
    def jobs(self) -> KnownJobs:
        """Return every job of the run by name, as it was last seen."""
        return self.tracker.jobs

    def shard(self, shard_id: str) -> Shard | None:
        """Return a shard that batch jobs take, or None if it is none."""
        return self.tracker.shards.get(shard_id)

    def waiting_shards(self) -> list[Shard]:
        """Return the shards that wait for a job."""
        return [self.tracker.shards[shard_id] for shard_id in self.tracker.waiting_shards()]

    def last_job(self, shard_id: str) -> Job | None:
        """Return the newest job of a shard that needs no more jobs; None if it may get one."""
        return self.tracker.latest(shard_id) if self.tracker.is_done(shard_id) else None

    @property
    def rejection(self) -> JobRejectedError | None:
        """Return the service's rejection of a call, which further calls would meet, or None."""
        if self._submitter.rejection is not None:
            return self._submitter.rejection
        return next(iter(self._sweep.unreachable.values()), None)

    @property
    def unreachable(self) -> int:
        """Return how many active jobs no listing shows and the caller may not ask for."""
        return len(self._sweep.unreachable)

    @property
    def hold(self) -> Hold | None:
        """Return why the run is held, or None."""
        return self.ledger.state.hold

    @property
    def reason(self) -> str | None:
        """Return why nothing more is submitted, or None."""
        if self.rejection is not None:
            return str(self.rejection)
        return self.hold.reason if self.hold is not None else self._choice.stopped_by_policy

    def result(self) -> StepResult:
        """Return the state of the fan-out, as far as it is known without asking the service."""
        shards, settled = len(self.tracker.shards), self.tracker.settled
        active = sum(self.tracker.active.values())
        waiting = max(0, shards - settled - active)
        records, processed = self.tracker.records, self.tracker.processed
        return StepResult(shards, settled, active, waiting, records, processed, self.reason)

    def next_poll_seconds(self) -> float:
        """Return how long to wait before the next step, by the expected ends of the active jobs."""
        throughput = self._sweep.throughput
        ends = [
            ExpectedEnd(
                throughput.done_at(job.job_name),
                at_any_time=job.seen.status == "InProgress" and job.seen.processed is None,
            )
            for job in self.tracker.running_jobs()
            if job.seen is not None
        ]
        typical_seconds = self._sweep.typical_seconds
        trouble = self._submitter.trouble
        seconds = next_poll_seconds(self.clock.now(), ends, typical_seconds, trouble)
        return on_fast_clock(seconds, max(target.jobs.speed for target in self.targets))

    def note(self, news: list[Event], *, force: bool = False) -> None:
        """Write one ledger object if there is news that could not be found out again.

        An ARN alone can be: it waits for the next object. force: write all that is known
        """
        news = [*self._sweep.drain_news(), *news]
        is_due = force or any(not isinstance(event, Submitted) for event in news)
        pending = [*self._submitter.news, *self._pending, *news]
        self._pending, self._submitter.news = pending, []
        if not is_due or not (pending or self._submitter.refusals > self._refusals_noted):
            return
        slots = {t.name: t.slots.as_json() for t in self.targets}
        swept = Swept(self._sweep.low_watermarks(), slots, self._other_jobs.counted_at)
        # If the append fails, the next one writes what was learnt. It does not write the intents of
        # this step: their jobs are not created, and the next step may plan others.
        self._pending = [event for event in pending if not self._is_unannounced(event)]
        self.ledger.append([*pending, swept], self.clock.now())
        self._pending, self._refusals_noted = [], self._submitter.refusals

    def _is_unannounced(self, event: Event) -> bool:
        return isinstance(event, Submitting) and event.job_name not in self.tracker.jobs

    def _renew_lease(self) -> None:
        if self.lease is not None:
            self.lease.renew_if_due()

    def _give_up(self, now: float) -> list[Event]:
        """Leave to the fallback what batch jobs will not answer before the deadline."""
        if self.deadline is None or self.hold is not None:
            return []
        waiting = self.tracker.waiting_shards()
        records = sum(self.tracker.shards[s].records for s in waiting)
        running, throughput = self.tracker.running_jobs(), self._sweep.throughput
        late = self.deadline.late_jobs(running, records, throughput, now)
        news: list[Event] = []
        if self.deadline.verdict != self.ledger.state.late:
            news.append(Late(self.deadline.verdict, now))
        if late is None:
            return news
        log.info("%s: %d jobs will miss the deadline", self.run.run_id, len(late))
        self.stop_jobs(late, DEADLINE)
        for shard_id in waiting:
            self.tracker.finish(shard_id, DEADLINE)
        return [*news, *(Finished(shard_id, DEADLINE, now) for shard_id in waiting)]
