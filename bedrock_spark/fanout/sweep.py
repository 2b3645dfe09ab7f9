"""The sweep: list the run's jobs once, and note what changed.

The service is the source of truth. A job that the ledger does not know is adopted; a job that ended
in another way than the ledger says is corrected; both are findings. Only one thing is not believed:
that a settled job runs again, because a listing may be stale.

Job names should be unique. If a second job of a name is listed, their ARNs tell jobs apart:
the first one that was seen stays the job of its shard, the other one is noted as a duplicate.
"""

from __future__ import annotations

import logging
import math
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from msgspec.structs import replace

from bedrock_spark.aws.batch_jobs import SETTLED, SeenJob
from bedrock_spark.errors import JobRejectedError
from bedrock_spark.fanout.account_jobs import base_model
from bedrock_spark.fanout.attempts import plan_of
from bedrock_spark.fanout.targets import Target, one_per_region, target_of
from bedrock_spark.fanout.throughput import Throughput
from bedrock_spark.fanout.tracker import ShardTracker
from bedrock_spark.fanout.unlisted_jobs import UnlistedJobs, count_answers
from bedrock_spark.fanout.watermarks import Watermarks
from bedrock_spark.outputs.output_manifest import read_output_manifest
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.job_plan import output_prefix
from bedrock_spark.run_folder.ledger import Job, JobTokens, KnownJobs, LedgerState, lost_job
from bedrock_spark.run_folder.ledger.events import (
    Duplicate,
    Event,
    Finding,
    Lost,
    Seen,
    Submitted,
    seen,
    submitting,
)
from bedrock_spark.run_folder.manifest import Shard
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

    targets: those of the config, then the former ones where jobs still run
    reads_only: list the jobs, and copy no outputs to the run folder
    news: what changed and is not in the ledger yet; a listing that fails leaves it here
    duplicates: by ARN, the jobs that have the name of another job, as they were last seen
    on_settled: is called with every job that settles, in the order in which they do
    unreachable: jobs that no listing shows and that the caller may not ask for, by name
    """

    run: Run
    targets: tuple[Target, ...]
    tracker: ShardTracker
    reads_only: bool = False
    throughput: Throughput = field(default_factory=Throughput)
    watermarks: dict[str, Watermarks] = field(default_factory=dict)
    news: list[Event] = field(default_factory=list)
    duplicates: dict[str, Duplicate] = field(default_factory=dict)
    on_settled: Callable[[Job], None] = _ignore
    unreachable: dict[str, JobRejectedError] = field(default_factory=dict)
    _unlisted: UnlistedJobs = field(init=False)
    _durations: deque[float] = field(default_factory=lambda: deque(maxlen=_DURATIONS))
    _foreign_jobs: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._unlisted = UnlistedJobs(self.run.config.batch.timeout_hours * 3600.0)

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
        sweep._durations.extendleft(islice(_durations_of(tracker.jobs), _DURATIONS))
        for job in tracker.open.values():
            submitted_at = job.seen.submitted_at if job.seen is not None else None
            sweep.watermarks_of(job).track(job.job_name, submitted_at)
        sweep.duplicates = dict(state.duplicates)
        for arn, duplicate in state.duplicates.items():
            if duplicate.status not in SETTLED and duplicate.region in sweep.watermarks:
                # By its ARN: its name is tracked for the other job.
                sweep.watermarks[duplicate.region].track(arn)
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
        prefix = f"{self.run.run_id}-"
        # By their ARNs: other jobs may have their names.
        unlisted = {job.seen.job_arn for job in self.tracker.running_jobs() if job.seen is not None}
        for target in one_per_region(self.targets):
            watermarks = self.watermarks[target.region]
            expected = watermarks.tracked()
            jobs = target.jobs.list(self.run.run_id, watermarks.low())
            for job in _in_order(jobs):
                if job.job_name.startswith(prefix):
                    unlisted.discard(job.job_arn)
                    expected -= {job.job_name, job.job_arn}
                    self.observe(job, target, now)
            for name in watermarks.end_sweep(expected):
                log.warning("%s %s: no listing has shown this job", self.run.run_id, name)
        if not self.reads_only:
            self._ask_for_unlisted(unlisted, now)

    def note_hidden(self, job: Job, now: float) -> None:
        """Note that the name of an announced job is in use, and that no listing shows that job."""
        log.warning("%s %s: its name is in use, no listing shows it", self.run.run_id, job.job_name)
        if self._unlisted.is_overdue(job, now):
            self._lose(job, now)

    def _ask_for_unlisted(self, unlisted: set[str], now: float) -> None:
        """Ask for jobs by their ARNs if a listing should have shown them long ago.

        unlisted: the ARNs that no listing of this sweep has shown, of the jobs that ran before
        """
        for job in self.tracker.running_jobs():
            if job.seen is not None and job.seen.job_arn not in unlisted:
                self.unreachable.pop(job.job_name, None)
            elif self._unlisted.is_due(job, now):
                self._ask_for(job, now)

    def _ask_for(self, job: Job, now: float) -> None:
        assert job.seen is not None
        target = target_of(self.targets, job)
        try:
            found = target.jobs.get(job.seen.job_arn)
        except JobRejectedError as exc:
            log.warning("%s %s: no listing shows it: %s", self.run.run_id, job.job_name, exc)
            self.unreachable[job.job_name] = exc
            return
        self.unreachable.pop(job.job_name, None)
        if found is None:
            self._lose(job, now)
        else:
            self.observe(replace(found, job_name=job.job_name), target, now)

    def _lose(self, job: Job, now: float) -> None:
        """Settle a job that cannot be found as failed; what its output answers is kept."""
        prefix = output_prefix(job.shard_id, job.attempt, job.token)
        self._copy_output(prefix, target_of(self.targets, job))
        folder = f"{job.seen.job_id}/" if job.seen else ""
        answers = count_answers(self.run.storage, prefix + folder)
        message = (
            "no listing shows the job, and GetModelInvocationJob does not find it after its "
            f"timeout; it counts as failed. Its output in the run folder has {answers} answers"
        )
        lost = Lost(job.job_name, job.seen.job_arn if job.seen else "", message, answers, now)
        log.warning("%s %s: %s", self.run.run_id, job.job_name, message)
        self.watermarks_of(job).untrack(job.job_name)
        self._replace(job, job.seen_as(lost_job(lost, job.token), now))
        self.news.append(lost)

    def drain_news(self) -> list[Event]:
        """Return the news for the ledger, and forget it."""
        news, self.news = self.news, []
        return news

    def observe(self, seen_job: SeenJob, lister: Target, now: float) -> None:
        """Note one job as the listing of a Region shows it, and add what changed to the news."""
        job = self.tracker.jobs.get(seen_job.job_name)
        adoption: list[Event] = []
        if job is None:
            job = self._adopt(seen_job, lister)
            if job is None:
                return
            adoption = list(_adoption(job, self.tracker.shards[job.shard_id], now))
        if job.seen is not None and job.seen.job_arn not in ("", seen_job.job_arn):
            self._observe_duplicate(job, seen_job, lister.region, now)
            return
        self.watermarks[lister.region].observe(seen_job)
        if job.is_settled and not seen_job.is_settled:
            return
        self.throughput.observe(seen_job, now)
        if job.seen == seen_job:
            return
        if seen_job.token == job.token:
            # The same strings: a run has very many jobs.
            seen_job = replace(seen_job, job_name=job.job_name, token=job.token)
        changes = list(self._changes(job, seen_job, target_of(self.targets, job), now))
        settled = next((e for e in changes if isinstance(e, Seen)), None)
        tokens, images = (settled.tokens, settled.images) if settled else (None, None)
        self._replace(job, job.seen_as(seen_job, now, tokens, images))
        self.news += [*adoption, *changes]

    def _replace(self, before: Job, job: Job) -> None:
        self.tracker.update(job)
        if job.is_settled and not before.is_settled:
            self.on_settled(job)

    def _observe_duplicate(self, job: Job, seen_job: SeenJob, region: str, now: float) -> None:
        """Note a second job of a name when it is found and when it ends; keep its answers."""
        arn, before = seen_job.job_arn, self.duplicates.get(seen_job.job_arn)
        self.watermarks[region].observe(replace(seen_job, job_name=arn))
        if before is not None and before.status in SETTLED:
            return
        if seen_job.is_settled:
            prefix = output_prefix(job.shard_id, job.attempt, job.token)
            self._copy_output(prefix, target_of(self.targets, job))
        duplicate = Duplicate(job.job_name, arn, seen_job.status, now, region)
        self.duplicates[arn] = duplicate
        if before is None or seen_job.is_settled:
            log.warning("%s %s: is a second job of this name", self.run.run_id, job.job_name)
            self.news.append(duplicate)

    def _changes(self, job: Job, seen_job: SeenJob, target: Target, now: float) -> Iterator[Event]:
        before = job.seen
        if before is not None and job.is_settled:
            detail = (
                f"{seen_job.job_arn} is {seen_job.status}; the ledger had {before.job_arn} as "
                f"{before.status}"
            )
            yield Finding("ledger_disagrees", job.shard_id, detail, now)
        if before is None or before.status != seen_job.status:
            log.info("%s %s: %s", self.run.run_id, seen_job.job_name, seen_job.status)
        if seen_job.is_settled:
            yield self._settle(job, seen_job, target, now)
        elif before is None:
            yield Submitted(seen_job.job_name, seen_job.job_arn, now)

    def _settle(self, job: Job, seen_job: SeenJob, target: Target, now: float) -> Event:
        """Copy a settled job's output to the run folder before the ledger says that it settled."""
        if self.reads_only:
            return seen(seen_job, now)
        prefix = output_prefix(job.shard_id, job.attempt, job.token)
        self._copy_output(prefix, target)
        self._note_duration(seen_job)
        return seen(seen_job, now, *self._counted(prefix, seen_job))

    def _copy_output(self, prefix: str, target: Target) -> None:
        if target.folder is not None and not self.reads_only:
            copy_below(target.folder, self.run.storage, prefix)

    def _note_duration(self, job: SeenJob) -> None:
        duration = _duration(job)
        if duration is not None:
            self._durations.append(duration)

    def _counted(self, prefix: str, job: SeenJob) -> tuple[JobTokens | None, int | None]:
        """Return tokens (in, out) and images by a job's output manifest; None for no count."""
        key = f"{prefix}{job.job_id}/{layout.OUTPUT_MANIFEST_FILE}"
        data = self.run.storage.read_if_present(key)
        manifest = read_output_manifest(data) if data is not None else None
        if manifest is None:
            return None, None
        if manifest.input_tokens is None and manifest.output_tokens is None:
            return None, manifest.images
        return JobTokens(manifest.input_tokens or 0, manifest.output_tokens or 0), manifest.images

    def _adopt(self, seen_job: SeenJob, lister: Target) -> Job | None:
        """Return a job of this run that the ledger does not know, as its name describes it."""
        name = _NAME.fullmatch(seen_job.job_name.removeprefix(self.run.run_id))
        if name is None or name["shard"] not in self.tracker.shards:
            if seen_job.job_name not in self._foreign_jobs:
                log.warning("%s %s: is no job of a shard", self.run.run_id, seen_job.job_name)
            self._foreign_jobs.add(seen_job.job_name)
            return None
        token = seen_job.token or name["digest"]
        target = self._maker(seen_job, lister)
        return Job(
            name["shard"],
            int(name["attempt"]),
            seen_job.job_name,
            token,
            target=target.name,
            place=target.place,
        )

    def _maker(self, job: SeenJob, lister: Target) -> Target:
        """Return the target of a listed job by its model, of all targets in the lister's Region."""
        model = base_model(job.model_arn or "")
        candidates = (
            target
            for target in self.targets
            if target.region == lister.region and base_model(target.model_id) == model
        )
        return next(candidates, lister)


def _durations_of(jobs: KnownJobs) -> Iterator[float]:
    """Yield how long settled jobs took, the newest job first."""
    for name in reversed(jobs):
        job = jobs[name]
        duration = _duration(job.seen) if job.seen is not None and job.is_settled else None
        if duration is not None:
            yield duration


def _duration(job: SeenJob) -> float | None:
    if job.submitted_at is None or job.ended_at is None:
        return None
    return job.ended_at - job.submitted_at


def _in_order(jobs: Iterable[SeenJob]) -> list[SeenJob]:
    """Sort jobs by when they settled; if two have one name, the oldest is first: it is kept."""
    oldest_first = sorted(jobs, key=lambda job: job.submitted_at or 0.0)
    kept = {job.job_name: job for job in reversed(oldest_first)}
    if len(kept) == len(oldest_first):
        return sorted(oldest_first, key=_settled_at)
    return sorted(oldest_first, key=lambda job: _settled_at(kept[job.job_name]))


def _settled_at(job: SeenJob) -> float:
    """Return a key to sort jobs by when they settled; the others, and unknown times, are last."""
    return job.ended_at if job.is_settled and job.ended_at is not None else math.inf


def _adoption(job: Job, shard: Shard, now: float) -> Iterator[Event]:
    yield submitting(plan_of(job, shard), now)
    detail = f"{job.job_name} was not in the ledger; it was taken into it"
    yield Finding("ledger_disagrees", job.shard_id, detail, now)
