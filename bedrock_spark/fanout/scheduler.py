"""Which attempts to submit now: one per shard that needs one, while slots are free."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from bedrock_spark.fanout.account_jobs import OtherJobs
from bedrock_spark.fanout.attempts import extra_attempt, first_attempt, next_attempt, plan_of
from bedrock_spark.fanout.targets import Target, target_of
from bedrock_spark.fanout.tracker import ShardTracker
from bedrock_spark.run_folder.job_plan import JobPlan
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.ledger.events import Event, Finished
from bedrock_spark.run_folder.manifest import Shard
from bedrock_spark.run_folder.run import Run


class SubmitPolicy(Protocol):
    """Is asked before every submit, such as a budget. Running jobs are not affected."""

    def allows(self, plan: JobPlan, records: int, jobs: Mapping[str, Job]) -> str | None:
        """Return None to allow a job of `records` records, or why nothing more may be submitted.

        jobs: every job of the run by name, as it is known now
        """
        ...


class AllowAll:
    """Allows every job."""

    def allows(self, plan: JobPlan, records: int, jobs: Mapping[str, Job]) -> str | None:
        """Return None."""
        return None


@dataclass(frozen=True)
class Choice:
    """What one step submits.

    plans: the attempts to submit
    finished: events of shards that turn out to need no more jobs
    stopped_by_policy: why the policy allows no more jobs, or None
    """

    plans: list[JobPlan] = field(default_factory=list)
    finished: list[Event] = field(default_factory=list)
    stopped_by_policy: str | None = None


@dataclass
class Scheduler:
    """Chooses attempts for the free slots of all targets."""

    run: Run
    targets: tuple[Target, ...]
    tracker: ShardTracker
    other_jobs: OtherJobs
    policy: SubmitPolicy

    def choose(self, now: float, refusals: int) -> Choice:
        """Return what to submit now.

        refusals: how often the service had no free slot so far
        """
        if not self._has_work():
            return Choice()
        self.other_jobs.count(self.tracker, now, refusals=refusals)
        free = {t.name: t.slots.offer(self.tracker.active[t.name], now) for t in self.targets}
        plans: list[JobPlan] = []
        finished: list[Event] = []
        for plan, target in self._candidates(free, finished, now):
            why_not = self.policy.allows(plan, self._records_of(plan), self.tracker.jobs)
            if why_not is not None:
                if plan.job_name not in self.tracker.jobs:
                    self.tracker.push_waiting(plan.shard_id)
                return Choice(plans, finished, why_not)
            free[target.name] -= 1
            plans.append(plan)
        return Choice(plans, finished)

    def _has_work(self) -> bool:
        return self.tracker.waiting > 0 or any(j.seen is None for j in self.tracker.open.values())

    def _records_of(self, plan: JobPlan) -> int:
        return plan.records or self.tracker.shards[plan.shard_id].records

    def _candidates(
        self, free: dict[str, int], finished: list[Event], now: float
    ) -> Iterator[tuple[JobPlan, Target]]:
        """Yield attempts while slots are free: first announced ones, then new ones."""
        for job in self.tracker.announced_jobs():
            target = target_of(self.targets, job)
            if free[target.name] > 0:
                yield plan_of(job), target
        while any(n > 0 for n in free.values()):
            shard_id = self.tracker.pop_waiting()
            if shard_id is None:
                return
            target = max(self.targets, key=lambda t: free[t.name])
            plan = self._next_attempt(self.tracker.shards[shard_id], target)
            if isinstance(plan, JobPlan):
                yield plan, target
            else:
                finished.append(Finished(shard_id, plan, now))
                self.tracker.finish(shard_id, plan)

    def _next_attempt(self, shard: Shard, target: Target) -> JobPlan | str:
        """Return the attempt to submit for a shard, or why it needs no more jobs."""
        latest = self.tracker.latest(shard.shard_id)
        if latest is None:
            return first_attempt(self.run, shard, target)
        extra = self.tracker.extra_attempt(shard.shard_id)
        if extra is not None:
            return extra_attempt(self.run, shard, target, extra)
        excused = self.tracker.excused_jobs(shard.shard_id)
        return next_attempt(self.run, shard, target, latest, excused)
