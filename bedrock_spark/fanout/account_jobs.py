"""The account: how many jobs others have under the quota that the run shares with them.

All jobs of the account are listed, status by status: five calls or more, so it is done seldom.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from dataclasses import dataclass

from bedrock_spark.errors import JobStateUnknownError, JobThrottledError
from bedrock_spark.fanout.targets import Target
from bedrock_spark.fanout.tracker import ShardTracker

log = logging.getLogger(__name__)

_ALONE_SECONDS, _SHARED_SECONDS, _REFUSED_SECONDS = 6 * 3600.0, 3600.0, 600.0
# Cross-Region inference profiles begin with a part of the world; quotas are of the model behind.
_GEOGRAPHY = re.compile(r"^(us-gov|us|eu|apac|jp|au|ca|sa|me|af|global)\.(?=[a-z0-9-]+\.)")


def base_model(model: str) -> str:
    """Return the model that an id, a profile's id, or the ARN of either stands for."""
    return _GEOGRAPHY.sub("", model.rsplit("/", 1)[-1])


@dataclass
class OtherJobs:
    """What others run, and when that was looked at last."""

    run_id: str
    targets: tuple[Target, ...]
    looked_at: float | None = None
    _refusals: int = 0

    def look(self, tracker: ShardTracker, now: float, refusals: int = 0) -> None:
        """Count the jobs of others anew, if that is due: sooner where jobs were refused since."""
        if not self._is_due(now, refusals > self._refusals):
            return
        self.looked_at, self._refusals = now, refusals
        try:
            for target in {t.region: t for t in reversed(self.targets)}.values():
                self._count(target, tracker)
        except (JobThrottledError, JobStateUnknownError) as exc:
            log.warning("%s: %s; the jobs of others are counted later", self.run_id, exc)

    def _is_due(self, now: float, was_refused: bool) -> bool:
        if self.looked_at is None or now < self.looked_at:
            return True
        every = _SHARED_SECONDS if any(t.slots.others for t in self.targets) else _ALONE_SECONDS
        if was_refused:
            every = _REFUSED_SECONDS
        return now - self.looked_at >= every

    def _count(self, lister: Target, tracker: ShardTracker) -> None:
        own = f"{self.run_id}-"
        models = Counter(
            base_model(job.model_arn or "")
            for job in lister.jobs.active()
            if not job.job_name.startswith(own)
        )
        for target in self.targets:
            if target.region == lister.region:
                others = models[base_model(target.model_id)]
                target.slots.share(others, tracker.active[target.name])
