"""Where and how the results are published."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import field_validator, model_validator

from bedrock_spark.config.base import Section, ShareOrCount
from bedrock_spark.config.parse import ParseConfig
from bedrock_spark.schema import is_internal

# Formats whose Spark extension supports MERGE INTO.
_MERGING = ("delta", "iceberg")
_PREFIX = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class ResultsConfig(Section):
    """Where the results are published. The run folder holds them in any case."""

    shorthand = "path"

    format: str = "parquet"
    path: str | None = None
    table: str | None = None
    mode: Literal["overwrite", "append", "merge"] = "overwrite"
    replace: bool = False
    prefix: str = ""
    max_errors: ShareOrCount = 0.05
    model_output: Literal["keep", "drop"] = "keep"
    parse: ParseConfig | None = None

    @field_validator("prefix")
    @classmethod
    def _begins_a_name(cls, value: str) -> str:
        if value and not _PREFIX.fullmatch(value):
            raise ValueError("must be letters, digits and underscores, such as llm_")
        if is_internal(value):
            raise ValueError("begins names of the package's own columns; use another prefix")
        return value

    @property
    def place(self) -> str | None:
        """Return the path or the table; None if the results stay in the run folder."""
        return self.path or self.table

    @property
    def outcome_column(self) -> str:
        """Return the name of the outcome in the results."""
        return f"{self.prefix}outcome"

    @model_validator(mode="after")
    def _one_place(self) -> ResultsConfig:
        if self.path is not None and self.table is not None:
            raise ValueError("names path and table: keep one")
        if self.table is not None and "/" in self.table:
            raise ValueError(f"names the path {self.table} as a table: use results.path")
        if self.mode == "merge" and self.format.lower() not in _MERGING:
            raise ValueError(
                f"mode merge needs a format that can ({' or '.join(_MERGING)}), not {self.format}"
            )
        if self.mode == "merge" and self.format.lower() == "iceberg" and self.path is not None:
            raise ValueError("mode merge needs a table of the catalog for iceberg, not a path")
        return self
