"""`bedrock-spark check`: every problem of a config at once, or what the config means."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass

import click

from bedrock_spark.aws.model_family import hides_family
from bedrock_spark.check import check_config, list_prices
from bedrock_spark.check_stages import Stages, check_stages
from bedrock_spark.cli.config_argument import with_config
from bedrock_spark.cli.display import Display
from bedrock_spark.cli.output import Output, with_output_options
from bedrock_spark.config import Config
from bedrock_spark.config_file import open_config
from bedrock_spark.errors import BedrockSparkError, ConfigError, ExitCode
from bedrock_spark.families import converse_reason, family_of
from bedrock_spark.families.asked_shape import asked_shape
from bedrock_spark.families.request_body import body_template
from bedrock_spark.prices import price_rows

_CHECKED = (
    "keys, values, templates, options of the model's family, names of model, Region and formats, "
    "columns of the answers, prices, places"
)
_NOT_CHECKED = "whether source, bucket, role and model exist: run does, before it pays"
_SCOPE = (("checked", _CHECKED), ("not checked", _NOT_CHECKED))


@dataclass(frozen=True)
class Checked:
    """A config without a known problem. meaning: what it means, line by line."""

    config: str
    meaning: dict[str, str]


@dataclass(frozen=True)
class CheckedStage:
    """A stage by its name. meaning: what its config means, line by line."""

    name: str
    meaning: dict[str, str]


@dataclass(frozen=True)
class CheckedStages:
    """A config with stages without a known problem, and what each stage means."""

    config: str
    stages: list[CheckedStage]


@click.command(epilog="Example: bedrock-spark check tickets.yaml")
@with_output_options(json_type=Checked | CheckedStages)
@with_config
def check(config: str, overrides: tuple[str, ...], output: Output) -> None:
    """Show every problem of a config at once. Needs no network and no Spark, and costs nothing."""
    display = Display(output)
    output.begin_logging()
    try:
        opened = open_config(config)
        stages = check_stages(opened, overrides)
        found: Checked | CheckedStages
        if stages is not None:
            found = _show_stages(config, stages, display)
        else:
            rows = meaning(check_config(opened, overrides))
            display.show_table([*rows, *_SCOPE])
            found = Checked(config, dict(rows))
    except BedrockSparkError as exc:
        sys.exit(display.fail(exc))
    display.close(f"{config}: no problem found")
    display.show_json(asdict(found))
    sys.exit(ExitCode.DONE)


def _show_stages(config: str, stages: Stages, display: Display) -> CheckedStages:
    """Show what each stage means; return it."""
    found = []
    for stage in stages.stages:
        rows = meaning(stage.config)
        display.say(f"stage {stage.name}")
        display.show_table([(f"  {name}", value) for name, value in rows])
        found.append(CheckedStage(stage.name, dict(rows)))
    display.show_table(list(_SCOPE))
    return CheckedStages(config, found)


def meaning(config: Config) -> list[tuple[str, str]]:
    """Return what a config means, in a few lines of a name and a text each."""
    return [
        ("model", _model(config)),
        ("source", _source(config)),
        ("run folder", config.run_uri),
        *_shape(config),
        ("results", _results(config)),
        *_parsed_columns(config),
        ("unanswered", _unanswered(config)),
        ("budget", _budget(config)),
        *price_rows(list_prices(config)),
    ]


def _model(config: Config) -> str:
    region = config.batch.region or "the Region of the environment"
    if hides_family(config.model):
        return f"{config.model.id}, whose family the service is asked for; jobs in {region}"
    family, why = family_of(config).name, converse_reason(config)
    family += f", because {why}" if why is not None else ""
    places = [f"{t.model_id} in {t.region or region}" for t in config.targets]
    jobs = f"jobs of {'; '.join(places)}" if places else f"jobs in {region}"
    return f"{config.model.id} (family {family}), {jobs}"


def _source(config: Config) -> str:
    source = config.source
    key = f"key {', '.join(source.key)}" if source.key else "no key"
    if source.run is not None:
        outcomes = source.outcomes
        rows = "all rows" if outcomes is None else f"rows with the outcome {' or '.join(outcomes)}"
        place, key = f"{rows} of the run {source.run}", key if source.key else "its key"
    else:
        named = source.path or source.table or ("a query" if source.sql is not None else None)
        place = " ".join(filter(None, [source.format, named])) or "a DataFrame that is handed over"
    where = [f"where {source.where}"] if source.where is not None else []
    return "; ".join([place, *where, key, f"the request reads {_columns(config)}"])


def _columns(config: Config) -> str:
    try:
        return ", ".join(body_template(config).columns)
    except ConfigError:  # the family is not known yet
        return "columns that the model's family decides"


def _shape(config: Config) -> list[tuple[str, str]]:
    try:
        line = asked_shape(config).line
    except ConfigError:  # the family is not known yet
        return []
    return [("answers", line)] if line else []


def _results(config: Config) -> str:
    results = config.results
    place = results.place
    if place is None:
        return "in the run folder only"
    return f"{results.format} {place}, {results.mode}"


def _parsed_columns(config: Config) -> list[tuple[str, str]]:
    parse = config.results.parse
    return [("columns", f"of each answer: {parse.columns}")] if parse is not None else []


def _unanswered(config: Config) -> str:
    fallback = config.fallback
    if fallback is None:
        return "rows that batch jobs do not answer stay so: there is no fallback"
    bought = (
        f", on {fallback.create.model_units} model units that are bought for it"
        if fallback.create is not None
        else ""
    )
    return f"{fallback.model_id} is asked what batch jobs leave{bought}"


def _budget(config: Config) -> str:
    dollars = config.budget.max_cost_usd
    return "no limit" if dollars is None else f"at most ${dollars:,}"
