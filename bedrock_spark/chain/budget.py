"""One budget for all stages: a stage may cost what the others have left of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.check import check_config
from bedrock_spark.check_stages import Stage, Stages, check_stages
from bedrock_spark.clock import SystemClock
from bedrock_spark.config import Config
from bedrock_spark.config.load import AnyConfig, ConfigFile
from bedrock_spark.config_file import open_config
from bedrock_spark.report.gather import gather_report, read_known
from bedrock_spark.report.values import DONE, Ending
from bedrock_spark.run_folder.report_file import read_report
from bedrock_spark.run_folder.run import find_run
from bedrock_spark.run_folder.run_file import parse_run_file, read_run_file
from bedrock_spark.run_folder.same_run import is_fixed
from bedrock_spark.storage import Storage, open_storage

# A config holds no budget of zero. With this one nothing can be asked.
_NOTHING = Decimal("0.000001")


def config_of_run(config: AnyConfig, overrides: Iterable[str] = ()) -> Config:
    """Check the config of one run. That of a stage has what the other stages leave of the budget.

    config: as of `check_config`; a file may name its stage, as in `contracts.yaml#extract`
    Raises ConfigError that names every problem. Reads the reports of other stages.
    """
    config, overrides = open_config(config), tuple(overrides)
    checked = check_config(config, overrides)
    name = checked.origin.stage
    if name is None or not isinstance(config, ConfigFile):
        return checked
    stages = check_stages(config.whole, overrides)
    if stages is None or stages.max_cost is None:
        return checked
    return within_budget(stages, next(stage for stage in stages.stages if stage.name == name))


def within_budget(stages: Stages, stage: Stage) -> Config:
    """Return the config of a stage with what the others leave of the budget."""
    config, limit = stage.config, stages.max_cost
    if limit is None:
        return config
    left = max(limit - sum(costs_of_others(stages, stage).values(), Decimal()), _NOTHING)
    budget = config.budget.model_copy(update={"max_cost_usd": left})
    return config.model_copy(update={"budget": budget}).from_origin(config.origin)


def costs_of_others(stages: Stages, stage: Stage) -> dict[str, Decimal]:
    """Return the dollars that the other stages have cost, by name, as far as they are known."""
    others = [other for other in stages.stages if other.name != stage.name]
    return {other.name: _cost_now(other.config) for other in others}


def _cost_now(config: Config) -> Decimal:
    """Return what a run has cost by now. The report of one that is not done may be behind.

    Its process may have been killed, or another one is at work on it.
    """
    report = last_report(config)
    known = Decimal() if report is None else spent([report])
    if not is_fixed(folder_of(config)) or (report is not None and report["state"] == DONE):
        return known
    run = find_run(config.run_uri, config.batch.region, config.endpoint_url, needs=())
    now = SystemClock().now()
    report = gather_report(run, read_known(run), None, {}, Ending(), now).as_json()
    return max(known, spent([report]))


def spent(reports: Iterable[Mapping[str, Any]]) -> Decimal:
    """Return the dollars that are known of some reports."""
    return sum((Decimal(str((r["cost"] or {}).get("total", 0))) for r in reports), Decimal())


def folder_of(config: Config, run_uri: str | None = None) -> Storage:
    """Return the run folder of a config, or another folder by the same access."""
    settings = AwsSettings(config.batch.region, config.endpoint_url)
    return open_storage(run_uri or config.run_uri, settings)


def last_report(config: Config) -> Mapping[str, Any] | None:
    """Return the last report of the run in a config's folder; None if there is none."""
    storage = folder_of(config)
    data = read_run_file(storage, ())
    if data is None:
        return None
    return read_report(storage, parse_run_file(data, storage)["run_id"])
