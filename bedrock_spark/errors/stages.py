"""Errors that end a stage of a run, and are about no single call or object."""

from __future__ import annotations

from bedrock_spark.errors.base import BedrockSparkError, ExitCode


class SparkFailedError(BedrockSparkError):
    """A stage failed in Spark, and no error of this package is the reason. Its cause has it all."""

    exit_code = ExitCode.FAILED


class BudgetError(BedrockSparkError):
    """The run would cost more than budget.max_cost_usd; what was paid for is kept."""

    exit_code = ExitCode.BUDGET


class ModelUnavailableError(BedrockSparkError):
    """A model of the config has ended, or the account may not use it; nothing was spent."""

    exit_code = ExitCode.ACCESS


class CanaryError(BedrockSparkError):
    """The model refuses the records, or could not be called; nothing was submitted.

    asked, refused: the number of records that the canary sent, and of those that the model refused;
        None if the model refused every call
    """

    exit_code = ExitCode.CANARY

    def __init__(
        self, message: str, *, asked: int | None = None, refused: int | None = None
    ) -> None:
        super().__init__(message)
        self.asked = asked
        self.refused = refused


class CanaryAccessError(CanaryError):
    """The caller may not call the model of the canary at all."""

    exit_code = ExitCode.ACCESS


class FallbackShareError(BedrockSparkError):
    """Batch jobs left more records unanswered than fallback.max_share; none of them was asked."""

    exit_code = ExitCode.HELD


class FallbackRefusedError(BedrockSparkError):
    """The model of the fallback refused many records alike and answered none."""

    exit_code = ExitCode.HELD


class ProvisionedModelError(BedrockSparkError):
    """The provisioned throughput cannot serve requests."""

    exit_code = ExitCode.FAILED


class PublishError(BedrockSparkError):
    """The results, or the copy of the answers, could not be written to their place.

    Every answer is in the run folder.
    """

    exit_code = ExitCode.PUBLISH


class UnaccountedRowsError(BedrockSparkError):
    """The rows that came out are not the rows that went in."""

    exit_code = ExitCode.FAILED


class EnvironmentBuildError(BedrockSparkError):
    """The archive of packages for a cluster cannot be built."""

    exit_code = ExitCode.FAILED
