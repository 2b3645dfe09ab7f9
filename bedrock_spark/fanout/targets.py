"""Targets: where jobs may run. A model in a Region, a role, slots, and a folder for the files.

A job is looked for where it was made, whatever the config says of its target since then: its place
is in its intent. A place that is no target of the config any more is a former target. It gets no
new jobs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from bedrock_spark.aws.batch_jobs import BatchJobs
from bedrock_spark.aws.clients import AwsSettings, bedrock_client
from bedrock_spark.clock import Clock
from bedrock_spark.config import Config, TargetConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.families import family_of
from bedrock_spark.fanout.slots import DEFAULT_SLOTS, Slots
from bedrock_spark.run_folder.job_plan import Place, place_of
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.run import Run
from bedrock_spark.storage import Storage, open_storage


@dataclass(frozen=True)
class Target:
    """One place for jobs. Without `targets` in the config there is one, and its name is empty.

    region: the targets of a Region share one listing
    has_configured_slots: whether the config says how many slots there are
    folder: where its jobs read and write, if that is not the run folder
    bucket_owner: the account of the bucket where they do, if it is not the caller's
    """

    name: str
    model_id: str
    role_arn: str
    region: str
    jobs: BatchJobs
    slots: Slots
    has_configured_slots: bool = True
    folder: Storage | None = None
    bucket_owner: str | None = None

    @property
    def place(self) -> Place:
        """Return the place that is written down with every job of the target."""
        folder = self.folder.uri if self.folder is not None else None
        return place_of(self.region, self.model_id, folder)

    def has_made(self, job: Job) -> bool:
        """Tell whether a job was made at this target as it is configured now."""
        return self.name == job.target and self.place == job.place


def jobs_by(clock: Clock) -> Callable[[AwsSettings], BatchJobs]:
    """Return the function that returns the batch job calls of a Region."""
    return lambda aws: BatchJobs(bedrock_client(aws), clock)


def target_of(targets: Sequence[Target], job: Job) -> Target:
    """Return the target where a job was made.

    If none of `targets` is that, it is the one of the same name, and the first one if none is.
    """
    for target in targets:
        if target.has_made(job):
            return target
    return next((t for t in targets if t.name == job.target), targets[0])


def one_per_region(targets: Sequence[Target]) -> Iterable[Target]:
    """Return the first target of every Region: each lists all jobs of its Region."""
    return {t.region: t for t in reversed(targets)}.values()


def former_targets(
    run: Run,
    targets: Sequence[Target],
    jobs: Iterable[Job],
    jobs_in: Callable[[AwsSettings], BatchJobs],
) -> tuple[Target, ...]:
    """Return a target for every place of these jobs that is none of `targets`."""
    former: list[Target] = []
    for job in jobs:
        place = job.place or _place_by_arn(run, targets, job)
        known = ((target.name, target.place) for target in (*targets, *former))
        if place is None or (job.target, place) in known:
            continue
        aws = replace(run.aws, region=place.region or None)
        roles = (target.role_arn for target in targets if target.name == job.target)
        calls = (target.jobs for target in (*targets, *former) if target.region == place.region)
        former.append(
            Target(
                name=job.target,
                model_id=place.model_id,
                role_arn=next(roles, run.config.batch.role_arn),
                region=place.region,
                jobs=next(calls, None) or jobs_in(aws),
                slots=Slots(DEFAULT_SLOTS),
                folder=open_storage(place.folder, aws) if place.folder is not None else None,
            )
        )
    return tuple(former)


def _place_by_arn(run: Run, targets: Sequence[Target], job: Job) -> Place | None:
    """Return where a job was made whose intent does not say it, and whose target is gone.

    Its output is then looked for in the run folder only.
    """
    if job.seen is None or any(target.name == job.target for target in targets):
        return None
    region = job.seen.job_arn.split(":")[3]
    model_id = job.target.partition("/")[2] or run.config.model.id
    return place_of(region, model_id, None)


def home_target(run: Run, jobs: BatchJobs) -> Target:
    """Return the target that the config's sections `model` and `batch` describe."""
    config = run.config
    configured = config.batch.max_active_jobs
    slots = Slots(configured or DEFAULT_SLOTS)
    region = config.batch.region or ""
    model_id, role_arn = config.model.id, config.batch.role_arn
    has_slots, owner = configured is not None, config.batch.bucket_owner
    return Target("", model_id, role_arn, region, jobs, slots, has_slots, bucket_owner=owner)


def targets_of(run: Run, jobs_in: Callable[[AwsSettings], BatchJobs]) -> tuple[Target, ...]:
    """Return the targets of a run, in the config's order.

    jobs_in: returns the batch job calls of a Region
    Raises ConfigError if the targets do not fit the run.
    """
    config = run.config
    if not config.targets:
        return (home_target(run, jobs_in(run.aws)),)
    check_targets(config)
    home = config.batch.region or ""
    calls = {
        region: jobs_in(replace(run.aws, region=region or None))
        for region in {t.region or home for t in config.targets}
    }
    return tuple(_target(run, one, calls) for one in config.targets)


def _target(run: Run, target: TargetConfig, calls: dict[str, BatchJobs]) -> Target:
    batch = run.config.batch
    region = target.region or batch.region or ""
    folder = None
    if target.uri is not None:
        folder = open_storage(f"{target.uri}/{run.run_id}", replace(run.aws, region=region or None))
    configured = target.max_active_jobs or batch.max_active_jobs
    return Target(
        name=_name(run.config, target),
        model_id=target.model_id,
        role_arn=target.role_arn or batch.role_arn,
        region=region,
        jobs=calls[region],
        slots=Slots(configured or DEFAULT_SLOTS),
        has_configured_slots=configured is not None,
        folder=folder,
        bucket_owner=batch.bucket_owner if folder is None else target.bucket_owner,
    )


def _name(config: Config, target: TargetConfig) -> str:
    """Return a target's name in the ledger; that of the home target is empty."""
    region = target.region or config.batch.region or ""
    is_home = target.model_id == config.model.id and target.uri is None
    return "" if is_home else f"{region}/{target.model_id}"


def check_targets(config: Config) -> None:
    """Raise ConfigError if a target is of another family, lacks a URI, or is there twice."""
    problems = [*_other_families(config), *_without_uri(config), *_duplicates(config)]
    if problems:
        raise ConfigError("\n".join(problems))


def _other_families(config: Config) -> Iterable[str]:
    """A record has one body: a model of another family would refuse every one."""
    expected = family_of(config).name
    for i, target in enumerate(config.targets):
        model = config.model.model_copy(update={"id": target.model_id})
        family = family_of(config.model_copy(update={"model": model})).name
        if family != expected:
            yield (
                f"targets[{i}].model_id = {target.model_id!r}: is of the family {family}, model.id "
                f"of {expected}; the records are made for one of them"
            )


def _without_uri(config: Config) -> Iterable[str]:
    for i, target in enumerate(config.targets):
        if target.region not in (None, config.batch.region) and target.uri is None:
            yield (
                f"targets[{i}].uri: is needed, because jobs in {target.region} read and write in "
                "that Region: s3://bucket/path there"
            )


def _duplicates(config: Config) -> Iterable[str]:
    names = [_name(config, target) for target in config.targets]
    for i, name in enumerate(names):
        if name in names[:i]:
            yield f"targets[{i}]: is the same model and Region as targets[{names.index(name)}]"
