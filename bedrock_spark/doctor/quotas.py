"""The quotas of batch jobs against the config, and whether batch jobs take the model at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from bedrock_spark.aws.service_quotas import BatchQuotas, batch_quotas_among, quotas_of_bedrock
from bedrock_spark.config import Config
from bedrock_spark.doctor.asking import ask
from bedrock_spark.doctor.findings import Finding, error, ok, warning
from bedrock_spark.doctor.world import World
from bedrock_spark.families import bare_model_id

_SUPPORTED = "https://docs.aws.amazon.com/bedrock/latest/userguide/batch-inference-supported.html"
_ACTIVE = ("Submitted", "Validating", "Scheduled", "InProgress", "Stopping")


def quota_findings(
    world: World, foundation: str, region: str, configured_jobs: int | None
) -> Iterator[Finding]:
    """Yield what the quotas of a model's batch jobs refuse of the config. Raises UnansweredError.

    configured_jobs: the most active jobs that the config allows; None if the quota decides
    """
    client = world.client("service-quotas", region)
    every = ask(lambda: list(quotas_of_bedrock(client)), "servicequotas:ListServiceQuotas")
    yield from findings_of(every, world.config, foundation, region, configured_jobs)


def findings_of(
    every: Sequence[tuple[str, float]],
    config: Config,
    foundation: str,
    region: str,
    configured_jobs: int | None,
) -> Iterator[Finding]:
    """Yield what quotas refuse of a config.

    every: names and values of all quotas of Bedrock
    """
    quotas = batch_quotas_among(every, bare_model_id(foundation))
    name = f"batch jobs of {foundation} in {region}"
    if quotas.is_empty:
        yield warning(
            f"{name}: Service Quotas has no quota of them, so AWS may not offer batch inference of "
            f"this model there: {_SUPPORTED}",
            "model: {id: ANOTHER-MODEL}    # or batch: {region: ANOTHER-REGION}",
        )
        return
    faults = list(_faults(name, quotas, config, configured_jobs))
    yield from faults
    if not faults:
        yield ok(
            f"{name}: {_shown(quotas.min_records)} to {_shown(quotas.max_records)} records a job, "
            f"{_shown(quotas.active_jobs)} active jobs"
        )


def _faults(
    name: str, quotas: BatchQuotas, config: Config, configured_jobs: int | None
) -> Iterator[Finding]:
    shards = config.shards
    if quotas.min_records is not None and shards.min_records < quotas.min_records:
        yield error(
            f"{name}: need at least {quotas.min_records:,} records, and shards.min_records is "
            f"{shards.min_records:,}: smaller jobs are refused",
            f"shards: {{min_records: {quotas.min_records}}}",
        )
    if quotas.max_records is not None and shards.max_records > quotas.max_records:
        yield error(
            f"{name}: take at most {quotas.max_records:,} records, and shards.max_records is "
            f"{shards.max_records:,}",
            f"shards: {{max_records: {quotas.max_records}}}",
        )
    jobs = quotas.active_jobs
    if jobs is not None and configured_jobs is not None and configured_jobs > jobs:
        yield warning(
            f"{name}: at most {jobs:,} may be active, and max_active_jobs is {configured_jobs:,}",
            f"batch: {{max_active_jobs: {jobs}}}",
        )


def _shown(value: int | None) -> str:
    return "an unknown number of" if value is None else f"{value:,}"


def active_findings(world: World, region: str) -> Iterator[Finding]:
    """Yield how many batch jobs of the account are active: they share its slots."""
    client = world.client("bedrock", region)
    active = 0
    for status in _ACTIVE:
        active += ask(partial(_count_jobs, client, status), "bedrock:ListModelInvocationJobs")
    yield ok(f"the caller lists batch jobs in {region}; {active:,} of the account are active")


def _count_jobs(client: Any, status: str) -> int:
    pages = client.get_paginator("list_model_invocation_jobs").paginate(statusEquals=status)
    return sum(len(page.get("invocationJobSummaries", ())) for page in pages)
