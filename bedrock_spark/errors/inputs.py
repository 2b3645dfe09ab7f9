"""Errors of a config, of the source that it names, and of the rows in it."""

from __future__ import annotations

from bedrock_spark.errors.base import BedrockSparkError, ExitCode


class ConfigError(BedrockSparkError):
    """The config, or the source it names, cannot be used."""

    exit_code = ExitCode.CONFIG


class SourceError(ConfigError):
    """Spark cannot read the source."""

    exit_code = ExitCode.CONFIG


class OtherPlanError(BedrockSparkError):
    """The run is not what the plan that was handed in has agreed on; nothing was submitted."""

    exit_code = ExitCode.CONFIG


class PlanError(BedrockSparkError):
    """The rows cannot become shards."""

    exit_code = ExitCode.CONFIG


class DuplicateKeyError(PlanError):
    """Two or more rows have the same key.

    rows: the number of rows that repeat the key of another row
    """

    exit_code = ExitCode.CONFIG

    def __init__(self, message: str, *, rows: int | None = None) -> None:
        super().__init__(message)
        self.rows = rows


class TooManyRejectsError(PlanError):
    """More rows than the config allows cannot become records."""

    exit_code = ExitCode.ROWS


class NullKeyError(TooManyRejectsError):
    """More rows than the config allows cannot become records, and most of them have no key."""

    exit_code = ExitCode.ROWS
