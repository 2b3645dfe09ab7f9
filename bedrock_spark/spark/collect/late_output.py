"""Copy output that came late into the run folder, for jobs whose target writes in another place.

The controller copies the output of a job when it sees that the job has settled. Output may follow
the status of a job: if a job claims answers that the run folder does not have, they may be in the
folder of its target by now.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace

from bedrock_spark.errors import StorageError
from bedrock_spark.outputs.outcomes import UNFOUND
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.run_folder.job_plan import Place, output_prefix
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.run import Run
from bedrock_spark.storage import Storage, copy_below, open_storage

log = logging.getLogger(__name__)


def folders_of(run: Run, jobs: Iterable[Job]) -> dict[Place, Storage]:
    """Return the folder of each place where jobs wrote, if that is not the run folder."""
    folders: dict[Place, Storage] = {}
    for place in {job.place for job in jobs}:
        if place is not None and place.folder is not None:
            aws = replace(run.aws, region=place.region or run.aws.region)
            folders[place] = open_storage(place.folder, aws)
    return folders


def lacks_answers(reconciled: ReconciledShard) -> bool:
    """Tell whether jobs of the shard claim answers that were not found."""
    return any(finding.kind == UNFOUND for finding in reconciled.findings)


def copy_late_output(
    storage: Storage, folders: Mapping[Place, Storage], jobs: Iterable[Job]
) -> bool:
    """Copy what the run folder does not have of the output of jobs; tell if there was anything.

    A folder that cannot be read is only logged: what is in the run folder is collected.
    """
    copied = 0
    for job in jobs:
        folder = folders.get(job.place) if job.place is not None else None
        if folder is None:
            continue
        prefix = output_prefix(job.shard_id, job.attempt, job.token)
        try:
            copied += copy_below(folder, storage, prefix)
        except StorageError as exc:
            log.warning("%s: late output was not looked for: %s", job.job_name, exc)
    return copied > 0
