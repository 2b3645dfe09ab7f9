"""The question of `bedrock-spark invoke`: a prompt, a record of a run, or a row for a config.

The family of the model builds the body of a prompt. A record is sent as it is in its shard, byte
for byte, and a row as prepare would render it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.aws.model_family import hides_family, served_family
from bedrock_spark.browse.keys import id_of_key
from bedrock_spark.check import check_config
from bedrock_spark.cli.invoke.options import DEFAULT_MAX_TOKENS, AskOptions
from bedrock_spark.cli.runs import prepared_run
from bedrock_spark.clock import Clock
from bedrock_spark.config import ModelConfig, RequestConfig
from bedrock_spark.errors import ConfigError, RunFolderError
from bedrock_spark.families import (
    Family,
    bare_model_id,
    family_by_name,
    family_of,
    family_of_model,
)
from bedrock_spark.families.request_body import body_template, check_columns
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.records import find_record, first_records
from bedrock_spark.run_folder.run import Run
from bedrock_spark.shards.lines import ShardLine
from bedrock_spark.templates.body_template import RowRejected

_REGION_OF_ARN = re.compile(r"arn:aws[^:]*:bedrock:([a-z0-9-]+):")


@dataclass(frozen=True)
class Question:
    """One body, its model, and the Region and endpoint of the model."""

    model_id: str
    family: Family
    body: bytes
    aws: AwsSettings
    record_id: str | None = None


def question_of(options: AskOptions, clock: Clock) -> Question:
    """Return the question of the command line. Raises ConfigError and RunFolderError."""
    if options.run is not None:
        return _of_record(options, options.run, clock)
    if options.config is not None:
        return _of_row(options, options.config, clock)
    return _of_prompt(options, clock)


def _of_prompt(options: AskOptions, clock: Clock) -> Question:
    assert options.model is not None
    aws = _aws_settings(options, AwsSettings())
    family = _family_for_prompt(options, options.model, aws, clock)
    is_text = family.read_chunk is not None
    request = RequestConfig(
        prompt=options.prompt,
        system=options.system,
        max_tokens=options.max_tokens or (DEFAULT_MAX_TOKENS if is_text else None),
        temperature=options.temperature,
    )
    body = family.build(request, bare_model_id(options.model))
    return Question(options.model, family, msgspec.json.encode(body), aws)


def _family_for_prompt(
    options: AskOptions, model_id: str, aws: AwsSettings, clock: Clock
) -> Family:
    if options.converse or options.family is not None:
        return family_by_name("converse" if options.converse else str(options.family))
    try:
        return served_family(aws, model_id, clock)
    except ConfigError as exc:
        raise ConfigError(f"{exc}; name it with --family, or use --converse") from None


def _of_record(options: AskOptions, run_uri: str, clock: Clock) -> Question:
    run, manifest = prepared_run(run_uri, endpoint_url=options.endpoint_url)
    record = _record(options, run, manifest)
    aws = _aws_settings(options, run.aws)
    config = run.config
    if options.model is not None:
        _check_same_family(options.model, config.model, aws, clock)
    model_id = options.model or config.model.id
    return Question(model_id, family_of(config), record.body, aws, record.recordId)


def _record(options: AskOptions, run: Run, manifest: RunManifest) -> ShardLine:
    if options.record is not None:
        return find_record(run.storage, manifest, options.record)
    if options.key:
        return find_record(run.storage, manifest, id_of_key(options.key, run.config))
    first = first_records(run.storage, manifest.shards, 1)
    if not first:
        raise RunFolderError(f"{run.storage.uri}: has no records")
    return first[0]


def _check_same_family(model_id: str, model: ModelConfig, aws: AwsSettings, clock: Clock) -> None:
    """Check that `model_id` takes bodies that were built for `model`, if its family is known."""
    if model.invocation == "converse" or model.family is not None:
        return
    body_family = family_of_model(model)
    try:
        family = served_family(aws, model_id, clock)
    except ConfigError:  # an imported model, for example: trust the user
        return
    if family.name != body_family.name:
        raise ConfigError(
            f"--model {model_id}: is of the family {family.name}; the records of this run are "
            f"{body_family.name} bodies"
        )


def _of_row(options: AskOptions, config_path: str, clock: Clock) -> Question:
    config = check_config(config_path)
    aws = _aws_settings(options, AwsSettings(config.batch.region, config.endpoint_url))
    if hides_family(config.model):
        family = served_family(aws, config.model.id, clock).name
        model = config.model.model_copy(update={"family": family})
        config = config.model_copy(update={"model": model})
    if options.model is not None:
        _check_same_family(options.model, config.model, aws, clock)
    template = body_template(config)
    row = _row(options.row or "")
    check_columns(template.columns, list(row), "--row")
    try:
        body = template.render(row)
    except RowRejected as exc:
        raise ConfigError(f"--row: {exc}") from None
    return Question(options.model or config.model.id, family_of(config), body, aws)


def _row(text: str) -> dict[str, Any]:
    try:
        row = json.loads(text)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise ConfigError('--row: must be a JSON object of columns, such as {"body": "Hello"}')
    return row


def _aws_settings(options: AskOptions, default: AwsSettings) -> AwsSettings:
    """Return the options' Region and endpoint, else the Region of the model's ARN, or `default`."""
    arn = _REGION_OF_ARN.match(options.model or "")
    region = options.region or (arn[1] if arn else default.region)
    endpoint_url = options.endpoint_url or default.endpoint_url
    return replace(default, region=region, endpoint_url=endpoint_url)
