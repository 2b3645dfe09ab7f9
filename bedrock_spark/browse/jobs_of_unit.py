"""The batch jobs of some units, from the table of the reconciliations: a few row groups of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from bedrock_spark.errors import RunFolderError
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.results_file import open_parquet
from bedrock_spark.storage import Storage

_COLUMNS = ("job_name", "job_arn", "attempt", "status", "submitted_at", "ended_at")


@dataclass(frozen=True)
class JobOfUnit:
    """A batch job, as the last collect has seen it.

    arn, status: None if no listing has shown it; the times are in UTC, None if they are not known
    """

    name: str
    arn: str | None
    attempt: int | None
    status: str | None
    submitted_at: dt.datetime | None
    ended_at: dt.datetime | None

    @property
    def job_id(self) -> str | None:
        """Return the last part of the ARN, which names the folder of the output."""
        return None if self.arn is None else self.arn.rsplit("/", 1)[-1]


def jobs_of_units(storage: Storage, units: Sequence[str]) -> tuple[JobOfUnit, ...]:
    """Return the jobs of some units by attempt; none before the first collect.

    Raises RunFolderError if the table is damaged.
    """
    source = open_parquet(storage, layout.RECONCILIATION_FILE) if units else None
    if source is None:
        return ()
    wanted = (ds.field("kind") == "job") & ds.field("unit").isin(list(units))
    try:
        table = pq.read_table(source, columns=[*_COLUMNS], filters=wanted)
    except (pa.ArrowException, OSError) as exc:
        raise RunFolderError(
            f"{storage.uri}/{layout.RECONCILIATION_FILE}: is damaged; run bedrock-spark collect, "
            "which writes it again"
        ) from exc
    jobs = (JobOfUnit(*(row[name] for name in _COLUMNS)) for row in table.to_pylist())
    return tuple(sorted(jobs, key=lambda job: (job.attempt or 0, job.name)))
