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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from bedrock_spark.batch_jobs import JobPlan, SeenJob, create_request, output_prefix, plan_job
from bedrock_spark.clock import Clock
from bedrock_spark.errors import (
    JobError,
    JobNameInUseError,
    JobRejectedError,
    JobStateUnknownError,
    JobThrottledError,
    NoFreeSlotError,
)
from bedrock_spark.fanout.account import Account
from bedrock_spark.fanout.board import DEADLINE, Board
from bedrock_spark.fanout.causes import CHECK
from bedrock_spark.fanout.deadline import Deadline, deadline_of
from bedrock_spark.fanout.policy import AllowAll, SubmitPolicy
from bedrock_spark.fanout.remainder import attempt_input
from bedrock_spark.fanout.standing import Standing, batch_shards
from bedrock_spark.fanout.sweep import Sweep
from bedrock_spark.fanout.targets import Target
from bedrock_spark.layout import shard_key
from bedrock_spark.lease import Lease
from bedrock_spark.ledger import Event, Hold, Job, Ledger, events
from bedrock_spark.manifest import RunManifest, Shard
from bedrock_spark.run_folder import Run
from bedrock_spark.storage import copy_object

log = logging.getLogger(__name__)


@dataclass
class FanOut:
    """A run's jobs while somebody drives them. What it remembers can all be found out again.

    rejection: what the service said to a job that it would refuse again; nothing more is submitted
    trouble: steps in a row that ended early, because the service throttled or did not answer
    """

    run: Run
    manifest: RunManifest
    clock: Clock
    targets: tuple[Target, ...]
    ledger: Ledger
    lease: Lease | None = None
    policy: SubmitPolicy = field(default_factory=AllowAll)
    deadline: Deadline | None = None
    rejection: JobRejectedError | None = None
    trouble: int = 0
    board: Board = field(init=False)
    sweep: Sweep = field(init=False)
    _account: Account = field(init=False)
    _pending: list[Event] = field(default_factory=list)
    _is_dirty: bool = False
    _stopped_by_policy: str | None = None

    def __post_init__(self) -> None:
        state = self.ledger.load()
        shards = batch_shards(self.manifest, self.run.config)
        self.board = Board(shards, self.run.config.batch.attempts, state)
        if state.hold is None:
            self.board.unblock()  # somebody resumed the run since
        self.sweep = Sweep.resume(self.run, self.targets, self.board, state)
        self._account = Account(self.run.run_id, self.targets)
        self._account.looked_at = state.swept_at
        for target in self.targets:
            known = state.slots.get(target.name, {})
            target.slots.remember(known)
            if not target.told:
                target.slots.most = known.get("most", target.slots.most)
        if self.deadline is None:
            self.deadline = deadline_of(self.run.config, self.run.begun_at, state.late)

    def advance(self) -> Standing:
        """Take one step. A rejection by the service is in `rejection` and in the standing."""
        self._hold_lease()
        now = self.clock.now()
        news = [*self.sweep.look(now), *self._refusals(now), *self._give_up(now)]
        plans = self._choose(news, now)
        intents = [p for p in plans if p.job_name not in self.board.jobs]
        self.note([*news, *(events.submitting(p, now) for p in intents)])
        for plan in intents:
            self._announce(plan, now)
        self._submit(plans)
        return self.standing()

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
            self.board.put(replace(job, stopping=job.stopping or why))
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
            self.board.unblock()

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

    def standing(self) -> Standing:
        """Return where the fan-out stands, as far as is known without a look at the service."""
        shards, settled = len(self.board.shards), self.board.settled
        active = sum(self.board.active.values())
        waiting = max(0, shards - settled - active)
        records, processed = self.board.records, self.board.processed
        return Standing(shards, settled, active, waiting, records, processed, self.reason)

    def _hold_lease(self) -> None:
        if self.lease is not None:
            self.lease.hold()

    def _refusals(self, now: float) -> list[Event]:
        """Hold the run where a job failed for a reason that every job would meet."""
        if self.board.refusal is None or self.hold is not None:
            return []
        return [events.held("refused", f"{self.board.refusal}. {CHECK}", now)]

    def _give_up(self, now: float) -> list[Event]:
        """Leave to the fallback what will not be answered before the deadline."""
        if self.deadline is None or self.hold is not None:
            return []
        waiting = self.board.waiting_shards()
        records = sum(self.board.shards[s].records for s in waiting)
        late = self.deadline.late(self.board.running(), records, self.sweep.rates, now)
        news: list[Event] = []
        if self.deadline.verdict != self.ledger.state.late:
            news.append(events.late(self.deadline.verdict, now))
        if late is None:
            return news
        log.info("%s: %d jobs will not make the deadline", self.run.run_id, len(late))
        self.ask_to_stop(late, DEADLINE)
        for shard_id in waiting:
            self.board.finish(shard_id, DEADLINE)
        return [*news, *(events.finished(shard_id, DEADLINE, now) for shard_id in waiting)]

    def _choose(self, news: list[Event], now: float) -> list[JobPlan]:
        """Return what to submit now: one attempt per shard that needs one, while slots are free.

        Adds to the news which shards turn out to need no more jobs.
        """
        self._stopped_by_policy = None
        held = self.hold is not None or any(event["event"] == "held" for event in news)
        if held or self.rejection is not None or not self._has_work():
            return []
        self._account.look(self.board, now)
        free = {t.name: t.slots.offer(self.board.active[t.name], now) for t in self.targets}
        plans = []
        for plan, target in self._candidates(free, news, now):
            self._stopped_by_policy = self.policy.allows(plan, self._records_of(plan))
            if self._stopped_by_policy is not None:
                if plan.job_name not in self.board.jobs:
                    self.board.give_back(plan.shard_id)
                break
            free[target.name] -= 1
            plans.append(plan)
        return plans

    def _has_work(self) -> bool:
        return self.board.waiting > 0 or any(j.seen is None for j in self.board.open.values())

    def _records_of(self, plan: JobPlan) -> int:
        return plan.records or self.board.shards[plan.shard_id].records

    def _candidates(
        self, free: dict[str, int], news: list[Event], now: float
    ) -> Iterator[tuple[JobPlan, Target]]:
        """Yield attempts: those that were announced first, then new ones, as slots allow."""
        for job in self.board.announced():
            target = self.sweep.target_of(job)
            if free[target.name] > 0:
                yield _plan_of(job), target
        while any(n > 0 for n in free.values()):
            shard_id = self.board.take()
            if shard_id is None:
                return
            target = max(self.targets, key=lambda t: free[t.name])
            plan = self._next_attempt(self.board.shards[shard_id], target, news, now)
            if plan is not None:
                yield plan, target

    def _next_attempt(
        self, shard: Shard, target: Target, news: list[Event], now: float
    ) -> JobPlan | None:
        """Return the attempt to submit for a shard, or None if what is left is not worth one."""
        latest = self.board.latest(shard.shard_id)
        attempt = latest.attempt + 1 if latest is not None else 1
        sha256, key, records = shard.sha256, None, None
        if latest is not None:
            rest = attempt_input(self.run.storage, shard, attempt)
            if rest.records < self.run.config.shards.min_records:
                why = "too few records are left" if rest.records else "every record is answered"
                news.append(events.finished(shard.shard_id, why, now))
                self.board.finish(shard.shard_id, why)
                return None
            if rest.key != shard_key(shard.shard_id):
                sha256, key, records = rest.sha256, rest.key, rest.records
        return plan_job(
            self.run.run_id,
            shard.shard_id,
            sha256,
            target.model_id,
            attempt,
            input_key=key,
            records=records,
            target=target.name,
        )

    def _announce(self, plan: JobPlan, now: float) -> None:
        job = Job(
            plan.shard_id,
            plan.attempt,
            plan.job_name,
            plan.token,
            input_key=None if plan.input_key == shard_key(plan.shard_id) else plan.input_key,
            records=plan.records,
            target=plan.target,
            announced_at=now,
        )
        self.board.put(job)

    def note(self, news: list[Event], *, force: bool = False) -> None:
        """Write one object, if there is news that is not only an ARN: those can be found again."""
        is_due = force or any(event["event"] != "submitted" for event in news)
        self._pending += news
        if not is_due or not (self._pending or self._is_dirty):
            return
        slots = {t.name: t.slots.as_json() for t in self.targets}
        swept = events.swept(self.sweep.bounds(), slots, self._account.looked_at)
        written, self._pending, self._is_dirty = self._pending, [], False
        self.ledger.append([*written, swept], self.clock.now())

    def _submit(self, plans: list[JobPlan]) -> None:
        full: set[str] = set()
        for plan in plans:
            self._hold_lease()
            if plan.target not in full and not self._create(plan, full):
                return
        self.trouble = 0

    def _create(self, plan: JobPlan, full: set[str]) -> bool:
        """Create one job; False ends this step's submitting, without using up an attempt.

        Adds the target to the full ones where it has no free slot.
        """
        job = self.board.jobs[plan.job_name]
        target = self.sweep.target_of(job)
        active = self.board.active[target.name]
        floors = self.sweep.floors_of(job)
        may_be_there = floors.expects(plan.job_name)
        floors.expect(plan.job_name)
        try:
            arn = target.jobs.create(self._request(plan, target))
        except NoFreeSlotError:
            if not may_be_there:
                floors.forget(plan.job_name)
            target.slots.refuse(active, self.clock.now())
            self._is_dirty = True
            self._account.refused = True
            log.info("%s: no free slot; %d jobs are active", self.run.run_id, active)
            full.add(plan.target)
            return True
        except (JobThrottledError, JobStateUnknownError) as exc:
            # It may or may not exist. The next step looks for it by name before anything else.
            self.trouble += 1
            log.warning("%s %s: %s", self.run.run_id, plan.job_name, exc)
            return False
        except JobNameInUseError:
            self._look_for(job, target)
            return True
        except JobRejectedError as exc:
            if not may_be_there:
                floors.forget(plan.job_name)
            self.rejection = exc
            return False
        self.board.put(replace(job, seen=SeenJob(arn, plan.job_name, plan.token, "Submitted")))
        target.slots.taken(active + 1)
        self._pending.append(events.submitted(plan.job_name, arn, self.clock.now()))
        log.info("%s %s: submitted as %s", self.run.run_id, plan.job_name, arn)
        return True

    def _request(self, plan: JobPlan, target: Target) -> dict[str, object]:
        uri = self.run.storage.uri
        if target.folder is not None:
            uri = target.folder.uri
            copy_object(self.run.storage, target.folder, plan.input_key)
        return create_request(self.run.config, uri, plan, target.model_id, target.role_arn)

    def _look_for(self, job: Job, target: Target) -> None:
        """Find the job that has our name: it is an earlier call's of which no reply came."""
        for found in target.jobs.list(job.job_name):
            if found.job_name == job.job_name:
                self._pending += self.sweep.take(found, target, self.clock.now())


def _plan_of(job: Job) -> JobPlan:
    """Return the plan that an announced job was announced with."""
    return JobPlan(
        shard_id=job.shard_id,
        attempt=job.attempt,
        job_name=job.job_name,
        token=job.token,
        input_key=job.input_key or shard_key(job.shard_id),
        output_prefix=output_prefix(job.shard_id, job.attempt, job.token),
        records=job.records,
        target=job.target,
    )
