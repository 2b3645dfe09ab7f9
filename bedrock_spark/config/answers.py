"""The store of answers: what earlier runs were answered, so that no row is paid for twice."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from bedrock_spark.config.base import Section, check_run_uri, one_or_many

_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([mhdw])", re.IGNORECASE)
_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def parse_age(value: object) -> object:
    """Turn `30d`, `12h`, `90m` or `2w` into seconds. Leave any value but text to pydantic."""
    if not isinstance(value, str):
        return value
    match = _AGE.fullmatch(value.strip())
    if match is None:
        raise ValueError("must be a time such as 30d, 12h, 90m or 2w, or a number of seconds")
    return int(float(match[1]) * _SECONDS[match[2].lower()])


class AnswersConfig(Section):
    """Where answers are kept, and whether they are looked up, kept or both.

    max_age: in seconds; older answers are asked again. None: no answer is too old
    keep: the outcomes that are kept and used beside ok
    compact: whether a run merges small files of the store if there are many
    table, format: a copy of the store for queries, in Delta Lake or Iceberg; None for no copy
    """

    shorthand = "uri"

    uri: Annotated[str, AfterValidator(check_run_uri)]
    mode: Literal["read_write", "read", "refresh", "off"] = "read_write"
    max_age: Annotated[int, BeforeValidator(parse_age), Field(ge=1)] | None = None
    keep: Annotated[
        tuple[Literal["truncated", "refused", "invalid"], ...], BeforeValidator(one_or_many)
    ] = ()
    compact: Literal["auto", "never"] = "auto"
    table: Annotated[str, Field(min_length=1)] | None = None
    format: Literal["delta", "iceberg"] | None = None

    @model_validator(mode="after")
    def _table_and_format(self) -> AnswersConfig:
        if self.table is None and self.format is not None:
            raise ValueError("names a format and no table: add answers.table")
        if self.table is not None and self.format is None:
            raise ValueError("names a table and no format: add answers.format: delta or iceberg")
        if self.format == "iceberg" and self.table_path is not None:
            raise ValueError("format iceberg needs a table of the catalog, not a path")
        return self

    @property
    def table_path(self) -> str | None:
        """Return the folder of the copy, if `table` is one; None for a table of the catalog."""
        is_path = self.table is not None and "/" in self.table and "`" not in self.table
        return self.table if is_path else None

    @property
    def has_copy(self) -> bool:
        """Tell whether a run copies the store into a table."""
        return self.table is not None and self.is_written

    @property
    def is_on(self) -> bool:
        """Tell whether the run uses the store at all."""
        return self.mode != "off"

    @property
    def is_read(self) -> bool:
        """Tell whether prepare looks up what is to be asked."""
        return self.mode in ("read_write", "read")

    @property
    def is_written(self) -> bool:
        """Tell whether the answers of the run are added to the store."""
        return self.mode in ("read_write", "refresh")
