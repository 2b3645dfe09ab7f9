"""Errors of single calls to a model."""

from __future__ import annotations

from bedrock_spark.errors.base import BedrockSparkError, ExitCode


class InvokeError(BedrockSparkError):
    """An InvokeModel or Converse call failed.

    error_code: the HTTP status, or the one that fits best if there was no reply; 0 for an error
        that the service sent inside a stream
    error_type: the service's code, such as ThrottlingException, or the name of the botocore error
    retry_after: the seconds that the service asks the caller to wait, if it does
    """

    exit_code = ExitCode.FAILED

    def __init__(
        self,
        message: str,
        *,
        error_code: int | None = None,
        error_type: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.error_code = error_code
        self.error_type = error_type
        self.retry_after = retry_after


class InvokeRetryableError(InvokeError):
    """The same call may succeed later."""

    exit_code = ExitCode.FAILED


class InvokeThrottledError(InvokeRetryableError):
    """There were too many calls or tokens at the moment; the service did not carry out this one."""

    exit_code = ExitCode.FAILED


class ModelNotReadyError(InvokeRetryableError):
    """The model cannot answer yet, but will."""

    exit_code = ExitCode.FAILED


class InvokeRecordError(InvokeError):
    """The service will never answer this record."""

    exit_code = ExitCode.FAILED


class NotStreamedError(InvokeRecordError):
    """The model does not stream its answer to this record; without a stream it may answer."""

    exit_code = ExitCode.FAILED


class InvokeRefusedError(InvokeError):
    """The service would refuse every record: access, model id."""

    exit_code = ExitCode.ACCESS


class ServiceTierError(InvokeRefusedError):
    """The model does not offer the service tier of the call: set fallback.service_tier: default."""

    exit_code = ExitCode.ACCESS


class AnswerCutOffError(BedrockSparkError):
    """A streamed answer broke off.

    error_code, error_type: those of the InvokeError that ended the stream
    """

    exit_code = ExitCode.FAILED

    def __init__(
        self, message: str, *, error_code: int | None = None, error_type: str | None = None
    ) -> None:
        super().__init__(message)
        self.error_code = error_code
        self.error_type = error_type
