"""What a config may say: one frozen model per section, each value checked on its own.

Nothing that has no right default gets one: the run URI, the model id and the role ARN are always
the user's to name. Limits of the service are defaults that a config overrides.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from types import NoneType
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from bedrock_spark import limits

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KB|MB|GB|KiB|MiB|GiB)?", re.IGNORECASE)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
# What the longest path in a run folder needs (output/<shard>/<attempt>/) is kept free.
_RUN_URI_MAX = limits.S3_URI_MAX - 64
_UNITS = {
    "b": 1,
    "kb": limits.KB,
    "mb": limits.MB,
    "gb": limits.GB,
    "kib": 1024,
    "mib": 1024**2,
    "gib": 1024**3,
}


def parse_size(value: object) -> object:
    """Turn `200MB`, `1.5 GiB` or a plain number of bytes into bytes; leave the rest to pydantic."""
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise ValueError("must be a size such as 200MB, 1GiB or a number of bytes")
    return int(float(match[1]) * _UNITS[(match[2] or "B").lower()])


def _option_text(value: object) -> object:
    """Spark's reader options are text; YAML's true and 10 are written as Spark reads them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else value


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _role_arn(value: str) -> str:
    if not limits.ROLE_ARN.fullmatch(value):
        raise ValueError("must be the ARN of an IAM role, such as arn:aws:iam::123456789012:role/x")
    return value


def _run_uri(value: str) -> str:
    if value.startswith(("s3a://", "s3n://")):
        value = "s3://" + value.split("://", 1)[1]
    value = value.rstrip("/")
    if value in ("", "s3:", "file:"):
        raise ValueError("must not be empty")
    # s3:/bucket and file:/folder too: they would become local folders of that name.
    has_scheme = _SCHEME.match(value) or "://" in value
    if has_scheme and not value.startswith(("s3://", "file://")):
        raise ValueError("must be an s3:// URI or a local folder")
    if len(value) > _RUN_URI_MAX:
        raise ValueError(f"is longer than {_RUN_URI_MAX} characters")
    if value.startswith("s3://") and not limits.S3_URI.fullmatch(value + "/shards"):
        raise ValueError(
            "is not a URI that Bedrock accepts: a bucket, then only letters, digits and -!_*'(). "
            "between single slashes (no '=', '+', ':', '%', spaces or '//')"
        )
    return value


def _check_json(value: object, where: str) -> None:
    """Refuse what YAML can say and JSON cannot; a date is text in both."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError(f"has a key that is not text{where}: put it in quotes")  # noqa: TRY004
            _check_json(item, f"{where}.{key}" if where else f" at {key}")
    elif isinstance(value, list):
        for i, item in enumerate(value):
            _check_json(item, f"{where}[{i}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"has a number{where} that is not finite, which JSON cannot hold")
    elif not isinstance(value, (str, int, float, dt.date, NoneType)):
        raise ValueError(f"has a {type(value).__name__}{where}, which JSON cannot hold")


Bytes = Annotated[int, BeforeValidator(parse_size), Field(ge=1)]
Columns = Annotated[tuple[str, ...], BeforeValidator(_one_or_many)]


class Section(BaseModel):
    """Frozen, and an unknown key is an error: a misspelt limit must not be a limit ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    @field_validator("*", mode="before")
    @classmethod
    def _no_key_is_a_switch(cls, value: object) -> object:
        # To Python True is the number 1, so `max_active_jobs: yes` would be one job.
        if isinstance(value, bool):
            raise ValueError("must not be true or false")  # noqa: TRY004 - pydantic's protocol
        return value


class SourceConfig(Section):
    """Where the rows come from: one of path, table, sql, or a DataFrame handed in."""

    format: str | None = None
    path: str | None = None
    options: dict[str, Annotated[str, BeforeValidator(_option_text)]] = {}
    table: str | None = None
    sql: str | None = None
    key: Columns = ()
    columns: Columns | None = None

    @model_validator(mode="after")
    def _one_place(self) -> SourceConfig:
        named = [n for n in ("path", "table", "sql") if getattr(self, n) is not None]
        if len(named) > 1:
            raise ValueError(f"names {' and '.join(named)}: keep one of path, table, sql")
        if self.path is not None and self.format is None:
            raise ValueError("has a path but no format: say parquet, json, csv, orc, text, …")
        return self


class ModelConfig(Section):
    """The model of the batch jobs, and which of the two wire formats its records are in."""

    id: str = Field(min_length=1, max_length=2048)
    invocation: Literal["invoke_model", "converse"] = "invoke_model"
    family: str | None = None

    @field_validator("id")
    @classmethod
    def _batch_can_use_it(cls, value: str) -> str:
        if ":provisioned-model/" in value:
            raise ValueError(
                "is a provisioned model, which Bedrock does not support for batch inference; "
                "name the base model here and the provisioned one as fallback.model_id"
            )
        return value


class RequestConfig(Section):
    """What each row asks: a prompt, a whole body as a template, or a column that holds the body."""

    prompt: str | None = None
    system: str | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    stop: Annotated[tuple[str, ...], BeforeValidator(_one_or_many)] = ()
    body: dict[str, Any] | None = None
    body_column: str | None = None

    @field_validator("body")
    @classmethod
    def _body_is_json(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        _check_json(value, "")
        return value

    @model_validator(mode="after")
    def _one_way(self) -> RequestConfig:
        ways = [n for n in ("prompt", "body", "body_column") if getattr(self, n) is not None]
        if len(ways) != 1:
            said = " and ".join(ways) if ways else "none of them"
            raise ValueError(f"needs exactly one of prompt, body, body_column; it has {said}")
        options = ("system", "max_tokens", "temperature", "top_p")
        stray = [n for n in options if getattr(self, n) is not None] + (["stop"] * bool(self.stop))
        if stray and self.prompt is None:
            raise ValueError(f"{', '.join(stray)} go with prompt; with {ways[0]}, put them there")
        return self


class ShardsConfig(Section):
    """The bounds of one shard, which is the input of one batch job."""

    max_records: int = Field(default=limits.MAX_RECORDS_PER_JOB, ge=1)
    max_bytes: Bytes = limits.MAX_SHARD_BYTES
    min_records: int = Field(default=limits.MIN_RECORDS_PER_JOB, ge=1)

    @model_validator(mode="after")
    def _bounds_leave_room(self) -> ShardsConfig:
        if self.min_records > self.max_records:
            raise ValueError(
                f"min_records ({self.min_records}) is above max_records ({self.max_records})"
            )
        return self


class VpcConfig(Section):
    """The network of a batch job."""

    subnet_ids: Columns = Field(min_length=1, max_length=16)
    security_group_ids: Columns = Field(min_length=1, max_length=5)


class BatchConfig(Section):
    """How batch jobs are created and watched."""

    role_arn: Annotated[str, AfterValidator(_role_arn)]
    region: str | None = None
    max_active_jobs: int = Field(default=20, ge=1)
    timeout_hours: int = Field(default=24, ge=limits.TIMEOUT_HOURS_MIN, le=limits.TIMEOUT_HOURS_MAX)
    attempts: int = Field(default=2, ge=1, le=10)
    poll_seconds: float = Field(default=60, gt=0, le=3600)
    tags: dict[str, str] = Field(default={}, max_length=limits.TAGS_MAX)
    kms_key_id: str | None = None
    vpc: VpcConfig | None = None
    lint: Literal["refuse", "ignore"] = "refuse"


class FallbackConfig(Section):
    """The model that answers stragglers, and how hard it may be asked."""

    model_id: str = Field(min_length=1, max_length=2048)
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    attempts: int = Field(default=5, ge=1, le=20)
    concurrency: int = Field(default=8, ge=1, le=256)
    read_timeout_seconds: int = Field(default=300, ge=1, le=3600)


class ResultsConfig(Section):
    """Where the results are published, beside the run folder that always holds them."""

    format: str = "parquet"
    path: str | None = None
    table: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> ResultsConfig:
        if self.path is not None and self.table is not None:
            raise ValueError("names path and table: keep one")
        return self


class Config(Section):
    """All of it. `run_uri` is the run folder; everything a run knows lies under it."""

    run_uri: Annotated[str, AfterValidator(_run_uri)]
    source: SourceConfig = SourceConfig()
    model: ModelConfig
    request: RequestConfig
    shards: ShardsConfig = ShardsConfig()
    batch: BatchConfig
    fallback: FallbackConfig | None = None
    results: ResultsConfig = ResultsConfig()
    endpoint_url: str | None = None

    def fixed_part(self) -> dict[str, Any]:
        """Return what shapes the records: it may not change once a run folder exists."""
        chosen = {"run_uri", "source", "model", "request", "shards"}
        return self.model_dump(mode="json", include=chosen)
