"""The sweep: list the run's jobs once, and note what changed.

The service is right: a job that the ledger does not know is taken into it, one that ended otherwise
than the ledger says is corrected, and both are findings. Only that a settled job runs again is not
believed: a listing may be late.
"""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.fanout.attempts import plan_of
from bedrock_spark.fanout.targets import Target
from bedrock_spark.fanout.throughput import Throughput
from bedrock_spark.fanout.tracker import ShardTracker
from bedrock_spark.fanout.watermarks import Watermarks
from bedrock_spark.outputs.lines import read_output_manifest
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.job_plan import output_prefix
from bedrock_spark.run_folder.ledger import Event, Job, LedgerState, events
from bedrock_spark.run_folder.run import Run
from bedrock_spark.storage import copy_below

log = logging.getLogger(__name__)

_NAME = re.compile(r"-(?P<shard>[a-z]+-[0-9-]+)-a(?P<attempt>\d+)-(?P<digest>[0-9a-f]+)")
_TYPICAL_OF = 50


@dataclass
class Sweep:
    """The listing of a run's jobs, Region by Region.

    reads_only: look, and bring nothing home
    news: what changed and is not in the ledger yet; a look that breaks off leaves it here
    """

    run: Run
    targets: tuple[Target, ...]
    tracker: ShardTracker
    throughput: Throughput = field(default_factory=Throughput)
    watermarks: dict[str, Watermarks] = field(default_factory=dict)
    reads_only: bool = False
    news: list[Event] = field(default_factory=list)
    _took: deque[float] = field(default_factory=lambda: deque(maxlen=_TYPICAL_OF))
    _strangers: set[str] = field(default_factory=set)

    @classmethod
    def resume(
        cls, run: Run, targets: tuple[Target, ...], tracker: ShardTracker, state: LedgerState
    ) -> Sweep:
        """Return the sweep of a run as its ledger leaves it."""
        sweep = cls(run, targets, tracker)
        for region in {t.region for t in targets}:
            sweep.watermarks[region] = Watermarks(state.floors.get(region))
        for job in tracker.jobs.values():
            if job.seen is not None and job.is_settled:
                sweep._learn(job.seen)
        for job in tracker.open.values():
            known = job.seen.submitted_at if job.seen is not None else None
            sweep.watermarks_of(job).expect(job.job_name, known)
        return sweep

    @property
    def typical_seconds(self) -> float | None:
        """Return what a job took on average lately, or None before the first has ended."""
        return sum(self._took) / len(self._took) if self._took else None

    def target_of(self, job: Job) -> Target:
        """Return the target of a job; the first one where its own is no longer configured."""
        return next((t for t in self.targets if t.name == job.target), self.targets[0])

    def watermarks_of(self, job: Job) -> Watermarks:
        """Return the floors of the Region that a job is in."""
        return self.watermarks[self.target_of(job).region]

    def bounds(self) -> dict[str, float | None]:
        """Return since when jobs are looked for, by Region."""
        return {region: watermarks.bound() for region, watermarks in self.watermarks.items()}

    def look(self, now: float) -> None:
        """List every Region's jobs of this run, and put what changed into the news."""
        self.throughput.begin_look(now)
        for target in {t.region: t for t in reversed(self.targets)}.values():
            watermarks = self.watermarks[target.region]
            shown = set()
            for found in target.jobs.list(self.run.run_id, watermarks.bound()):
                if found.job_name.startswith(f"{self.run.run_id}-"):
                    shown.add(found.job_name)
                    self.take(found, target, now)
            for name in watermarks.end_sweep(shown):
                log.warning("%s %s: is in no listing since long", self.run.run_id, name)

    def drain(self) -> list[Event]:
        """Hand over the news, for the ledger."""
        news, self.news = self.news, []
        return news

    def take(self, found: SeenJob, target: Target, now: float) -> None:
        """Note one job as a listing shows it, and put what changed into the news."""
        job = self.tracker.jobs.get(found.job_name)
        adopted: list[Event] = []
        if job is None:
            job = self._adopt(found, target)
            if job is None:
                return
            adopted = list(_adopted(job, now))
        self.watermarks[target.region].show(found)
        if job.is_settled and not found.is_settled:
            return
        self.throughput.observe(found, now)
        if job.seen == found:
            return
        changes = list(self._changes(job, found, target, now))
        tokens = next((e["tokens"] for e in changes if "tokens" in e), job.tokens)
        self.tracker.put(replace(job, seen=found, tokens=tuple(tokens) if tokens else None))
        self.news += [*adopted, *changes]

    def _changes(self, job: Job, found: SeenJob, target: Target, now: float) -> Iterator[Event]:
        before = job.seen
        if before is not None and (job.is_settled or before.job_arn != found.job_arn):
            detail = (
                f"{found.job_arn} is {found.status}; the ledger had {before.job_arn} as "
                f"{before.status}"
            )
            yield events.finding("ledger_disagrees", job.shard_id, detail, now)
        if before is None or before.status != found.status:
            log.info("%s %s: %s", self.run.run_id, found.job_name, found.status)
        if found.is_settled:
            yield self._settle(job, found, target, now)
        elif before is None or before.job_arn != found.job_arn:
            yield events.submitted(found.job_name, found.job_arn, now)

    def _settle(self, job: Job, found: SeenJob, target: Target, now: float) -> Event:
        """Bring home what a settled job left, before the ledger says that it is settled."""
        if self.reads_only:
            return events.seen(found, now)
        prefix = output_prefix(job.shard_id, job.attempt, job.token)
        if target.folder is not None:
            copy_below(target.folder, self.run.storage, prefix)
        self._learn(found)
        return events.seen(found, now, self._tokens(prefix, found))

    def _learn(self, job: SeenJob) -> None:
        if job.submitted_at is not None and job.ended_at is not None:
            self._took.append(job.ended_at - job.submitted_at)

    def _tokens(self, prefix: str, job: SeenJob) -> tuple[int, int] | None:
        folder = job.job_arn.rsplit("/", 1)[-1]
        data = self.run.storage.read_if_present(f"{prefix}{folder}/{layout.OUTPUT_MANIFEST_FILE}")
        manifest = read_output_manifest(data) if data is not None else None
        if manifest is None:
            return None
        return manifest.input_tokens or 0, manifest.output_tokens or 0

    def _adopt(self, found: SeenJob, target: Target) -> Job | None:
        """Read from its name what the ledger does not know of a job of this run."""
        name = _NAME.fullmatch(found.job_name.removeprefix(self.run.run_id))
        if name is None or name["shard"] not in self.tracker.shards:
            if found.job_name not in self._strangers:
                log.warning("%s %s: is no job of a shard", self.run.run_id, found.job_name)
            self._strangers.add(found.job_name)
            return None
        token = found.token or name["digest"]
        return Job(name["shard"], int(name["attempt"]), found.job_name, token, target=target.name)


def _adopted(job: Job, now: float) -> Iterator[Event]:
    yield events.submitting(plan_of(job), now)
    detail = f"{job.job_name} was not in the ledger; it was taken into it"
    yield events.finding("ledger_disagrees", job.shard_id, detail, now)
