"""From what boto3 raises to our errors: the one place where AWS's error codes are known.

The codes are those of botocore's service models of bedrock and bedrock-runtime; a test walks the
models and fails if one of them is not mapped here on purpose.
"""

from __future__ import annotations

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotoConnectionError

from bedrock_spark.errors import (
    InvokeError,
    InvokeRecordError,
    InvokeRefusedError,
    InvokeRetryableError,
    JobError,
    JobNameInUseError,
    JobRejectedError,
    JobStateUnknownError,
    JobThrottledError,
    NoFreeSlotError,
)

JOB_ERRORS: dict[str, type[JobError]] = {
    "ThrottlingException": JobThrottledError,
    "TooManyRequestsException": JobThrottledError,
    "ServiceQuotaExceededException": NoFreeSlotError,
    "ConflictException": JobNameInUseError,
    "InternalServerException": JobStateUnknownError,
    "ServiceUnavailableException": JobStateUnknownError,
    "ValidationException": JobRejectedError,
    "AccessDeniedException": JobRejectedError,
    "ResourceNotFoundException": JobRejectedError,
    "TooManyTagsException": JobRejectedError,
}

INVOKE_ERRORS: dict[str, type[InvokeError]] = {
    "ThrottlingException": InvokeRetryableError,
    "ModelNotReadyException": InvokeRetryableError,
    "ModelTimeoutException": InvokeRetryableError,
    "ModelErrorException": InvokeRetryableError,
    "InternalServerException": InvokeRetryableError,
    "ServiceUnavailableException": InvokeRetryableError,
    "ServiceQuotaExceededException": InvokeRetryableError,
    "ValidationException": InvokeRecordError,
    "AccessDeniedException": InvokeRefusedError,
    "ResourceNotFoundException": InvokeRefusedError,
}

# AWS names a job name that is taken in two ways; the texts are those seen in public code.
_NAME_IN_USE = ("currently in use", "name already exists", "already in use")

# ValidationExceptions that are about the model id and not about the record: texts as users report
# them (github.com/terricain/aioboto3/issues/352, aws-samples/amazon-bedrock-workshop/issues/315,
# mlcommons/modelbench/issues/1654). Taken for a record's error, they would be permanent for all.
_MODEL_REFUSED = (
    "model identifier is invalid",
    "on-demand throughput",
    "support the model that you provided",
    "marked by provider as legacy",
)

_CHECK = {
    "AccessDeniedException": "Check that the caller may use the batch job calls and iam:PassRole "
    "on batch.role_arn.",
    "ValidationException": "Check model.id (is batch inference offered for it in this Region?), "
    "that the bucket is in the job's Region, and that batch.role_arn trusts bedrock.amazonaws.com "
    "and may read and write the run folder.",
    "ResourceNotFoundException": "Check model.id and batch.region.",
}


def job_error(exc: ClientError | BotoCoreError, what: str, **ids: Any) -> JobError:
    """Return our error for a batch job call; `what` says which call about which job."""
    if not isinstance(exc, ClientError):
        return _job_error_without_reply(exc, what, **ids)
    code, message, status = _parts(exc)
    kind = JOB_ERRORS.get(code)
    if kind is JobRejectedError and any(text in message.lower() for text in _NAME_IN_USE):
        kind = JobNameInUseError
    if kind is None:
        kind = _by_status(status, JobThrottledError, JobStateUnknownError, JobRejectedError)
    advice = f" {_CHECK[code]}" if kind is JobRejectedError and code in _CHECK else ""
    return kind(
        f"{what}: {code}: {message}{advice}",
        error_type=code,
        error_code=status,
        retry_after=_retry_after(exc),
        **ids,
    )


def _job_error_without_reply(exc: BotoCoreError, what: str, **ids: Any) -> JobError:
    if isinstance(exc, (BotoConnectionError, HTTPClientError)):
        return JobStateUnknownError(f"{what}: no reply ({type(exc).__name__})", **ids)
    return JobRejectedError(f"{what}: {exc}", **ids)


def invoke_error(exc: ClientError | BotoCoreError) -> InvokeError:
    """Return our error for an InvokeModel or Converse call.

    The service's message is kept: it goes into the record's error, never into a log.
    """
    if not isinstance(exc, ClientError):
        if isinstance(exc, (BotoConnectionError, HTTPClientError)):
            name = type(exc).__name__
            return InvokeRetryableError(f"no reply ({name})", error_code=503, error_type=name)
        return InvokeRefusedError(str(exc), error_code=400, error_type=type(exc).__name__)
    code, message, status = _parts(exc)
    kind = INVOKE_ERRORS.get(code)
    if kind is InvokeRecordError and any(text in message.lower() for text in _MODEL_REFUSED):
        kind = InvokeRefusedError
    if kind is None:
        kind = _by_status(status, InvokeRetryableError, InvokeRetryableError, InvokeRecordError)
    return kind(message or code, error_code=status, error_type=code, retry_after=_retry_after(exc))


def _by_status(status: int, throttled: Any, unknown: Any, refused: Any) -> Any:
    if status == 429:
        return throttled
    return unknown if status >= 500 or status == 0 else refused


def _parts(exc: ClientError) -> tuple[str, str, int]:
    error = exc.response.get("Error", {})
    status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return error.get("Code", ""), error.get("Message", ""), int(status)


def _retry_after(exc: ClientError) -> float | None:
    headers = exc.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        return float(headers["retry-after"])
    except (KeyError, ValueError):
        return None
