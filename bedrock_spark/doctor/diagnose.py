"""All probes of a config, in the order of their subjects. Nothing is paid, and nothing is left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from bedrock_spark.aws.clients import AwsSettings, quick_client, region_here
from bedrock_spark.check import check_config
from bedrock_spark.check_stages import Stages, check_stages
from bedrock_spark.clock import Clock, SystemClock
from bedrock_spark.config import Config, SourceConfig
from bedrock_spark.config_file import open_config
from bedrock_spark.doctor.account import account_findings, clock_findings, identity_of
from bedrock_spark.doctor.asking import UnansweredError
from bedrock_spark.doctor.disk import disk_findings
from bedrock_spark.doctor.findings import Diagnosis, Finding, error, ok, unknown
from bedrock_spark.doctor.in_aws import aws_probes
from bedrock_spark.doctor.on_spark import spark_probes
from bedrock_spark.doctor.probes import Probe, run_probes
from bedrock_spark.doctor.world import Clients, World
from bedrock_spark.errors import BedrockSparkError, ConfigError
from bedrock_spark.report.values import DONE
from bedrock_spark.run_folder.report_file import read_report
from bedrock_spark.run_folder.run import open_run
from bedrock_spark.run_folder.run_file import parse_run_file, read_run_file
from bedrock_spark.storage import free_space, open_storage

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Starting executors takes a cluster minutes.
_SPARK_SECONDS = 600.0
Found = Iterator[tuple[str, Finding]]


def diagnose(
    path: str,
    overrides: Iterable[str] = (),
    spark: Callable[[Config], SparkSession] | None = None,
    clock: Clock | None = None,
) -> Diagnosis:
    """Return everything that would fail late about the config of a file, of all its stages.

    spark: returns a session; None leaves out what only Spark can tell
    No model is invoked. A small object is written into the run folder, and deleted again.
    """
    return Diagnosis.of(path, _all(path, overrides, spark, clock or SystemClock()))


def _all(
    path: str,
    overrides: Iterable[str],
    spark: Callable[[Config], SparkSession] | None,
    clock: Clock,
) -> Found:
    try:
        opened = open_config(path)
        stages = check_stages(opened, overrides)
        configs = {None: check_config(opened, overrides)} if stages is None else _by_name(stages)
    except ConfigError as exc:
        first, *problems = str(exc).splitlines()
        yield from (("config", error(line.strip())) for line in problems or [first])
        return
    yield "config", ok(f"{path}: no problem found")
    seen: set[tuple[str, Finding]] = set()
    for name, config in configs.items():
        for subject, finding in _of_run(config, spark, clock, is_stage=name is not None):
            # What was found for a stage before is not said again.
            if (subject, finding) not in seen:
                seen.add((subject, finding))
                yield subject, finding if name is None else _of_stage(name, finding)
    places = [(str(folder), free) for folder, free in free_space()]
    disk = Probe("disk", "the disk", lambda: disk_findings(places, "this machine"))
    yield from run_probes([disk])


def _by_name(stages: Stages) -> dict[str | None, Config]:
    return {stage.name: stage.config for stage in stages.stages}


def _of_stage(name: str, finding: Finding) -> Finding:
    return replace(finding, what=f"stage {name}: {finding.what}")


def _of_run(
    config: Config,
    spark: Callable[[Config], SparkSession] | None,
    clock: Clock,
    *,
    is_stage: bool,
) -> Found:
    region = config.batch.region or region_here()
    if region is None:
        what = "batch.region: is not set, and neither AWS_REGION nor the AWS profile names one"
        yield "account", error(what, "batch: {region: us-east-1}")
    else:
        batch = config.batch.model_copy(update={"region": region})
        config = config.model_copy(update={"batch": batch})
        known = _without_unknown_rows(config) if is_stage else config
        yield from _in_aws(World(known, region, _quick(known)), clock)
        if known is not config:
            what = f"source.run = {config.source.run!r}: its rows are known once that stage is done"
            yield "source", unknown(what)
            return
        yield from _on_spark(config, spark, clock)


def _without_unknown_rows(config: Config) -> Config:
    """Return the config of a stage without its source if the stage that it reads is not done."""
    if config.source.run is None or _is_done(config):
        return config
    return config.model_copy(update={"source": SourceConfig()})


def _is_done(config: Config) -> bool:
    settings = AwsSettings(config.batch.region, config.endpoint_url)
    storage = open_storage(config.source.run or "", settings)
    try:
        data = read_run_file(storage, ())
        run_id = parse_run_file(data, storage)["run_id"] if data is not None else ""
        report = read_report(storage, run_id)
    except BedrockSparkError:
        return True  # a probe says what is wrong
    return report is not None and report["state"] == DONE


def _quick(config: Config) -> Clients:
    return lambda service, region: quick_client(service, AwsSettings(region, config.endpoint_url))


def _in_aws(world: World, clock: Clock) -> Found:
    sts = world.client("sts")
    why_not: UnansweredError | None = None
    try:
        world = World(world.config, world.region, world.clients, identity_of(sts))
    except UnansweredError as exc:
        why_not = exc
    account = [
        Probe("account", "the account", lambda: account_findings(world, why_not=why_not)),
        Probe("account", "the clock", lambda: clock_findings(sts.get_caller_identity, clock.now)),
    ]
    found = list(run_probes(account))
    yield from found
    if why_not is not None and why_not.is_about_credentials:
        yield "account", unknown("everything else in AWS, because it needs credentials")
    else:
        yield from run_probes(aws_probes(world, clock))


def _on_spark(
    config: Config, spark: Callable[[Config], SparkSession] | None, clock: Clock
) -> Found:
    if spark is None:
        return
    try:
        session = spark(config)
    except BedrockSparkError as exc:
        yield "versions", error(f"Spark: {exc}")  # which says what to install
        return
    yield from run_probes(spark_probes(session, lambda: open_run(config, clock)), _SPARK_SECONDS)
