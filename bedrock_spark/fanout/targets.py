"""Where jobs may run: a model in a Region, its role, its slots, and where it reads and writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from bedrock_spark.aws.batch_jobs import BatchJobs
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import Config, TargetConfig
from bedrock_spark.errors import ConfigError
from bedrock_spark.families import family_of
from bedrock_spark.fanout.slots import DEFAULT_SLOTS, Slots
from bedrock_spark.run_folder.run import Run
from bedrock_spark.storage import Storage, open_storage


@dataclass(frozen=True)
class Target:
    """One place for jobs. Without `targets` in the config there is one, and its name is empty.

    region: tells listings apart; the targets of a Region share one
    told: whether the config says how many slots there are
    folder: where its jobs read and write, if that is not the run folder
    """

    name: str
    model_id: str
    role_arn: str
    region: str
    jobs: BatchJobs
    slots: Slots
    told: bool = True
    folder: Storage | None = None


def home_target(run: Run, jobs: BatchJobs) -> Target:
    """Return the one target that model.id and batch name."""
    config = run.config
    told = config.batch.max_active_jobs
    slots = Slots(told or DEFAULT_SLOTS)
    region = config.batch.region or ""
    model_id, role_arn = config.model.id, config.batch.role_arn
    return Target("", model_id, role_arn, region, jobs, slots, told is not None)


def targets_of(run: Run, jobs_in: Callable[[AwsSettings], BatchJobs]) -> tuple[Target, ...]:
    """Return the targets of a run, in the config's order.

    jobs_in: gives the batch job calls of a Region. Raises ConfigError where targets do not fit.
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


def _target(run: Run, one: TargetConfig, calls: dict[str, BatchJobs]) -> Target:
    batch = run.config.batch
    region = one.region or batch.region or ""
    folder = None
    if one.uri is not None:
        folder = open_storage(f"{one.uri}/{run.run_id}", replace(run.aws, region=region or None))
    told = one.max_active_jobs or batch.max_active_jobs
    return Target(
        name=_name(run.config, one),
        model_id=one.model_id,
        role_arn=one.role_arn or batch.role_arn,
        region=region,
        jobs=calls[region],
        slots=Slots(told or DEFAULT_SLOTS),
        told=told is not None,
        folder=folder,
    )


def _name(config: Config, one: TargetConfig) -> str:
    """Name a target in the ledger; what model.id and batch name has no name, listed or not."""
    region = one.region or config.batch.region or ""
    is_home = one.model_id == config.model.id and one.uri is None
    return "" if is_home else f"{region}/{one.model_id}"


def check_targets(config: Config) -> None:
    """Raise ConfigError for targets of another family, elsewhere without a URI, or twice."""
    problems = [*_strangers(config), *_homeless(config), *_repeated(config)]
    if problems:
        raise ConfigError("\n".join(problems))


def _strangers(config: Config) -> Iterable[str]:
    """Records have one body: a model of another family would refuse every one of them."""
    wanted = family_of(config.model).name
    for i, one in enumerate(config.targets):
        found = family_of(config.model.model_copy(update={"id": one.model_id})).name
        if found != wanted:
            yield (
                f"targets[{i}].model_id = {one.model_id!r}: is of the family {found}, model.id of "
                f"{wanted}; the records are made for one of them"
            )


def _homeless(config: Config) -> Iterable[str]:
    for i, one in enumerate(config.targets):
        if one.region not in (None, config.batch.region) and one.uri is None:
            yield (
                f"targets[{i}].uri: is needed, because jobs in {one.region} read and write in that "
                "Region: s3://bucket/path there"
            )


def _repeated(config: Config) -> Iterable[str]:
    names = [_name(config, one) for one in config.targets]
    for i, name in enumerate(names):
        if name in names[:i]:
            yield f"targets[{i}]: is the same model and Region as targets[{names.index(name)}]"
