"""The sweep: list the run's jobs once, and note what changed.

The service is the source of truth. A job that the ledger does not know is adopted; a job that ended
in another way than the ledger says is corrected; both are findings. Only one thing is not believed:
that a settled job runs again, because a listing may be stale.
"""

from __future__ import annotations

import logging
import math
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.fanout.attempts import plan_of
from bedrock_spark.fanout.targets import Target, one_per_region, target_of
from bedrock_spark.fanout.throughput import Throughput
from bedrock_spark.fanout.tracker import ShardTracker
from bedrock_spark.fanout.watermarks import Watermarks
from bedrock_spark.outputs.lines import read_output_manifest
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.job_plan import output_prefix
from bedrock_spark.run_folder.ledger import Job, LedgerState
from bedrock_spark.run_folder.ledger.events import (
    Event,
    Finding,
    Seen,
    Submitted,
    seen,
    submitting,
)
from bedrock_spark.run_folder.run import Run
from bedrock_spark.storage import copy_below

log = logging.getLogger(__name__)

_NAME = re.compile(r"-(?P<shard>[a-z]+-[0-9-]+)-a(?P<attempt>\d+)-(?P<digest>[0-9a-f]+)")
# How many of the last jobs tell how long a job takes.
_DURATIONS = 50


def _ignore(_: Job) -> None:
    """Ignore that a job has settled."""


@dataclass
class Sweep:
    """The listing of a run's jobs, Region by Region.

    reads_only: list the jobs, and copy no outputs to the run folder
    news: what changed and is not in the ledger yet; a listing that fails leaves it here
    on_settled: is called with every job that settles, in the order in which they do
    """

    run: Run
    targets: tuple[Target, ...]
    tracker: ShardTracker
    reads_only: bool = False
    throughput: Throughput = field(default_factory=Throughput)
    watermarks: dict[str, Watermarks] = field(default_factory=dict)
    news: list[Event] = field(default_factory=list)
    on_settled: Callable[[Job], None] = _ignore
    _durations: deque[float] = field(default_factory=lambda: deque(maxlen=_DURATIONS))
    _foreign_jobs: set[str] = field(default_factory=set)

    @classmethod
    def resume(
        cls,
        run: Run,
        targets: tuple[Target, ...],
        tracker: ShardTracker,
        state: LedgerState,
        *,
        reads_only: bool = False,
    ) -> Sweep:
        """Return the sweep of a run as its ledger leaves it."""
        sweep = cls(run, targets, tracker, reads_only)
        for region in {t.region for t in targets}:
            sweep.watermarks[region] = Watermarks(state.floors.get(region))
        for job in tracker.jobs.values():
            if job.seen is not None and job.is_settled:
                sweep._note_duration(job.seen)
        for job in tracker.open.values():
            submitted_at = job.seen.submitted_at if job.seen is not None else None
            sweep.watermarks_of(job).track(job.job_name, submitted_at)
        return sweep

    @property
    def typical_seconds(self) -> float | None:
        """Return the average duration of the last jobs, or None before the first has ended."""
        return sum(self._durations) / len(self._durations) if self._durations else None

    def watermarks_of(self, job: Job) -> Watermarks:
        """Return the watermarks of the Region that a job runs in."""
        return self.watermarks[target_of(self.targets, job).region]

    def low_watermarks(self) -> dict[str, float | None]:
        """Return the low watermark of every Region."""
        return {region: watermarks.low() for region, watermarks in self.watermarks.items()}

    def look(self, now: float) -> None:
        """List the run's jobs in every Region, and add what changed to the news."""
        self.throughput.begin_sweep(now)
        for target in one_per_region(self.targets):
            watermarks = self.watermarks[target.region]
            listed = set()
            jobs = target.jobs.list(self.run.run_id, watermarks.low())
            for job in sorted(jobs, key=_settled_at):
                if job.job_name.startswith(f"{self.run.run_id}-"):
                    listed.add(job.job_name)
                    self.observe(job, target, now)
            for name in watermarks.end_sweep(listed):
                log.warning("%s %s: no listing has shown this job", self.run.run_id, name)

    def drain_news(self) -> list[Event]:
        """Return the news for the ledger, and forget it."""
        news, self.news = self.news, []
        return news

    def observe(self, seen_job: SeenJob, target: Target, now: float) -> None:
        """Note one job as a listing shows it, and add what changed to the news."""
        job = self.tracker.jobs.get(seen_job.job_name)
        adoption: list[Event] = []
        if job is None:
            job = self._adopt(seen_job, target)
            if job is None:
                return
            adoption = list(_adoption(job, now))
        self.watermarks[target.region].observe(seen_job)
        if job.is_settled and not seen_job.is_settled:
            return
        self.throughput.observe(seen_job, now)
        if job.seen == seen_job:
            return
        changes = list(self._changes(job, seen_job, target, now))
        counted = (e.tokens for e in changes if isinstance(e, Seen) and e.tokens is not None)
        tokens = next(counted, job.tokens)
        self._replace(job, replace(job, seen=seen_job, tokens=tokens))
        self.news += [*adoption, *changes]

    def _replace(self, before: Job, job: Job) -> None:
        self.tracker.update(job)
        if job.is_settled and not before.is_settled:
            self.on_settled(job)

    def _changes(self, job: Job, seen_job: SeenJob, target: Target, now: float) -> Iterator[Event]:
        before = job.seen
        if before is not None and (job.is_settled or before.job_arn != seen_job.job_arn):
            detail = (
                f"{seen_job.job_arn} is {seen_job.status}; the ledger had {before.job_arn} as "
                f"{before.status}"
            )
            yield Finding("ledger_disagrees", job.shard_id, detail, now)
        if before is None or before.status != seen_job.status:
            log.info("%s %s: %s", self.run.run_id, seen_job.job_name, seen_job.status)
        if seen_job.is_settled:
            yield self._settle(job, seen_job, target, now)
        elif before is None or before.job_arn != seen_job.job_arn:
            yield Submitted(seen_job.job_name, seen_job.job_arn, now)

    def _settle(self, job: Job, seen_job: SeenJob, target: Target, now: float) -> Event:
        """Copy a settled job's output to the run folder before the ledger says that it settled."""
        if self.reads_only:
            return seen(seen_job, now)
        prefix = output_prefix(job.shard_id, job.attempt, job.token)
        if target.folder is not None:
            copy_below(target.folder, self.run.storage, prefix)
        self._note_duration(seen_job)
        return seen(seen_job, now, self._tokens(prefix, seen_job))

    def _note_duration(self, job: SeenJob) -> None:
        if job.submitted_at is not None and job.ended_at is not None:
            self._durations.append(job.ended_at - job.submitted_at)

    def _tokens(self, prefix: str, job: SeenJob) -> tuple[int, int] | None:
        """Return the tokens in and out by a job's output manifest, or None if it has none."""
        key = f"{prefix}{job.job_id}/{layout.OUTPUT_MANIFEST_FILE}"
        data = self.run.storage.read_if_present(key)
        manifest = read_output_manifest(data) if data is not None else None
        if manifest is None:
            return None
        return manifest.input_tokens or 0, manifest.output_tokens or 0

    def _adopt(self, seen_job: SeenJob, target: Target) -> Job | None:
        """Return a job of this run that the ledger does not know, as its name describes it."""
        name = _NAME.fullmatch(seen_job.job_name.removeprefix(self.run.run_id))
        if name is None or name["shard"] not in self.tracker.shards:
            if seen_job.job_name not in self._foreign_jobs:
                log.warning("%s %s: is no job of a shard", self.run.run_id, seen_job.job_name)
            self._foreign_jobs.add(seen_job.job_name)
            return None
        token = seen_job.token or name["digest"]
        return Job(
            name["shard"], int(name["attempt"]), seen_job.job_name, token, target=target.name
        )


def _settled_at(job: SeenJob) -> float:
    """Return a key to sort jobs by when they settled; the others, and unknown times, are last."""
    return job.ended_at if job.is_settled and job.ended_at is not None else math.inf


def _adoption(job: Job, now: float) -> Iterator[Event]:
    yield submitting(plan_of(job), now)
    detail = f"{job.job_name} was not in the ledger; it was taken into it"
    yield Finding("ledger_disagrees", job.shard_id, detail, now)
