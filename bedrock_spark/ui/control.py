"""Stop a run, and go on with its batch jobs, as `stop` and `submit` do."""

from __future__ import annotations

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.check import check_config
from bedrock_spark.clock import Clock
from bedrock_spark.errors import BedrockSparkError, BudgetError, ConfigError
from bedrock_spark.pipeline import Pipeline
from bedrock_spark.progress import Observer
from bedrock_spark.run_folder.manifest import require_manifest
from bedrock_spark.run_folder.run import find_run
from bedrock_spark.run_folder.stages_file import read_stage_names
from bedrock_spark.stopping import CleanUp, stop_and_clean_up
from bedrock_spark.storage import open_storage
from bedrock_spark.ui.operations import Work
from bedrock_spark.ui.settings import Kind, UiSettings


def stopping(run_uri: str, aws: AwsSettings) -> Work:
    """Return the work that stops a run."""

    def work(clock: Clock, observe: Observer) -> str:
        cleaned: list[CleanUp] = []
        run = find_run(run_uri, aws.region, aws.endpoint_url)
        manifest = require_manifest(run.storage)
        result, was_active = stop_and_clean_up(run, manifest, clock, observe, cleaned.append)
        said = (
            f"stopped; {result.settled:,} of {result.shards:,} shards are done. All answers "
            "are kept"
            if was_active
            else "there was nothing to stop: no batch job is active or waits, and nothing changed"
        )
        for each in cleaned:
            if each.throughput_deleted:
                said += ". The provisioned throughput that the run bought is deleted"
            if each.warning is not None:
                said += f". {each.warning}"
        return said

    return work


def going_on(run_uri: str, aws: AwsSettings) -> Work:
    """Return the work that submits and watches the batch jobs of a run to their end."""

    def work(clock: Clock, observe: Observer) -> str:
        refuse_stage(run_uri, aws)
        run = find_run(run_uri, aws.region, aws.endpoint_url)
        result = Pipeline(run, clock, observe, lease_wait=0.0).watch()
        if result is None:
            return "every shard is too small for a batch job: the fallback answers them"
        return f"all {result.shards:,} shards are done; collect joins the answers to the rows"

    return work


def refuse_stage(run_uri: str, aws: AwsSettings) -> None:
    """Raise BudgetError if a run is one stage of several.

    Its folder alone does not say what the others leave of their common budget.
    """
    if is_stage(run_uri, aws):
        raise BudgetError(
            f"{run_uri}: is a stage of several, which have one budget; their config says how much "
            "is left of it. Go on with the command: bedrock-spark run CONFIG"
        )


def config_of(run_uri: str, settings: UiSettings) -> str:
    """Return the config of a run as a command takes it: the one of the command line, if it fits."""
    place = settings.place
    if place is None or place.kind is not Kind.CONFIG:
        return "CONFIG"
    try:
        own = check_config(place.name).run_uri
    except BedrockSparkError:
        return "CONFIG"
    return place.name if own.rstrip("/") == run_uri else "CONFIG"


def is_stage(run_uri: str, aws: AwsSettings) -> bool:
    """Tell whether a run is one stage of several."""
    folder, _, name = run_uri.rstrip("/").rpartition("/")
    if not folder or folder == "s3:/":
        return False
    try:
        names = read_stage_names(open_storage(folder, aws))
    except ConfigError:
        return False
    return names is not None and name in names
