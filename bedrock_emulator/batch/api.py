"""The operations on batch jobs: Create, Get, List and StopModelInvocationJob."""

from __future__ import annotations

import fnmatch
import json
from typing import Any

from bedrock_emulator.batch.runner import JobRunner
from bedrock_emulator.errors import ServiceError, conflict, invalid, not_found
from bedrock_emulator.families.model_ids import ModelRef
from bedrock_emulator.models.usable import check_usable
from bedrock_emulator.s3.objects import ObjectError, split_uri
from bedrock_emulator.settings import ACCOUNT_ID
from bedrock_emulator.state.clock import as_datetime
from bedrock_emulator.state.draws import draw, draw_id
from bedrock_emulator.state.jobs import Job
from bedrock_emulator.state.tags import TagRegistry, tag_map
from bedrock_emulator.state.world import EmulatorState
from bedrock_emulator.wire.paging import page

_DEFAULT_TIMEOUT_HOURS = 24


class BatchApi:
    """The four operations on batch jobs."""

    def __init__(self, world: EmulatorState, runner: JobRunner, tags: TagRegistry) -> None:
        self._world = world
        self._runner = runner
        self._tags = tags

    def create(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """Create a job, or return the one that was created with the same token.

        Raise ConflictException if the name was used, or the token with other parameters and the
        fault script refuses that, ServiceQuotaExceededException if too many jobs of the model are
        active, and ValidationException or AccessDeniedException if the model, role or a bucket
        cannot be used.
        """
        request = {name: value for name, value in params.items() if name != "tags"}
        tags = tag_map(params.get("tags", []))
        with self._world.jobs.lock:
            existing = self._find_by_token(request, region)
            if existing is not None:
                return {"jobArn": existing.arn}
            job = self._admit(request, region)
            self._world.jobs.add(job)
        self._tags.put(job.arn, tags)
        self._runner.begin(job)
        return {"jobArn": job.arn}

    def get(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """Describe a job. Raise ResourceNotFoundException if the Region does not have it."""
        return self._describe(self._find(params["jobIdentifier"], region))

    def list(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """Return one page of jobs, as they were `list_lag_seconds` ago."""
        lag = self._world.faults.current.list_lag_seconds
        jobs = [job for job in self._world.jobs.all() if job.region == region]
        if lag:
            past = (job.as_seen(self._world.clock.now() - lag) for job in jobs)
            jobs = [job for job in past if job is not None]
        matching = [job for job in jobs if _matches(job, params)]
        listed, token = page(matching, params, lambda job: (job.submit_time, job.number))
        summaries = [self._describe(job, live=not lag) for job in listed]
        return {"invocationJobSummaries": summaries, "nextToken": token}

    def stop(self, params: dict[str, Any], region: str) -> dict[str, Any]:
        """Stop a job. Raise ConflictException if it has settled."""
        self._runner.stop(self._find(params["jobIdentifier"], region))
        return {}

    def _find(self, identifier: str, region: str) -> Job:
        job = self._world.jobs.get(identifier.rsplit("/", 1)[-1])
        if job is None or job.region != region or identifier not in (job.arn, job.job_id):
            raise not_found(f"Could not find the model invocation job {identifier}.")
        return job

    def _find_by_token(self, request: dict[str, Any], region: str) -> Job | None:
        """Return the job created with the request's token, or None."""
        token = request.get("clientRequestToken")
        if token is None:
            return None
        for job in self._world.jobs.all():
            if job.token == token and job.region == region:
                if self._world.faults.current.behaviour.refuses(job.request, request):
                    raise conflict("The clientRequestToken was used before with other parameters.")
                return job
        return None

    def _admit(self, request: dict[str, Any], region: str) -> Job:
        """Check a request against access, names and quotas; return its new job."""
        ref = self._world.profiles.resolve(request["modelId"], region)
        check_usable(self._world, request["modelId"], ref.base_model_id, is_batch=True)
        self._check_access(request, ref, region)
        jobs = [job for job in self._world.jobs.all() if job.region == region]
        is_for_ever = self._world.faults.current.behaviour.used_name == "refuse"
        used = (job for job in jobs if is_for_ever or not job.is_settled)
        if any(job.name == request["jobName"] for job in used):
            raise conflict("The provided job name is currently in use.")
        active = sum(not job.is_settled and job.base_model_id == ref.base_model_id for job in jobs)
        quota = self._world.faults.quotas.active_jobs
        if active >= quota:
            raise ServiceError(
                "ServiceQuotaExceededException",
                f"The sum of in-progress and submitted batch inference jobs using "
                f"{ref.base_model_id} has reached the quota of {quota}.",
            )
        return self._new_job(request, ref, region)

    def _new_job(self, request: dict[str, Any], ref: ModelRef, region: str) -> Job:
        now = self._world.clock.now()
        seed = self._world.faults.seed
        number = len(self._world.jobs.all()) + 1
        name = request["jobName"]
        earlier = sum(job.name == name and job.region == region for job in self._world.jobs.all())
        rule = self._world.faults.rule_for_job(
            name, number, lambda index: draw(seed, "job", index, name)
        )
        hours = request.get("timeoutDurationInHours", _DEFAULT_TIMEOUT_HOURS)
        job = Job(
            job_id=draw_id(seed, "job-id", region, name, *([earlier] if earlier else [])),
            region=region,
            number=number,
            model_arn=ref.arn,
            base_model_id=ref.base_model_id,
            request=request,
            submit_time=now,
            expiration_time=now + hours * 3600,
            rule=rule,
        )
        return job.moved("Submitted", now)

    def _check_access(self, request: dict[str, Any], ref: ModelRef, region: str) -> None:
        access = self._world.faults.current.access
        if (
            _matches_any(ref.base_model_id, access.models_without_batch)
            or "rerank" in ref.base_model_id
        ):
            raise invalid("Batch inference is not supported for the requested model.")
        role = request["roleArn"]
        if role.split(":")[4] not in ("", ACCOUNT_ID):
            raise ServiceError("AccessDeniedException", "Cross-account pass role is not allowed.")
        if _matches_any(role, access.denied_roles):
            raise ServiceError(
                "AccessDeniedException",
                f"Could not assume provided IAM role {role}: Bedrock is not trusted by it.",
            )
        source = request["inputDataConfig"]["s3InputDataConfig"]
        target = request["outputDataConfig"]["s3OutputDataConfig"]
        for action, config in (("GetObject", source), ("PutObject", target)):
            self._check_bucket(action, config, region)

    def _check_bucket(self, action: str, config: dict[str, Any], region: str) -> None:
        bucket, _ = split_uri(config["s3Uri"])
        is_denied = _matches_any(bucket, self._world.faults.current.access.denied_buckets)
        try:
            bucket_region = self._world.objects.bucket_region(bucket)
        except ObjectError:
            is_denied, bucket_region = True, None
        # All buckets belong to one account, so any other expected owner is wrong.
        is_owned = config.get("s3BucketOwner", ACCOUNT_ID) == ACCOUNT_ID
        if is_denied or not is_owned or bucket_region != region:
            raise invalid(
                f"Could not validate {action} permissions to access S3 bucket: {bucket} at key "
                f"{config['s3Uri']}."
            )

    def _describe(self, job: Job, *, live: bool = True) -> dict[str, Any]:
        counts = self._runner.progress(job) if live else job.counts
        request = json.loads(json.dumps(job.request))
        request["inputDataConfig"]["s3InputDataConfig"].setdefault("s3InputFormat", "JSONL")
        return {
            **request,
            "jobArn": job.arn,
            "modelId": job.model_arn,
            "status": job.status,
            "message": job.message or None,
            "submitTime": as_datetime(job.submit_time),
            "lastModifiedTime": as_datetime(job.modified_time),
            "endTime": None if job.end_time is None else as_datetime(job.end_time),
            "timeoutDurationInHours": request.get("timeoutDurationInHours", _DEFAULT_TIMEOUT_HOURS),
            "jobExpirationTime": as_datetime(job.expiration_time),
            "modelInvocationType": request.get("modelInvocationType", "InvokeModel"),
            "totalRecordCount": counts.total,
            "processedRecordCount": counts.processed,
            "successRecordCount": counts.success,
            "errorRecordCount": counts.error,
        }


def _matches(job: Job, params: dict[str, Any]) -> bool:
    submitted = as_datetime(job.submit_time)
    return (
        params.get("statusEquals", job.status) == job.status
        and params.get("nameContains", "") in job.name
        and ("submitTimeAfter" not in params or submitted > params["submitTimeAfter"])
        and ("submitTimeBefore" not in params or submitted < params["submitTimeBefore"])
    )


def _matches_any(text: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(text, pattern) for pattern in patterns)
