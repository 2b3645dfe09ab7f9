"""When to ask for a job by its ARN: if no listing shows it, though it must be over by now.

A job ends within its timeout, whatever happens. So after the timeout and a margin, waiting for a
listing has no end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bedrock_spark.outputs.lines import OutputRecord, read_lines
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.storage import Storage, scratch_folder

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

    def is_due(self, job: Job, now: float) -> bool:
        """Tell whether to ask for a job now, and note that it is asked for."""
        if not self.is_overdue(job, now):
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


def count_answers(storage: Storage, prefix: str) -> int:
    """Return how many records are answered below a prefix. One file is read at a time."""
    answered: set[str] = set()
    with scratch_folder("answers") as folder:
        path = Path(folder, "output")
        for output in storage.list(prefix):
            if layout.has_output_lines(output.key) and output.size:
                storage.download(output.key, path)
                with path.open("rb") as lines:
                    for line in lines:
                        answered.update(_answered(line))
    return len(answered)


def _answered(line: bytes) -> Iterator[str]:
    for record in read_lines(line):
        if isinstance(record, OutputRecord) and record.error is None:
            yield record.record_id
