"""The jobs of others in the account: they use the same quota of active jobs as the run.

All active jobs of the account are listed, status by status. That takes five calls or more, so it is
done rarely.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass

from bedrock_spark.errors import JobStateUnknownError, JobThrottledError
from bedrock_spark.families import without_geography
from bedrock_spark.fanout.targets import Target, one_per_region
from bedrock_spark.fanout.tracker import ShardTracker

log = logging.getLogger(__name__)

# How often to count: if the run is alone in the account, if it is not, and after refusals.
_ALONE_SECONDS, _SHARED_SECONDS, _REFUSED_SECONDS = 6 * 3600.0, 3600.0, 600.0


def base_model(model: str) -> str:
    """Return the model behind an id, the id of a profile, or the ARN of either: quotas are its."""
    return without_geography(model.rsplit("/", 1)[-1])


@dataclass
class OtherJobs:
    """The number of active jobs of other runs, and when it was counted last."""

    run_id: str
    targets: tuple[Target, ...]
    counted_at: float | None = None
    _refusals: int = 0

    def count(self, tracker: ShardTracker, now: float, refusals: int = 0) -> None:
        """Count the jobs of others if that is due.

        refusals: how often the service had no free slot so far; new refusals make it due earlier
        """
        if not self._is_due(now, was_refused=refusals > self._refusals):
            return
        self.counted_at, self._refusals = now, refusals
        try:
            for target in one_per_region(self.targets):
                self._count_in_region(target, tracker)
        except (JobThrottledError, JobStateUnknownError) as exc:
            log.warning("%s: %s; the jobs of others are counted later", self.run_id, exc)

    def _is_due(self, now: float, *, was_refused: bool) -> bool:
        if self.counted_at is None or now < self.counted_at:
            return True
        interval = _SHARED_SECONDS if any(t.slots.others for t in self.targets) else _ALONE_SECONDS
        if was_refused:
            interval = _REFUSED_SECONDS
        return now - self.counted_at >= interval

    def _count_in_region(self, lister: Target, tracker: ShardTracker) -> None:
        own = f"{self.run_id}-"
        models = Counter(
            base_model(job.model_arn or "")
            for job in lister.jobs.active()
            if not job.job_name.startswith(own)
        )
        for target in self.targets:
            if target.region == lister.region:
                others = models[base_model(target.model_id)]
                strangers = models.total() - others
                target.slots.set_others(others, tracker.active[target.name], strangers)
