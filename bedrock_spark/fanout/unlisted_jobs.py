"""When to ask for a job by its ARN: if no listing shows it, though it must be over by now.

A job ends within its timeout, whatever happens. So after the timeout and a margin, waiting for a
listing has no end. A listing does not show the jobs of other Regions either: if no target is in a
job's Region any more, it is asked for from the beginning.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from bedrock_spark.fanout.targets import Target, configured_target
from bedrock_spark.outputs.lines import OutputRecord, read_lines
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.storage import Storage

# After the timeout of a job, before it is asked for by its ARN: listings lag, and clocks differ.
MARGIN_SECONDS = 3600.0
# How often a job is asked for.
_ASK_SECONDS = 600.0


@dataclass
class UnlistedJobs:
    """The jobs that the last listings did not show.

    timeout_seconds: how long a job may take
    """

    timeout_seconds: float
    _asked_at: dict[str, float] = field(default_factory=dict)
    _noticed_at: dict[str, float] = field(default_factory=dict)

    def is_due(self, job: Job, now: float, *, is_elsewhere: bool) -> bool:
        """Tell whether to ask for a job now, and note that it is asked for.

        is_elsewhere: whether no listing of the run covers its Region
        """
        if not is_elsewhere and not self.is_overdue(job, now):
            return False
        asked_at = self._asked_at.get(job.job_name)
        if asked_at is not None and 0 <= now - asked_at < _ASK_SECONDS:
            return False
        self._asked_at[job.job_name] = now
        return True

    def is_overdue(self, job: Job, now: float) -> bool:
        """Tell whether a job must be over: its timeout and a margin have passed.

        They count from when its ARN became known, or from the first call of this for it.
        """
        noticed_at = self._noticed_at.setdefault(job.job_name, now)
        since = job.known_at if job.known_at is not None else noticed_at
        return now - since > self.timeout_seconds + MARGIN_SECONDS


def region_of(job: Job) -> str | None:
    """Return the Region in a job's ARN, else that in the name of its target, or None."""
    if job.seen is not None:
        parts = job.seen.job_arn.split(":")
        if len(parts) > 3:
            return parts[3]
    region, slash, _ = job.target.partition("/")
    return region if slash else None


def is_elsewhere(targets: tuple[Target, ...], job: Job) -> bool:
    """Tell whether no listing covers a job: its Region is that of no target."""
    regions = {target.region for target in targets}
    if region_of(job) in regions:
        return False
    # The Region of a target may be left out; then it is boto3's, which is not known here.
    return "" not in regions or configured_target(targets, job) is None


def count_answers(storage: Storage, prefix: str) -> int:
    """Return how many answers are in the output below a prefix. One file is read at a time."""
    answers = 0
    with tempfile.TemporaryDirectory(prefix="answers-") as folder:
        path = Path(folder, "output")
        for output in storage.list(prefix):
            if output.key.endswith(".jsonl.out") and output.size:
                storage.download(output.key, path)
                with path.open("rb") as lines:
                    answers += sum(_is_answer(line) for line in lines)
    return answers


def _is_answer(line: bytes) -> bool:
    return any(isinstance(r, OutputRecord) and r.error is None for r in read_lines(line))
