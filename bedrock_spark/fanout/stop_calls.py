"""Ask the service to stop jobs. A job settles some time after that, or has settled already."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from bedrock_spark.aws.batch_jobs import SETTLED
from bedrock_spark.errors import JobError, JobRejectedError
from bedrock_spark.fanout.sweep import Sweep
from bedrock_spark.fanout.targets import Target

log = logging.getLogger(__name__)


def ask_to_stop(target: Target, job_arn: str, job_name: str, run_id: str) -> JobError | None:
    """Ask the service to stop a job; return its error if it does not agree."""
    try:
        target.jobs.stop(job_arn)
    except JobError as exc:
        # It may have ended. The next sweep shows that; if not, it is asked again.
        level = logging.WARNING if isinstance(exc, JobRejectedError) else logging.INFO
        log.log(level, "%s %s: %s", run_id, job_name, exc)
        return exc
    return None


def stop_duplicates(sweep: Sweep, targets: Sequence[Target], run_id: str) -> None:
    """Ask the service to stop every second job of a name: it would be paid for twice."""
    in_region = {target.region: target for target in targets}
    for arn, duplicate in sweep.duplicates.items():
        is_active = duplicate.status not in SETTLED and duplicate.status != "Stopping"
        if is_active and duplicate.region in in_region:
            ask_to_stop(in_region[duplicate.region], arn, duplicate.job_name, run_id)
