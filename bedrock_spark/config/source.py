"""Where the rows come from."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from bedrock_spark.config.values import Columns, Section, option_text


class SourceConfig(Section):
    """Where the rows come from: one of path, table, sql, or a DataFrame handed in."""

    format: str | None = None
    path: str | None = None
    options: dict[str, Annotated[str, BeforeValidator(option_text)]] = Field(default={})
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
