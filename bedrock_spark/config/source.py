"""Where the rows come from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from bedrock_spark.config.base import (
    Columns,
    Section,
    ShareOrCount,
    check_run_uri,
    expanded,
    one_or_many,
)
from bedrock_spark.config.formats import format_of_path
from bedrock_spark.config.secrets import (
    FromEnvironment,
    holds_secret,
    option_value,
    refuse_secrets,
)
from bedrock_spark.schema import first_repeated, is_usable

OptionValue = Annotated[str | FromEnvironment, BeforeValidator(option_value)]
# The outcomes of rows, as `outputs/outcomes.py` has them; `all` is every row.
Outcome = Literal[
    "ok", "error", "missing", "invalid", "truncated", "refused", "unfound", "rejected", "all"
]
ALL = "all"
_PLACES = ("path", "table", "sql", "run")


class SourceConfig(Section):
    """Where the rows come from: path, table, sql, another run, or a DataFrame that is passed."""

    shorthand = "path"

    format: str | None = None
    path: str | None = None
    options: dict[str, OptionValue] = Field(default={})
    table: str | None = None
    sql: str | None = None
    run: Annotated[str, AfterValidator(check_run_uri)] | None = None
    outcome: Annotated[tuple[Outcome, ...], BeforeValidator(one_or_many), Field(min_length=1)] = (
        "ok",
    )
    where: str | None = None
    key: Columns = ()
    columns: Columns | None = None
    rename: dict[str, str] = Field(default={})
    on_duplicate_key: Literal["error", "first"] = "error"
    max_rejects: ShareOrCount | None = 0.05

    @field_validator("options")
    @classmethod
    def _has_no_secret(cls, value: dict[str, OptionValue]) -> dict[str, OptionValue]:
        refuse_secrets(value)
        return value

    @field_validator("path")
    @classmethod
    def _path_has_no_secret(cls, value: str | None) -> str | None:
        if value is not None and holds_secret(value):
            raise ValueError("holds a credential: set it in Spark's own config, and leave it out")
        return value

    @field_validator("rename")
    @classmethod
    def _new_names_are_usable(cls, value: dict[str, str]) -> dict[str, str]:
        unusable = next((new for new in value.values() if not is_usable(new)), None)
        if unusable is not None:
            raise ValueError(
                f"has the new name {unusable!r}: it must be a name without dots and backticks"
            )
        twice = first_repeated(value.values())
        if twice is not None:
            raise ValueError(f"gives two columns the name {twice}, if case is ignored")
        return value

    @field_validator("where")
    @classmethod
    def _is_a_condition(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise ValueError("is empty: write a condition in SQL, or leave it out")
        return value

    @property
    def outcomes(self) -> tuple[str, ...] | None:
        """Return the outcomes of the rows that count of a run; None for all."""
        return None if ALL in self.outcome else self.outcome

    @model_validator(mode="after")
    def _one_place(self) -> SourceConfig:
        named = [n for n in _PLACES if getattr(self, n) is not None]
        if len(named) > 1:
            raise ValueError(f"names {' and '.join(named)}: keep one of {', '.join(_PLACES)}")
        if self.run is None and self.outcome != ("ok",):
            raise ValueError("has outcome without run: only the rows of a run have an outcome")
        if self.run is not None and (self.format is not None or self.options):
            raise ValueError("has run, whose rows have no format and no options: leave these out")
        if self.path is not None and self.format is None:
            raise ValueError(
                "has a path whose end tells no format: write source: {format: parquet, path: …}, "
                "with one of parquet, json, csv, orc, text, …"
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _format_of_path(cls, value: Any) -> Any:
        value = expanded(value, cls)
        if not isinstance(value, dict) or value.get("format") is not None:
            return value
        path = value.get("path")
        known = format_of_path(path) if isinstance(path, str) else None
        if known is None:
            return value
        options = value.get("options")
        if known == "csv" and isinstance(options or {}, dict):
            value = {**value, "options": {"header": True, **(options or {})}}
        return {**value, "format": known}
