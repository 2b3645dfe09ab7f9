"""Errors of batch jobs, and of other calls of the control plane."""

from __future__ import annotations

from bedrock_spark.errors.base import BedrockSparkError, ExitCode


class JobsWithoutAnswersError(BedrockSparkError):
    """The batch jobs answer no record: nothing more is submitted until somebody runs it again."""

    exit_code = ExitCode.HELD


class NoSlotAtAllError(BedrockSparkError):
    """The account allows no active job of the model, at none of the run's targets."""

    exit_code = ExitCode.HELD


class JobsNotStoppedError(BedrockSparkError):
    """The service does not let the caller stop some jobs: they run on, and are billed."""

    exit_code = ExitCode.FAILED


class JobError(BedrockSparkError):
    """A call about a batch job, or another call of the control plane, failed.

    job_name, job_arn: the job that the call was about, by the one that the call names it by
    error_code: the HTTP status of the reply, 0 if it has none; None without a reply
    error_type: the service's code, such as ThrottlingException; None without a reply
    retry_after: the seconds that the service asks the caller to wait, if it does
    """

    exit_code = ExitCode.FAILED

    def __init__(
        self,
        message: str,
        *,
        job_name: str | None = None,
        job_arn: str | None = None,
        error_code: int | None = None,
        error_type: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.job_name = job_name
        self.job_arn = job_arn
        self.error_code = error_code
        self.error_type = error_type
        self.retry_after = retry_after


class JobRejectedError(JobError):
    """The service refused the job and would refuse it again."""

    exit_code = ExitCode.ACCESS


class JobThrottledError(JobError):
    """The service asks for fewer calls: back off and repeat."""

    exit_code = ExitCode.FAILED


class NoFreeSlotError(JobError):
    """The account has its maximum of active jobs."""

    exit_code = ExitCode.FAILED


class JobNameInUseError(JobError):
    """A job of this name exists already."""

    exit_code = ExitCode.FAILED


class JobStateUnknownError(JobError):
    """No reply came: the call may or may not have had its effect."""

    exit_code = ExitCode.FAILED
