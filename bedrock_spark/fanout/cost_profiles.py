"""One tagged application inference profile per run and target: `batch.cost_profile`.

Batch jobs have tags, but AWS bills a model and not a job. A profile's tags are in the bill, so Cost
Explorer tells runs apart. A profile costs nothing. It is made once, before the first job that names
it: its name and the request's token follow from the run id. If a process dies before it has noted
the profile, the next one finds it by its name.

A profile is kept as long as the run may have jobs, and deleted when the run is done. That is noted
before and after the call. So a process that carries a run on, because its config has changed, names
no profile that another one has deleted, or was about to when it died.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from bedrock_spark.aws.clients import AwsSettings, bedrock_client
from bedrock_spark.aws.cost_profile import (
    create_profile,
    delete_profile,
    find_profile,
    source_arn,
)
from bedrock_spark.aws.protocols import BedrockClient
from bedrock_spark.clock import Clock
from bedrock_spark.errors import JobError, JobRejectedError, RunHeldError
from bedrock_spark.fanout.targets import Target
from bedrock_spark.run_folder.cost_profiles import (
    CostProfile,
    next_number,
    note_deleted,
    note_deleting,
    note_profile,
    place_digest,
    profiles_in_use,
    profiles_left,
)
from bedrock_spark.run_folder.lease import Lease
from bedrock_spark.run_folder.report_file import DONE, read_report
from bedrock_spark.run_folder.run import Run

log = logging.getLogger(__name__)

TAG = "bedrock-spark-run"
_NAME_MAX = 64


@dataclass
class CostProfiles:
    """The profiles of one run. Only the process that has the run's lease makes any."""

    run: Run
    clock: Clock
    client_in: Callable[[AwsSettings], BedrockClient] = bedrock_client
    _arns: dict[str, str] = field(default_factory=dict)

    def arn_for(self, target: Target) -> str:
        """Return the ARN of the profile for a target's jobs; make it if there is none yet.

        Raises a JobError: JobRejectedError if the service refuses.
        """
        place = place_digest(target.region, target.model_id)
        if place not in self._arns:
            noted = [p for p in profiles_in_use(self.run.storage) if p.place == place]
            profile = noted[0] if noted else self._make(target, place)
            self._arns[place] = profile.arn
        return self._arns[place]

    def _make(self, target: Target, place: str) -> CostProfile:
        client = self.client_in(replace(self.run.aws, region=target.region or None))
        number = next_number(self.run.storage, place)
        name = profile_name(self.run.run_id, place, number)
        arn = find_profile(client, name, self.clock)
        if arn is None:
            tags = {**self.run.config.batch.tags, TAG: self.run.run_id}
            request = {
                "inferenceProfileName": name,
                "description": f"bedrock-spark run {self.run.run_id}",
                "clientRequestToken": profile_token(self.run.run_id, place, number),
                "modelSource": {"copyFrom": source_arn(client, target.model_id, self.clock)},
                "tags": [{"key": key, "value": value} for key, value in sorted(tags.items())],
            }
            arn = create_profile(client, request, self.clock)
        arn = arn or find_profile(client, name, self.clock)
        if arn is None:
            raise JobRejectedError(
                f"batch.cost_profile: the service says that the inference profile {name} exists, "
                "and does not list it; run the same command again"
            )
        profile = CostProfile(place, number, target.region, target.model_id, arn)
        note_profile(self.run.storage, profile)
        log.info("%s: the jobs of %s use the profile %s", self.run.run_id, target.model_id, arn)
        return profile


def delete_cost_profiles(run: Run, clock: Clock) -> None:
    """Delete the profiles of a run that is done. One that cannot be deleted is a warning.

    Needs the run's lease: a process that carries the run on may be about to name one in a job. If
    another process has the lease, that one deletes them when it has released it.
    """
    if not profiles_left(run.storage):
        return
    try:
        with Lease(run.storage, clock):
            _delete_left(run, clock)
    except RunHeldError as exc:
        log.info("%s: its cost profiles stay, because another process works: %s", run.run_id, exc)


def delete_profiles_if_done(run: Run, clock: Clock) -> None:
    """Delete the profiles of a run that is done by its report. Call it after releasing the lease.

    The process that has found the run done, and written that first, may not have got the lease.
    """
    if run.config.batch.cost_profile:
        report = read_report(run.storage, run.run_id)
        if report is not None and report["state"] == DONE:
            delete_cost_profiles(run, clock)


def _delete_left(run: Run, clock: Clock) -> None:
    # They are read again: with the lease, no other process makes one.
    for profile in profiles_left(run.storage):
        note_deleting(run.storage, profile)
        client = bedrock_client(replace(run.aws, region=profile.region or None))
        try:
            delete_profile(client, profile.arn, clock)
        except JobError as exc:
            log.warning("%s: %s. It costs nothing, and is deleted by the next run", run.run_id, exc)
            continue
        note_deleted(run.storage, profile)


def profile_name(run_id: str, place: str, number: int) -> str:
    """Return the name of a run's profile. Letters and digits, with single hyphens between them."""
    suffix = f"-{place}" if number == 1 else f"-{place}-{number}"
    name = f"bs-{re.sub(r'[^0-9a-zA-Z]+', '-', run_id).strip('-')}"
    return f"{name[: _NAME_MAX - len(suffix)].rstrip('-')}{suffix}"


def profile_token(run_id: str, place: str, number: int) -> str:
    """Return the token of a request. The service answers a repeated one with the same profile."""
    return hashlib.sha256(f"{run_id}/{place}/{number}".encode()).hexdigest()
