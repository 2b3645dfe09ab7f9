"""The fan-out: keep as many batch jobs running as the account allows, until every shard is settled.

One idempotent step, `advance`: look at the run's jobs (one List sweep), note what changed, write
down what is about to be submitted, submit it. A loop, cron or a workflow engine may call it; it may
be killed anywhere, and the next call, on any machine, carries on.
"""

from __future__ import annotations

import itertools
import logging
import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bedrock_spark import ledger as events
from bedrock_spark.batch_jobs import (
    COMPLETED,
    PARTIALLY_COMPLETED,
    BatchJobs,
    JobPlan,
    SeenJob,
    create_request,
    plan_job,
)
from bedrock_spark.clients import bedrock_client
from bedrock_spark.clock import Clock
from bedrock_spark.config import Config
from bedrock_spark.errors import (
    ConfigError,
    JobNameInUseError,
    JobStateUnknownError,
    JobThrottledError,
    NoFreeSlotError,
)
from bedrock_spark.ledger import Job, Ledger
from bedrock_spark.manifest import RunManifest, Shard
from bedrock_spark.progress import Observer, Progress, unobserved
from bedrock_spark.run_folder import Run
from bedrock_spark.storage import Storage

log = logging.getLogger(__name__)

# After a refusal for want of a slot, the learnt cap is trusted for this many steps.
_TRUST_STEPS = 5
_JITTER = 0.2


@dataclass(frozen=True)
class Standing:
    """Where the fan-out stands after a step."""

    shards: int
    settled: int
    active: int
    waiting: int
    records: int
    processed: int

    @property
    def is_done(self) -> bool:
        """Tell whether no shard needs another job."""
        return self.settled == self.shards


@dataclass
class FanOut:
    """A run's jobs while somebody drives them. What it remembers can all be found out again."""

    run: Run
    manifest: RunManifest
    clock: Clock
    jobs: BatchJobs
    ledger: Ledger
    known: dict[str, Job] = field(default_factory=dict)
    _cap: int | None = None
    _cap_trusted: int = 0
    _answered: dict[str, bool] = field(default_factory=dict)

    def advance(self) -> Standing:
        """Take one step. Raises a JobError when the service refuses what is submitted."""
        news = self._look()
        plans = self._choose()
        intents = [p for p in plans if p.job_name not in self.known]
        now = self.clock.now()
        self.ledger.append([*news, *(events.submitting(p, now) for p in intents)])
        for plan in intents:
            job = Job(plan.shard_id, plan.attempt, plan.job_name, plan.token)
            self.known[plan.job_name] = job
        self._submit(plans)
        return self.standing()

    def _look(self) -> list[events.Event]:
        """Sweep the run's jobs once; return the events for what changed."""
        news = []
        for found in self.jobs.list(self.run.run_id):
            job = self.known.get(found.job_name)
            if job is None or job.seen == found:
                continue
            status_before = job.seen.status if job.seen else None
            self.known[found.job_name] = Job(
                job.shard_id, job.attempt, job.job_name, job.token, found
            )
            if found.status != status_before:
                log.info("%s %s: %s", self.run.run_id, found.job_name, found.status)
                news.append(events.seen(found, self.clock.now()))
        return news

    def _choose(self) -> list[JobPlan]:
        """Return what to submit now: one attempt per shard that needs one, while slots are free."""
        free = self._slots() - self._active()
        plans = []
        for shard in self._batch_shards():
            if free <= 0:
                break
            plan = self._next_attempt(shard)
            if plan is not None:
                plans.append(plan)
                free -= 1
        return plans

    def _slots(self) -> int:
        wanted = self.run.config.batch.max_active_jobs
        if self._cap is None:
            return wanted
        self._cap_trusted -= 1
        if self._cap_trusted <= 0:
            self._cap = None
            return wanted
        return min(wanted, self._cap)

    def _active(self) -> int:
        return sum(1 for job in self.known.values() if job.seen and not job.is_settled)

    def _batch_shards(self) -> list[Shard]:
        return batch_shards(self.manifest, self.run.config)

    def _next_attempt(self, shard: Shard) -> JobPlan | None:
        """Return the attempt to submit for a shard, or None where it has one or needs none."""
        latest = self._latest(shard)
        if latest is not None and (latest.seen is None or not latest.is_settled):
            return self._plan(shard, latest.attempt) if latest.seen is None else None
        if latest is None:
            return self._plan(shard, 1)
        if self._is_finished(shard, latest):
            return None
        return self._plan(shard, latest.attempt + 1)

    def _is_finished(self, shard: Shard, latest: Job) -> bool:
        """Tell whether a settled attempt is the shard's last.

        A job that answered anything is never submitted again as a whole: its answers are paid for.
        What it left out goes to the fallback.
        """
        assert latest.seen is not None
        if latest.seen.status in (COMPLETED, PARTIALLY_COMPLETED):
            return True
        if latest.attempt >= self.run.config.batch.attempts:
            return True
        if latest.job_name not in self._answered:
            prefix = self._plan(shard, latest.attempt).output_prefix
            self._answered[latest.job_name] = has_answers(self.run.storage, prefix, latest.seen)
        return self._answered[latest.job_name]

    def _latest(self, shard: Shard) -> Job | None:
        """Return the newest attempt at a shard; there are at most a handful."""
        latest = None
        # Not bounded by the config: it may have been lowered while an attempt was running.
        for attempt in itertools.count(1):
            job = self.known.get(self._plan(shard, attempt).job_name)
            if job is None:
                break
            latest = job
        return latest

    def _plan(self, shard: Shard, attempt: int) -> JobPlan:
        model_id = self.run.config.model.id
        return plan_job(self.run.run_id, shard.shard_id, shard.sha256, model_id, attempt)

    def _submit(self, plans: list[JobPlan]) -> None:
        taken = []
        try:
            for plan in plans:
                event = self._create(plan)
                if event is None:
                    break
                taken.append(event)
        finally:
            self.ledger.append(taken)

    def _create(self, plan: JobPlan) -> events.Event | None:
        """Create one job; None ends this step's submitting without using up an attempt."""
        try:
            arn = self.jobs.create(create_request(self.run.config, self.run.storage.uri, plan))
        except NoFreeSlotError:
            self._cap, self._cap_trusted = max(1, self._active()), _TRUST_STEPS
            log.info("%s: no free slot; %d jobs are active", self.run.run_id, self._active())
            return None
        except (JobThrottledError, JobStateUnknownError) as exc:
            # It may or may not exist. The next step looks for it by name before anything else.
            log.warning("%s %s: %s", self.run.run_id, plan.job_name, exc)
            return None
        except JobNameInUseError:
            return self._adopt(plan)
        seen = SeenJob(arn, plan.job_name, plan.token, "Submitted")
        self.known[plan.job_name] = Job(
            plan.shard_id, plan.attempt, plan.job_name, plan.token, seen
        )
        log.info("%s %s: submitted as %s", self.run.run_id, plan.job_name, arn)
        return events.submitted(plan.job_name, arn, self.clock.now())

    def _adopt(self, plan: JobPlan) -> events.Event | None:
        """Find the job that has our name: it is an earlier call's of which no reply came."""
        for found in self.jobs.list(plan.job_name):
            if found.job_name == plan.job_name:
                self.known[plan.job_name] = Job(
                    plan.shard_id, plan.attempt, plan.job_name, plan.token, found
                )
                return events.seen(found, self.clock.now())
        return None

    def standing(self) -> Standing:
        """Return where the fan-out stands, as far as is known without a look at the service."""
        shards = self._batch_shards()
        settled = processed = 0
        for shard in shards:
            latest = self._latest(shard)
            if latest is None or latest.seen is None:
                continue
            processed += latest.seen.processed or 0
            if latest.is_settled and self._is_finished(shard, latest):
                settled += 1
        active = self._active()
        records = sum(s.records for s in shards)
        waiting = len(shards) - settled - active
        return Standing(len(shards), settled, active, max(0, waiting), records, processed)


def open_fanout(run: Run, manifest: RunManifest, clock: Clock) -> FanOut:
    """Return the fan-out of a run as its ledger leaves it.

    Raises ConfigError where the run folder is not in S3.
    """
    check_reachable(run)
    ledger = Ledger(run.storage)
    jobs = BatchJobs(bedrock_client(run.aws), clock)
    return FanOut(run, manifest, clock, jobs, ledger, known=ledger.replay())


def check_reachable(run: Run) -> None:
    """Raise ConfigError where batch jobs cannot reach the run folder."""
    if not run.storage.uri.startswith("s3://"):
        raise ConfigError(
            f"run_uri = {run.storage.uri!r}: Bedrock reads and writes S3 only; batch jobs need an "
            "s3:// run_uri"
        )


def watch(fanout: FanOut, observe: Observer = unobserved) -> Standing:
    """Advance until every shard is settled, with a pause between steps."""
    while True:
        standing = fanout.advance()
        observe(progress_of(standing))
        if standing.is_done:
            return standing
        pause = fanout.run.config.batch.poll_seconds
        fanout.clock.sleep(pause * random.uniform(1 - _JITTER, 1 + _JITTER))


def progress_of(standing: Standing) -> Progress:
    """Return a standing as progress."""
    detail = (
        f"shards settled, {standing.active} active, {standing.waiting} waiting, "
        f"{standing.processed:,} of {standing.records:,} records processed"
    )
    return Progress("batch", standing.settled, standing.shards, detail)


def batch_shards(manifest: RunManifest, config: Config) -> list[Shard]:
    """Return the shards that a batch job can take; smaller ones are the fallback's as a whole."""
    return [s for s in manifest.shards if s.records >= config.shards.min_records]


def has_answers(storage: Storage, output_prefix: str, job: SeenJob) -> bool:
    """Tell whether a job left answers, by its counts or by what lies in its folder."""
    if job.processed:
        return True
    return any(o.size and o.key.endswith(".jsonl.out") for o in storage.list(output_prefix))


def jobs_by_status(jobs: Mapping[str, Job] | Iterable[Job]) -> dict[str, int]:
    """Count jobs by status; one that was announced and never seen counts as `Unknown`."""
    listed = jobs.values() if isinstance(jobs, Mapping) else jobs
    counts = Counter(job.seen.status if job.seen else "Unknown" for job in listed)
    return dict(sorted(counts.items()))
