"""Answers as typed columns."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from bedrock_spark.config.base import Section
from bedrock_spark.errors import ConfigError
from bedrock_spark.schema import RESULT_COLUMNS, parse_ddl


def check_columns(text: str) -> str:
    """Refuse DDL that is not understood, and names that result columns have."""
    try:
        names = [field.name for field in parse_ddl(text)]
    except ConfigError as exc:
        raise ValueError(str(exc)) from exc
    taken = [name for name in names if name.lower() in RESULT_COLUMNS]
    if taken:
        raise ValueError(f"has the column {taken[0]}, which every result has; call it otherwise")
    return text


class ParseConfig(Section):
    """The columns that answers are read as, and how often one that does not fit is asked again."""

    columns: Annotated[str, AfterValidator(check_columns)]
    retries: int = Field(default=0, ge=0, le=10)
