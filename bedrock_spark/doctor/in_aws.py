"""The probes of what a config meets in AWS."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.aws.provisioned import is_provisioned
from bedrock_spark.clock import Clock
from bedrock_spark.doctor import bucket as buckets
from bedrock_spark.doctor.asking import UnansweredError
from bedrock_spark.doctor.findings import Finding, error, ok
from bedrock_spark.doctor.key import key_findings
from bedrock_spark.doctor.models import (
    NamedModel,
    foundation_arns,
    foundation_of,
    is_profile,
    model_findings,
    profile_findings,
)
from bedrock_spark.doctor.probes import Probe
from bedrock_spark.doctor.provisioned import provisioned_findings
from bedrock_spark.doctor.quotas import active_findings, quota_findings
from bedrock_spark.doctor.roles import role_findings, roles_of
from bedrock_spark.doctor.run_folder import TRIED, folder_findings
from bedrock_spark.doctor.simulation import principal_of, simulation_findings
from bedrock_spark.doctor.world import World
from bedrock_spark.errors import StorageError
from bedrock_spark.model_check import named_models
from bedrock_spark.permissions import policies_of
from bedrock_spark.run_folder.run import open_run
from bedrock_spark.storage import open_storage


def aws_probes(world: World, clock: Clock) -> list[Probe]:
    """Return the probes of a config in AWS."""
    models = models_of(world)
    found = [*_of_models(world, models, clock), *_of_jobs(world, models)]
    if not world.config.run_uri.startswith("s3://"):
        return [*found, Probe("run folder", "the run folder", partial(_not_in_s3, world))]
    return [*found, *_of_permissions(world, models), *_of_folders(world, clock)]


def models_of(world: World) -> list[NamedModel]:
    """Return the models of a config, each place that names one."""
    config, found = world.config, []
    fallback = config.fallback
    asks_own = config.canary.records and config.canary.model_id is None
    for key, model_id, region in named_models(config):
        is_called = key in ("canary.model_id", "fallback.model_id") or (
            key == "model.id" and bool(asks_own)
        )
        buys = key == "fallback.model_id" and fallback is not None and fallback.create is not None
        found.append(NamedModel(key, model_id, region or world.region, is_called, buys))
    return found


def _of_models(world: World, models: list[NamedModel], clock: Clock) -> Iterator[Probe]:
    for model in models:
        look = partial(model_findings, world, model, clock.now())
        yield Probe("models", f"{model.name}", look)
    profiles = {(m.model_id, m.region): m for m in reversed(models) if is_profile(m.model_id)}
    for model in reversed(profiles.values()):
        look = partial(profile_findings, world, model)
        yield Probe("models", f"the Regions of {model.name}", look)
    for model in models:
        if is_provisioned(model.model_id):
            look = partial(provisioned_findings, world, model.key, model.model_id)
            yield Probe("models", f"{model.name}", look)


def _of_jobs(world: World, models: list[NamedModel]) -> Iterator[Probe]:
    """Yield the probes of the quotas of batch jobs, for each model and Region that has jobs."""
    config = world.config
    slots = {f"targets[{i}].model_id": t.max_active_jobs for i, t in enumerate(config.targets)}
    slots = slots or {"model.id": config.batch.max_active_jobs}
    own = [model for model in models if model.key in slots]
    for model in own:
        name = f"the quotas of batch jobs of {model.name}"
        yield Probe("quotas", name, partial(_quotas, world, model, slots[model.key]))
    for region in dict.fromkeys(model.region for model in own):
        look = partial(active_findings, world, region)
        yield Probe("quotas", f"the batch jobs in {region}", look)


def _quotas(world: World, model: NamedModel, configured: int | None) -> Iterator[Finding]:
    foundation = foundation_of(world, model) or model.model_id
    yield from quota_findings(world, foundation, model.region, configured)


def _of_permissions(world: World, models: list[NamedModel]) -> Iterator[Probe]:
    """Yield the probes of IAM. It only knows roles of the caller's account."""
    if world.identity is not None and world.identity.account != world.account:
        return  # the probe of the account has the line
    for role, regions in roles_of(world).items():
        yield Probe("role", f"the role {role}", partial(role_findings, world, role, regions))
    for role in roles_of(world):
        look = partial(_role_may, world, role, models)
        yield Probe("permissions", f"the permissions of the role {role}", look)
    if world.identity is not None:
        look = partial(_caller_may, world, world.identity.arn, models)
        yield Probe("permissions", "the permissions of the caller", look)


def _role_may(world: World, role: str, models: list[NamedModel]) -> Iterator[Finding]:
    policy = policies_of(world.config, world.region).service_role
    arns = foundation_arns(world, models)
    yield from simulation_findings(world, "service role", role, policy, arns)


def _caller_may(world: World, arn: str, models: list[NamedModel]) -> Iterator[Finding]:
    policy = policies_of(world.config, world.region).caller
    principal, arns = principal_of(world, arn), foundation_arns(world, models)
    yield from simulation_findings(world, "caller", principal, policy, arns, TRIED)


def _of_folders(world: World, clock: Clock) -> Iterator[Probe]:
    """Yield the probes of the run folder, and of the buckets of targets."""
    yield Probe("run folder", "the run in the run folder", partial(_run, world, clock))
    for bucket in buckets.buckets_of(world):
        aws = AwsSettings(bucket.region, world.config.endpoint_url)
        storage = open_storage(bucket.uri, aws)
        look = partial(folder_findings, storage, world.partition, clock.now())
        yield Probe("run folder", f"the run folder {bucket.uri}", look)
    seen = set()
    for bucket in buckets.buckets_of(world):
        if bucket.name in seen:
            continue
        seen.add(bucket.name)
        for name, look in (
            ("Region and owner", partial(buckets.place_findings, world, bucket)),
            ("public access", partial(buckets.public_findings, world, bucket)),
            ("policy", partial(buckets.statement_findings, world, bucket)),
            ("lifecycle rules", partial(buckets.rule_findings, world, bucket, clock.now())),
            ("versioning", partial(buckets.versioning_findings, world, bucket)),
        ):
            yield Probe("bucket", f"{name} of bucket {bucket.name}", look)
        roles = list(roles_of(world))
        look = partial(key_findings, world, bucket, roles)
        yield Probe("encryption", f"the encryption of bucket {bucket.name}", look)


def _run(world: World, clock: Clock) -> Iterator[Finding]:
    """Yield whether the folder is free, or has a run that this config may carry on."""
    try:
        run = open_run(world.config, clock)
    except StorageError as exc:  # the probe that writes and reads has the line
        raise UnansweredError(str(exc), is_told_elsewhere=True) from exc
    state = f"has the run {run.run_id}, which goes on" if run.is_begun else "has no run yet"
    yield ok(f"run folder {run.storage.uri}: {state}")


def _not_in_s3(world: World) -> Iterator[Finding]:
    yield error(
        f"run folder {world.config.run_uri}: is not in S3, so batch jobs cannot read it",
        "run_uri: s3://BUCKET/runs/NAME",
    )
