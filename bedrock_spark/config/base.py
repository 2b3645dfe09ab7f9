"""The base class of all sections, and the parsers of single values."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from types import NoneType
from typing import Annotated, Any, ClassVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from bedrock_spark import limits
from bedrock_spark.s3_spelling import as_s3

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KB|MB|GB|KiB|MiB|GiB)?", re.IGNORECASE)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
# Leaves 64 characters for the longest path in a run folder (output/<shard>/<attempt>/).
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
    """Turn `200MB`, `1.5 GiB` or `1234` into bytes. Leave any value but text to pydantic."""
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise ValueError("must be a size such as 200MB, 1GiB or a number of bytes")
    return int(float(match[1]) * _UNITS[(match[2] or "B").lower()])


def option_text(value: object) -> object:
    """Return a Spark reader option as text: YAML's true becomes "true", 10 becomes "10"."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else value


def one_or_many(value: object) -> object:
    """Turn a single text into a list."""
    return [value] if isinstance(value, str) else value


def check_role_arn(value: str) -> str:
    """Return the ARN of an IAM role. Raises ValueError for any other text."""
    if not limits.ROLE_ARN.fullmatch(value):
        raise ValueError("must be the ARN of an IAM role, such as arn:aws:iam::123456789012:role/x")
    return value


def check_account(value: str) -> str:
    """Return the id of an AWS account. Raises ValueError for any other text."""
    if not limits.ACCOUNT_ID.fullmatch(value):
        raise ValueError("must be the id of an AWS account: 12 digits, in quotes")
    return value


def check_run_uri(value: str) -> str:
    """Return an s3:// URI or a local folder in one form: no s3a://, no slash at the end.

    Raises ValueError for a URI that Bedrock does not accept.
    """
    value = as_s3(value).rstrip("/")
    if value in ("", "s3:", "file:"):
        raise ValueError("must not be empty")
    # s3:/bucket and file:/folder have a scheme too: else they would become local folders.
    has_scheme = _SCHEME.match(value) or "://" in value
    if has_scheme and not value.startswith(("s3://", "file://")):
        raise ValueError("must be an s3:// URI or a local folder")
    if len(value) > _RUN_URI_MAX:
        raise ValueError(f"is longer than {_RUN_URI_MAX} characters")
    if "${" in value or "{{" in value:
        raise ValueError(
            "has a variable in it, and a config replaces none: write the value, or pass it as "
            "--set KEY=VALUE"
        )
    if value.startswith("s3://") and not limits.S3_URI.fullmatch(value + "/shards"):
        raise ValueError(
            "is not a URI that Bedrock accepts: a bucket of 3 to 63 characters, then only letters, "
            "digits and -!_*'(). between single slashes (no '=', '+', ':', '%', spaces or '//')"
        )
    return value


def check_json(value: object, where: str) -> None:
    """Raise ValueError for a value that YAML can hold and JSON cannot. A date is text in JSON."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError(f"has a key that is not text{where}: put it in quotes")  # noqa: TRY004
            check_json(item, f"{where}.{key}" if where else f" at {key}")
    elif isinstance(value, list):
        for i, item in enumerate(value):
            check_json(item, f"{where}[{i}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"has a number{where} that is not finite, which JSON cannot hold")
    elif not isinstance(value, (str, int, float, dt.date, NoneType)):
        raise ValueError(f"has a {type(value).__name__}{where}, which JSON cannot hold")


def parse_share_or_count(value: object) -> object:
    """Turn `5%` into the share 0.05. Leave other values to pydantic: 0.05 a share, 100 a count."""
    if isinstance(value, str) and value.strip().endswith("%"):
        try:
            return float(value.strip()[:-1]) / 100
        except ValueError:
            raise ValueError("must be a number of rows, or a share such as 5% or 0.05") from None
    return value


def check_share_or_count(value: float) -> float:
    """Refuse a limit that is neither a number of rows nor a share from 0 to 1."""
    if value < 0 or (isinstance(value, float) and not value <= 1):
        raise ValueError("must be a number of rows, or a share from 0 to 1 such as 0.05 or 5%")
    return value


def is_above(count: int, limit: float, rows: int) -> bool:
    """Tell whether `count` of `rows` rows is more than a limit, a share or a number, allows."""
    return count > (limit * rows if isinstance(limit, float) else limit)


ShareOrCount = Annotated[
    int | float, BeforeValidator(parse_share_or_count), AfterValidator(check_share_or_count)
]
Bytes = Annotated[int, BeforeValidator(parse_size), Field(ge=1)]
Columns = Annotated[tuple[str, ...], BeforeValidator(one_or_many)]


class Section(BaseModel):
    """A frozen model. An unknown key is an error: a misspelt limit must not be ignored.

    shorthand: the key that is meant if the section is one value, such as `model: ID`; "" if there
        must be keys
    may_be_list: whether this value may be a list
    """

    shorthand: ClassVar[str] = ""
    may_be_list: ClassVar[bool] = False

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    @field_validator("*", mode="before")
    @classmethod
    def _is_not_boolean(cls, value: object, info: ValidationInfo) -> object:
        # In Python, True is the number 1, so `max_active_jobs: yes` would mean one job.
        field = cls.model_fields[info.field_name] if info.field_name else None
        if isinstance(value, bool) and (field is None or field.annotation is not bool):
            kinds = () if field is None else (field.annotation, *get_args(field.annotation))
            if any(isinstance(kind, type) and issubclass(kind, Section) for kind in kinds):
                return value
            if str in kinds:
                raise ValueError("must be text; put it in quotes (yes, no, on and off, too)")
            raise ValueError("must not be true or false")
        return value

    @model_validator(mode="before")
    @classmethod
    def _written_out(cls, value: Any) -> Any:
        # All keys of a section may be commented out.
        return {} if value is None else expanded(value, cls)


def expanded(value: Any, section: type[Section]) -> Any:
    """Return the keys that one value stands for in a section; any other value unchanged."""
    kinds = (str, int, float, Decimal, *((list, tuple) if section.may_be_list else ()))
    if section.shorthand and isinstance(value, kinds) and not isinstance(value, bool):
        return {section.shorthand: value}
    return value


def copied(value: Any) -> Any:
    """Return plain values in which no mapping is shared; lists are."""
    return {k: copied(v) for k, v in value.items()} if isinstance(value, Mapping) else value
