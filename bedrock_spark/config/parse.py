"""Answers as typed columns."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from bedrock_spark.config.base import Section
from bedrock_spark.errors import ConfigError
from bedrock_spark.schema import is_reserved, is_result, parse_ddl

_NAME_ONLY = re.compile(
    r"\s*(\w+|`(?:[^`]|``)+`)(\s+COMMENT\s+(?:'.*'|\".*\"))?\s*", re.IGNORECASE | re.DOTALL
)


def columns_as_ddl(value: object) -> object:
    """Return a list of columns as DDL. A column without a type is a string."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return value
    return ", ".join(
        _NAME_ONLY.sub(r"\1 string\2", item) if _NAME_ONLY.fullmatch(item) else item
        for item in value
    )


def check_columns(text: str) -> str:
    """Return the DDL. Raises ValueError if it cannot be parsed or uses a reserved name."""
    try:
        names = [field.name for field in parse_ddl(text)]
    except ConfigError as exc:
        raise ValueError(str(exc)) from exc
    clashes = [name for name in names if is_result(name) or is_reserved(name)]
    if clashes:
        raise ValueError(
            f"has the column {clashes[0]}, a name that the package's own columns have; rename it"
        )
    return text


class ParseConfig(Section):
    """The columns that answers are parsed into, and the retries of answers that do not fit."""

    shorthand = "columns"
    may_be_list = True

    columns: Annotated[str, BeforeValidator(columns_as_ddl), AfterValidator(check_columns)]
    retries: int = Field(default=0, ge=0, le=10)
