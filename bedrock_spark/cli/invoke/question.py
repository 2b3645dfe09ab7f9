"""What `bedrock-spark invoke` asks, and whom: a prompt, a record of a run, or a row by a config.

A prompt becomes the body that its model's family builds. A record is sent as it lies in its shard,
byte for byte, and a row as prepare would render it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.aws.model_family import hides_family, served_family
from bedrock_spark.cli.invoke.options import DEFAULT_MAX_TOKENS, Asked
from bedrock_spark.cli.runs import prepared_run
from bedrock_spark.clock import Clock
from bedrock_spark.config import ModelConfig, RequestConfig, load_config
from bedrock_spark.errors import ConfigError, RunFolderError
from bedrock_spark.families import Family, family_by_name, family_of
from bedrock_spark.families.request_body import body_template, check_columns
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.records import find_record, first_records
from bedrock_spark.run_folder.run import Run
from bedrock_spark.shards.lines import ShardLine
from bedrock_spark.shards.record_ids import record_id
from bedrock_spark.templates.body_template import RowRejected

_REGION_OF_ARN = re.compile(r"arn:aws[^:]*:bedrock:([a-z0-9-]+):")


@dataclass(frozen=True)
class Question:
    """One body, the model that it is for, and where that is."""

    model_id: str
    family: Family
    body: bytes
    aws: AwsSettings
    record_id: str | None = None


def question_of(asked: Asked, clock: Clock) -> Question:
    """Return the question that the command line asks. Raises ConfigError and RunFolderError."""
    if asked.run is not None:
        return _of_record(asked, asked.run, clock)
    if asked.config is not None:
        return _of_row(asked, asked.config, clock)
    return _of_prompt(asked, clock)


def _of_prompt(asked: Asked, clock: Clock) -> Question:
    assert asked.model is not None
    aws = _place(asked, AwsSettings())
    family = _family_for_prompt(asked, asked.model, aws, clock)
    is_text = family.read_chunk is not None
    request = RequestConfig(
        prompt=asked.prompt,
        system=asked.system,
        max_tokens=asked.max_tokens or (DEFAULT_MAX_TOKENS if is_text else None),
        temperature=asked.temperature,
    )
    return Question(asked.model, family, msgspec.json.encode(family.build(request)), aws)


def _family_for_prompt(asked: Asked, model_id: str, aws: AwsSettings, clock: Clock) -> Family:
    if asked.converse or asked.family is not None:
        return family_by_name("converse" if asked.converse else str(asked.family))
    try:
        return served_family(aws, model_id, clock)
    except ConfigError as exc:
        raise ConfigError(f"{exc}; say it with --family, or ask by --converse") from None


def _of_record(asked: Asked, run_uri: str, clock: Clock) -> Question:
    run, manifest = prepared_run(run_uri, asked.region, asked.endpoint_url)
    record = _record(asked, run, manifest)
    aws = _place(asked, run.aws)
    model = run.config.model
    if asked.model is not None:
        _check_same_family(asked.model, model, aws, clock)
    model_id = asked.model or model.id
    return Question(model_id, family_of(model), record.body, aws, record.recordId)


def _record(asked: Asked, run: Run, manifest: RunManifest) -> ShardLine:
    if asked.record is not None:
        return find_record(run.storage, manifest, asked.record)
    if asked.key:
        return find_record(run.storage, manifest, _id_of_key(asked.key, run))
    first = first_records(run.storage, manifest.shards, 1)
    if not first:
        raise RunFolderError(f"{run.storage.uri}: has no records")
    return first[0]


def _id_of_key(values: tuple[str, ...], run: Run) -> str:
    columns = run.config.source.key
    if not columns or run.config.request.dedupe:
        raise ConfigError("--key: the ids of this run's records are made of bodies; use --record")
    if len(values) != len(columns):
        raise ConfigError(f"--key: give one for each of {', '.join(columns)}, in this order")
    return record_id(values)


def _check_same_family(model_id: str, model: ModelConfig, aws: AwsSettings, clock: Clock) -> None:
    """Check, as far as can be told, that a model takes the records of a run for another."""
    if model.invocation == "converse" or model.family is not None:
        return
    ours = family_of(model)
    try:
        theirs = served_family(aws, model_id, clock)
    except ConfigError:  # an imported model, say: whoever names it may know
        return
    if theirs.name != ours.name:
        raise ConfigError(
            f"--model {model_id}: is of the family {theirs.name}; the records of this run are "
            f"{ours.name} bodies"
        )


def _of_row(asked: Asked, config_path: str, clock: Clock) -> Question:
    config = load_config(config_path)
    aws = _place(asked, AwsSettings(config.batch.region, config.endpoint_url))
    if hides_family(config.model):
        family = served_family(aws, config.model.id, clock).name
        model = config.model.model_copy(update={"family": family})
        config = config.model_copy(update={"model": model})
    if asked.model is not None:
        _check_same_family(asked.model, config.model, aws, clock)
    template = body_template(config)
    row = _row(asked.row or "")
    check_columns(template.columns, list(row), "--row")
    try:
        body = template.render(row)
    except RowRejected as exc:
        raise ConfigError(f"--row: {exc}") from None
    return Question(asked.model or config.model.id, family_of(config.model), body, aws)


def _row(text: str) -> dict[str, Any]:
    try:
        row = json.loads(text)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise ConfigError('--row: must be a JSON object of columns, such as {"body": "Hello"}')
    return row


def _place(asked: Asked, known: AwsSettings) -> AwsSettings:
    """Return where to ask: as the command line says, as a model's ARN does, as is known."""
    found = _REGION_OF_ARN.match(asked.model or "")
    region = asked.region or (found[1] if found else known.region)
    return replace(known, region=region, endpoint_url=asked.endpoint_url or known.endpoint_url)
