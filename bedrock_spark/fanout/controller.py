"""The fan-out: keep as many batch jobs running as the account allows, until every shard is settled.

One idempotent step, `advance`: look at the run's jobs (one List sweep), note what changed, write
down what is about to be submitted, submit it. A loop, cron or a workflow engine may call it; it may
be killed anywhere, and the next call, on any machine, carries on.

A step writes one ledger object at most, before its creates: what it saw, what it is about to
submit, and the ARNs that the step before got. An intent without an ARN is looked up by the next
sweep; where that does not show it, it is submitted again under the same name and token.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from bedrock_spark.clock import Clock
from bedrock_spark.errors import JobError, JobRejectedError, JobStateUnknownError, JobThrottledError
from bedrock_spark.fanout.account_jobs import OtherJobs
from bedrock_spark.fanout.attempts import (
    announced,
    extra_attempt,
    first_attempt,
    next_attempt,
    plan_of,
)
from bedrock_spark.fanout.deadline import Deadline, deadline_of
from bedrock_spark.fanout.failure_causes import CHECK
from bedrock_spark.fanout.scheduler import AllowAll, SubmitPolicy
from bedrock_spark.fanout.step_result import StepResult, batch_shards
from bedrock_spark.fanout.submit import Submitter
from bedrock_spark.fanout.sweep import Sweep
from bedrock_spark.fanout.targets import Target
from bedrock_spark.fanout.tracker import DEADLINE, ShardTracker
from bedrock_spark.run_folder.job_plan import JobPlan
from bedrock_spark.run_folder.lease import Lease
from bedrock_spark.run_folder.ledger import Event, ExtraAttempt, Hold, Job, Ledger, events
from bedrock_spark.run_folder.manifest import RunManifest, Shard
from bedrock_spark.run_folder.run import Run

log = logging.getLogger(__name__)


@dataclass
class Controller:
    """A run's jobs while somebody drives them. What it remembers can all be found out again."""

    run: Run
    manifest: RunManifest
    clock: Clock
    targets: tuple[Target, ...]
    ledger: Ledger
    lease: Lease | None = None
    policy: SubmitPolicy = field(default_factory=AllowAll)
    deadline: Deadline | None = None
    tracker: ShardTracker = field(init=False)
    sweep: Sweep = field(init=False)
    submitter: Submitter = field(init=False)
    _other_jobs: OtherJobs = field(init=False)
    _pending: list[Event] = field(default_factory=list)
    _refusals_noted: int = 0
    _stopped_by_policy: str | None = None

    def __post_init__(self) -> None:
        state = self.ledger.load()
        shards = batch_shards(self.manifest, self.run.config)
        self.tracker = ShardTracker(shards, self.run.config.batch.attempts, state)
        if state.hold is None:
            self.tracker.unblock()  # somebody resumed the run since
        self.sweep = Sweep.resume(self.run, self.targets, self.tracker, state)
        self.submitter = Submitter(self.run, self.clock, self.sweep, self._hold_lease)
        self._other_jobs = OtherJobs(self.run.run_id, self.targets)
        self._other_jobs.looked_at = state.swept_at
        for target in self.targets:
            known = state.slots.get(target.name, {})
            target.slots.remember(known)
            if not target.told:
                target.slots.most = known.get("most", target.slots.most)
        if self.deadline is None:
            self.deadline = deadline_of(self.run.config, self.run.begun_at, state.late)

    def advance(self) -> StepResult:
        """Take one step. A rejection by the service is in `rejection` and in the result.

        Where the service throttles or does not answer, the step ends early, and the next one is
        another try; the error is raised only after a day of such steps.
        """
        self._hold_lease()
        now = self.clock.now()
        try:
            self.sweep.look(now)
        except (JobThrottledError, JobStateUnknownError) as exc:
            self.submitter.in_trouble(exc)
            return self.result()
        news = [*self._refusals(now), *self._give_up(now)]
        plans = self._choose(news, now)
        intents = [p for p in plans if p.job_name not in self.tracker.jobs]
        self.note([*news, *(events.submitting(p, now) for p in intents)])
        for plan in intents:
            self.tracker.put(announced(plan, now))
        self.submitter.submit(plans)
        return self.result()

    def flush(self) -> None:
        """Write what the last step learnt and no object holds yet."""
        self.note([], force=True)

    def ask_to_stop(self, jobs: Iterable[Job], why: str) -> None:
        """Ask the service to stop jobs; they settle later, or have settled meanwhile."""
        wanted = [job for job in jobs if job.seen is not None and job.seen.status != "Stopping"]
        now = self.clock.now()
        self.note([events.stopping(j.job_name, why, now) for j in wanted if j.stopping is None])
        for job in wanted:
            assert job.seen is not None
            self.tracker.put(replace(job, stopping=job.stopping or why))
            try:
                self.sweep.target_of(job).jobs.stop(job.seen.job_arn)
            except JobError as exc:
                # Most likely it has ended. The next look tells, and else it is asked again.
                log.info("%s %s: %s", self.run.run_id, job.job_name, exc)

    def resume(self) -> None:
        """Let a run that was stopped, or whose jobs were refused, submit again."""
        if self.ledger.state.hold is not None:
            self._hold_lease()
            self.note([events.resumed(self.clock.now())])
            self.tracker.unblock()

    def requeue(self, wanted: Mapping[str, ExtraAttempt]) -> None:
        """Let shards whose jobs are over have another, for records whose answers do not fit."""
        self._hold_lease()
        now = self.clock.now()
        self.note([events.again(shard_id, repeat, now) for shard_id, repeat in wanted.items()])
        for shard_id, repeat in wanted.items():
            self.tracker.reopen(shard_id, repeat)

    @property
    def rejection(self) -> JobRejectedError | None:
        """Return what the service said to a job that it would refuse again, if it did."""
        return self.submitter.rejection

    @property
    def hold(self) -> Hold | None:
        """Return why the run is held, if it is."""
        return self.ledger.state.hold

    @property
    def reason(self) -> str | None:
        """Return why nothing more is submitted, or None."""
        if self.rejection is not None:
            return str(self.rejection)
        return self.hold.reason if self.hold is not None else self._stopped_by_policy

    def result(self) -> StepResult:
        """Return where the fan-out stands, as far as is known without a look at the service."""
        shards, settled = len(self.tracker.shards), self.tracker.settled
        active = sum(self.tracker.active.values())
        waiting = max(0, shards - settled - active)
        records, processed = self.tracker.records, self.tracker.processed
        return StepResult(shards, settled, active, waiting, records, processed, self.reason)

    def _hold_lease(self) -> None:
        if self.lease is not None:
            self.lease.hold()

    def _refusals(self, now: float) -> list[Event]:
        """Hold the run where a job failed for a reason that every job would meet."""
        if self.tracker.refusal is None or self.hold is not None:
            return []
        return [events.held("refused", f"{self.tracker.refusal}. {CHECK}", now)]

    def _give_up(self, now: float) -> list[Event]:
        """Leave to the fallback what will not be answered before the deadline."""
        if self.deadline is None or self.hold is not None:
            return []
        waiting = self.tracker.waiting_shards()
        records = sum(self.tracker.shards[s].records for s in waiting)
        late = self.deadline.late(self.tracker.running(), records, self.sweep.throughput, now)
        news: list[Event] = []
        if self.deadline.verdict != self.ledger.state.late:
            news.append(events.late(self.deadline.verdict, now))
        if late is None:
            return news
        log.info("%s: %d jobs will not make the deadline", self.run.run_id, len(late))
        self.ask_to_stop(late, DEADLINE)
        for shard_id in waiting:
            self.tracker.finish(shard_id, DEADLINE)
        return [*news, *(events.finished(shard_id, DEADLINE, now) for shard_id in waiting)]

    def _choose(self, news: list[Event], now: float) -> list[JobPlan]:
        """Return what to submit now: one attempt per shard that needs one, while slots are free.

        Adds to the news which shards turn out to need no more jobs.
        """
        self._stopped_by_policy = None
        held = self.hold is not None or any(event["event"] == "held" for event in news)
        if held or self.rejection is not None or not self._has_work():
            return []
        self._other_jobs.look(self.tracker, now, refusals=self.submitter.refusals)
        free = {t.name: t.slots.offer(self.tracker.active[t.name], now) for t in self.targets}
        plans = []
        for plan, target in self._candidates(free, news, now):
            self._stopped_by_policy = self.policy.allows(plan, self._records_of(plan))
            if self._stopped_by_policy is not None:
                if plan.job_name not in self.tracker.jobs:
                    self.tracker.give_back(plan.shard_id)
                break
            free[target.name] -= 1
            plans.append(plan)
        return plans

    def _has_work(self) -> bool:
        return self.tracker.waiting > 0 or any(j.seen is None for j in self.tracker.open.values())

    def _records_of(self, plan: JobPlan) -> int:
        return plan.records or self.tracker.shards[plan.shard_id].records

    def _candidates(
        self, free: dict[str, int], news: list[Event], now: float
    ) -> Iterator[tuple[JobPlan, Target]]:
        """Yield attempts: those that were announced first, then new ones, as slots allow."""
        for job in self.tracker.announced():
            target = self.sweep.target_of(job)
            if free[target.name] > 0:
                yield plan_of(job), target
        while any(n > 0 for n in free.values()):
            shard_id = self.tracker.take()
            if shard_id is None:
                return
            target = max(self.targets, key=lambda t: free[t.name])
            plan = self._next_attempt(self.tracker.shards[shard_id], target, news, now)
            if plan is not None:
                yield plan, target

    def _next_attempt(
        self, shard: Shard, target: Target, news: list[Event], now: float
    ) -> JobPlan | None:
        """Return the attempt to submit for a shard, or None if what is left is not worth one."""
        latest = self.tracker.latest(shard.shard_id)
        if latest is None:
            return first_attempt(self.run, shard, target)
        repeat = self.tracker.repeat(shard.shard_id)
        if repeat is not None:
            return extra_attempt(self.run, shard, target, repeat)
        plan = next_attempt(self.run, shard, target, latest)
        if isinstance(plan, JobPlan):
            return plan
        news.append(events.finished(shard.shard_id, plan, now))
        self.tracker.finish(shard.shard_id, plan)
        return None

    def note(self, news: list[Event], *, force: bool = False) -> None:
        """Write one object, if there is news that is not only an ARN: those can be found again."""
        news = [*self.sweep.drain(), *news]
        is_due = force or any(event["event"] != "submitted" for event in news)
        pending = [*self.submitter.news, *self._pending, *news]
        self._pending, self.submitter.news = pending, []
        if not is_due or not (pending or self.submitter.refusals > self._refusals_noted):
            return
        slots = {t.name: t.slots.as_json() for t in self.targets}
        swept = events.swept(self.sweep.bounds(), slots, self._other_jobs.looked_at)
        self._pending, self._refusals_noted = [], self.submitter.refusals
        self.ledger.append([*pending, swept], self.clock.now())
