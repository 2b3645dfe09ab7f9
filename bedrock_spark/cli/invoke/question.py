"""The question of `bedrock-spark invoke`: a prompt, a record of a run, or a row for a config.

The family of the model builds the body of a prompt, or Converse if no family is known. A record is
sent as it is in its shard, byte for byte, and a row as prepare would render it.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.aws.model_family import (
    ServedModel,
    hides_family,
    served_family,
    served_model,
)
from bedrock_spark.browse.keys import id_of_key
from bedrock_spark.check import check_config
from bedrock_spark.cli.invoke.options import AskOptions
from bedrock_spark.cli.runs import prepared_run
from bedrock_spark.clock import Clock
from bedrock_spark.config import ModelConfig
from bedrock_spark.config.load import with_overrides
from bedrock_spark.errors import ConfigError, RunFolderError
from bedrock_spark.families import family_by_name, family_of, family_of_model
from bedrock_spark.families.request_body import body_template, check_columns
from bedrock_spark.playground.asking import Question
from bedrock_spark.playground.conversation import Conversation, build_body, chat_model
from bedrock_spark.playground.prices import config_price, list_price
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.records import find_record, first_records
from bedrock_spark.run_folder.run import Run
from bedrock_spark.shards.lines import ShardLine
from bedrock_spark.templates.body_template import RowRejected

_REGION_OF_ARN = re.compile(r"arn:aws[^:]*:bedrock:([a-z0-9-]+):")


def question_of(options: AskOptions, clock: Clock) -> Question:
    """Return the question of the command line. Raises ConfigError and RunFolderError."""
    if options.run is not None:
        return _of_record(options, options.run, clock)
    if options.config is not None:
        return _of_row(options, options.config, clock)
    return _of_prompt(options, clock)


def conversation_of(options: AskOptions, clock: Clock) -> tuple[Conversation, Question]:
    """Return an empty conversation with the model of the command line, and a question for it.

    The question has the model, its place and its price, and no body yet. Raises ConfigError.
    """
    model, aws = _model_for_prompt(options, clock)
    model = chat_model(model)
    conversation = Conversation(model, _request_options(options))
    return conversation, Question(model, b"{}", aws, list_price(model, aws))


def _of_prompt(options: AskOptions, clock: Clock) -> Question:
    model, aws = _model_for_prompt(options, clock)
    body = build_body(model, options.prompt or "", _request_options(options))
    return Question(model, body, aws, list_price(model, aws))


def _model_for_prompt(options: AskOptions, clock: Clock) -> tuple[ServedModel, AwsSettings]:
    model_id = options.model or ""
    aws = _aws_settings(options, AwsSettings())
    if options.converse or options.family is not None:
        family = family_by_name("converse" if options.converse else str(options.family))
        return ServedModel(model_id, family, model_id), aws
    try:
        return served_model(aws, model_id, clock), aws
    except ConfigError as exc:
        raise ConfigError(f"{exc}; name it with --family, or use --converse") from None


def _request_options(options: AskOptions) -> dict[str, Any]:
    """Return the options of the request: those with a name of their own, and --set."""
    named = {name: getattr(options, name) for name in ("system", "max_tokens", "temperature")}
    return {**named, **with_overrides({}, options.overrides)}


def _of_record(options: AskOptions, run_uri: str, clock: Clock) -> Question:
    run, manifest = prepared_run(run_uri, endpoint_url=options.endpoint_url)
    record = _record(options, run, manifest)
    aws = _aws_settings(options, run.aws)
    config = run.config
    if options.model is not None:
        _check_same_family(options.model, config.model, aws, clock, "the records of this run")
    model_id = options.model or config.model.id
    model = ServedModel(model_id, family_of(config), model_id)
    price = config_price(config, model, aws)
    return Question(model, record.body, aws, price, record.recordId)


def _record(options: AskOptions, run: Run, manifest: RunManifest) -> ShardLine:
    if options.record is not None:
        return find_record(run.storage, manifest, options.record)
    if options.key:
        return find_record(run.storage, manifest, id_of_key(options.key, run.config))
    first = first_records(run.storage, manifest.shards, 1)
    if not first:
        raise RunFolderError(f"{run.storage.uri}: has no records")
    return first[0]


def _check_same_family(
    model_id: str, model: ModelConfig, aws: AwsSettings, clock: Clock, bodies: str
) -> None:
    """Check that `model_id` takes bodies that are built for `model`, if its family is known.

    bodies: what the bodies are of, for the message
    """
    if model.invocation == "converse" or model.family is not None:
        return
    body_family = family_of_model(model)
    try:
        family = served_family(aws, model_id, clock)
    except ConfigError:  # an imported model, for example: trust the user
        return
    if family.name != body_family.name:
        raise ConfigError(
            f"--model {model_id}: is of the family {family.name}; {bodies} are "
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
        of_config = f"the requests of {config_path}"
        _check_same_family(options.model, config.model, aws, clock, of_config)
    template = body_template(config)
    row = _row(options.row or "")
    check_columns(template.columns, list(row), "--row")
    try:
        body = template.render(row)
    except RowRejected as exc:
        raise ConfigError(f"--row: {exc}") from None
    model_id = options.model or config.model.id
    served = ServedModel(model_id, family_of(config), model_id)
    return Question(served, body, aws, config_price(config, served, aws))


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
