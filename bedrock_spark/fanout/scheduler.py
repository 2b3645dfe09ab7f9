"""Which attempts to submit now: one per shard that needs one, while slots are free.

A shard whose jobs claim answers that are not found waits, and blocks no other: output may follow
the status of a job. If it does not, the shard needs no more jobs, and a finding says why.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from bedrock_spark.fanout.account_jobs import OtherJobs
from bedrock_spark.fanout.attempts import (
    NotFound,
    extra_attempt,
    first_attempt,
    next_attempt,
    plan_of,
)
from bedrock_spark.fanout.targets import Target, target_of
from bedrock_spark.fanout.tracker import ShardTracker
from bedrock_spark.run_folder.job_plan import JobPlan, output_prefix
from bedrock_spark.run_folder.ledger import Job, KnownJobs
from bedrock_spark.run_folder.ledger.events import Event, Finding, Finished
from bedrock_spark.run_folder.manifest import Shard
from bedrock_spark.run_folder.run import Run
from bedrock_spark.storage import copy_below

log = logging.getLogger(__name__)

# How long the output of a settled job is waited for, and how often it is looked for.
OUTPUT_SECONDS = 900.0
_LOOK_SECONDS = 60.0
NOT_FOUND = "answers are claimed and were not found"


class SubmitPolicy(Protocol):
    """Is asked before every submit, such as a budget. Running jobs are not affected."""

    def allows(self, plan: JobPlan, records: int, jobs: KnownJobs) -> str | None:
        """Return None to allow a job of `records` records, or why nothing more may be submitted.

        jobs: every job of the run by name, as it is known now
        """
        ...


class AllowAll:
    """Allows every job."""

    def allows(self, plan: JobPlan, records: int, jobs: KnownJobs) -> str | None:
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
    """Chooses attempts for the free slots of all targets.

    former: targets that are not configured any more. Only jobs that are announced there are
        requested there, because they may exist
    """

    run: Run
    targets: tuple[Target, ...]
    tracker: ShardTracker
    other_jobs: OtherJobs
    policy: SubmitPolicy
    former: tuple[Target, ...] = ()
    _waiting: list[str] = field(default_factory=list)
    _look_at: dict[str, float] = field(default_factory=dict)

    def choose(self, now: float, refusals: int) -> Choice:
        """Return what to submit now.

        refusals: how often the service had no free slot so far
        """
        self.tracker.push_all_taken()  # of a step that ended in an error
        try:
            return self._choose(now, refusals)
        finally:
            self.tracker.push_last(self._waiting)
            self._waiting = []

    def _choose(self, now: float, refusals: int) -> Choice:
        if not self._has_work():
            return Choice()
        self.other_jobs.count(self.tracker, now, refusals=refusals)
        # A target whose place changed is in both: the slots are those of the configured one.
        targets = {t.name: t for t in (*self.former, *self.targets)}
        active = self.tracker.active
        free = {name: t.slots.offer(active[name], now) for name, t in targets.items()}
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
            target = target_of((*self.targets, *self.former), job)
            if free[target.name] > 0:
                yield plan_of(job, self.tracker.shards[job.shard_id]), target
        while any(free[target.name] > 0 for target in self.targets):
            shard_id = self.tracker.pop_waiting()
            if shard_id is None:
                return
            if now < self._look_at.get(shard_id, now):
                self._waiting.append(shard_id)
                continue
            target = max(self.targets, key=lambda t: free[t.name])
            plan = self._next_attempt(self.tracker.shards[shard_id], target)
            if isinstance(plan, NotFound):
                if self._waits_for_output(shard_id, plan, now):
                    continue
                finished.append(Finding("unfound", shard_id, plan.detail, now))
                plan = NOT_FOUND
            if isinstance(plan, JobPlan):
                yield plan, target
            else:
                finished.append(Finished(shard_id, plan, now))
                self.tracker.finish(shard_id, plan)

    def _waits_for_output(self, shard_id: str, plan: NotFound, now: float) -> bool:
        """Tell whether to wait for the output of a shard's jobs; note when to look again."""
        latest = self.tracker.latest(shard_id)
        settled_at = latest.settled_at if latest is not None else None
        if settled_at is None or not settled_at <= now < settled_at + OUTPUT_SECONDS:
            self._look_at.pop(shard_id, None)
            return False
        if shard_id not in self._look_at:
            log.info("%s %s: waits for output: %s", self.run.run_id, shard_id, plan.detail)
        self._look_at[shard_id] = min(now + _LOOK_SECONDS, settled_at + OUTPUT_SECONDS)
        self._waiting.append(shard_id)
        return True

    def _next_attempt(self, shard: Shard, target: Target) -> JobPlan | str | NotFound:
        """Return the attempt to submit for a shard, or why it needs no more jobs."""
        latest = self.tracker.latest(shard.shard_id)
        if latest is None:
            return first_attempt(self.run, shard, target)
        extra = self.tracker.extra_attempt(shard.shard_id)
        if extra is not None:
            return extra_attempt(self.run, shard, target, extra)
        jobs = self.tracker.jobs_of(shard.shard_id)
        plan = next_attempt(self.run, shard, target, latest, jobs)
        if isinstance(plan, NotFound) and self._copy_again(latest):
            plan = next_attempt(self.run, shard, target, latest, jobs)
        return plan

    def _copy_again(self, job: Job) -> bool:
        """Copy what a target in another place wrote since its job settled; tell if there is one."""
        folder = target_of((*self.targets, *self.former), job).folder
        if folder is not None:
            prefix = output_prefix(job.shard_id, job.attempt, job.token)
            copy_below(folder, self.run.storage, prefix)
        return folder is not None
