"""From what boto3 raises to our errors: the one place where AWS's error codes are known.

The codes are those of botocore's service models of bedrock and bedrock-runtime; a test walks the
models and fails if one of them is not mapped here on purpose.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    ParamValidationError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.parsers import ResponseParserError

from bedrock_spark.errors import (
    InvokeError,
    InvokeRecordError,
    InvokeRefusedError,
    InvokeRetryableError,
    InvokeThrottledError,
    JobError,
    JobNameInUseError,
    JobRejectedError,
    JobStateUnknownError,
    JobThrottledError,
    ModelNotReadyError,
    NoFreeSlotError,
    NotStreamedError,
)

# What a boto3 call raises: a reply that is an error, no reply, one that is not the service's.
AwsFailure: TypeAlias = ClientError | BotoCoreError | ResponseParserError
AWS_FAILURES = (ClientError, BotoCoreError, ResponseParserError)
_NO_REPLY = (BotoConnectionError, HTTPClientError, IncompleteReadError, ResponseParserError)

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
    "ThrottlingException": InvokeThrottledError,
    "ModelNotReadyException": ModelNotReadyError,
    "ModelTimeoutException": InvokeRetryableError,
    "ModelErrorException": InvokeRetryableError,
    "ModelStreamErrorException": InvokeRetryableError,
    "InternalServerException": InvokeRetryableError,
    "ServiceUnavailableException": InvokeRetryableError,
    "ServiceQuotaExceededException": InvokeThrottledError,
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

# ValidationExceptions of a stream that say to ask without one, as users report them
# (langchain-ai/langchainjs/issues/2645, earendil-works/pi/issues/3739).
_NOT_STREAMED = ("unsupported for streaming", "not supported for streaming", "in streaming mode")

_CHECK = {
    "AccessDeniedException": "Check that the caller may use the batch job calls and iam:PassRole "
    "on batch.role_arn.",
    "ValidationException": "Check model.id (is batch inference offered for it in this Region?), "
    "that the bucket is in the job's Region, and that batch.role_arn trusts bedrock.amazonaws.com "
    "and may read and write the run folder.",
    "ResourceNotFoundException": "Check model.id and batch.region.",
}


@contextmanager
def job_errors(what: str, *, advise: bool = True, **ids: Any) -> Iterator[None]:
    """Raise what a control-plane call raises as our error; see `job_error`."""
    try:
        yield
    except AWS_FAILURES as exc:
        raise job_error(exc, what, advise=advise, **ids) from exc


def job_error(exc: AwsFailure, what: str, *, advise: bool = True, **ids: Any) -> JobError:
    """Return our error for a control-plane call; `what` says which call about what.

    advise: say what to check, as is right for batch jobs and for nothing else
    """
    if not isinstance(exc, ClientError):
        return _job_error_without_reply(exc, what, **ids)
    code, message, status = _parts(exc)
    kind = JOB_ERRORS.get(code)
    if kind is JobRejectedError and any(text in message.lower() for text in _NAME_IN_USE):
        kind = JobNameInUseError
    if kind is None:
        kind = _by_status(status, JobThrottledError, JobStateUnknownError, JobRejectedError)
    is_told = advise and kind is JobRejectedError and code in _CHECK
    advice = f" {_CHECK[code]}" if is_told else ""
    return kind(
        f"{what}: {code}: {message}{advice}",
        error_type=code,
        error_code=status,
        retry_after=_retry_after(exc),
        **ids,
    )


def _job_error_without_reply(
    exc: BotoCoreError | ResponseParserError, what: str, **ids: Any
) -> JobError:
    if isinstance(exc, _NO_REPLY):
        return JobStateUnknownError(f"{what}: no reply ({type(exc).__name__})", **ids)
    return JobRejectedError(f"{what}: {exc}", **ids)


def invoke_error(exc: AwsFailure) -> InvokeError:
    """Return our error for an InvokeModel or Converse call, or for what broke its stream.

    The service's message is kept: it goes into the record's error, never into a log.
    """
    if not isinstance(exc, ClientError):
        return _invoke_error_without_reply(exc)
    code, message, status = _parts(exc)
    kind = INVOKE_ERRORS.get(code)
    if kind is InvokeRecordError and any(text in message.lower() for text in _MODEL_REFUSED):
        kind = InvokeRefusedError
    if kind is InvokeRecordError and any(text in message.lower() for text in _NOT_STREAMED):
        kind = NotStreamedError
    if kind is None:
        # Expired or wrong credentials come as other codes with 401 or 403.
        refused = InvokeRefusedError if status in (401, 403) else InvokeRecordError
        kind = _by_status(status, InvokeThrottledError, InvokeRetryableError, refused)
    return kind(message or code, error_code=status, error_type=code, retry_after=_retry_after(exc))


def _invoke_error_without_reply(exc: BotoCoreError | ResponseParserError) -> InvokeError:
    name = type(exc).__name__
    if isinstance(exc, _NO_REPLY):
        return InvokeRetryableError(f"no reply ({name})", error_code=503, error_type=name)
    if isinstance(exc, ParamValidationError):
        # botocore's text shows the values, which are the prompt.
        return InvokeRecordError(
            "the body is not a request of this API", error_code=400, error_type=name
        )
    return InvokeRefusedError(str(exc), error_code=400, error_type=name)


def _by_status(status: int, throttled: Any, unknown: Any, refused: Any) -> Any:
    if status == 429:
        return throttled
    return unknown if status >= 500 or status == 0 else refused


def _parts(exc: ClientError) -> tuple[str, str, int]:
    error = exc.response.get("Error", {})
    status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = error.get("Code", "")
    # Inside a stream the same codes begin with a small letter: throttlingException.
    return code[:1].upper() + code[1:], error.get("Message", ""), int(status)


def _retry_after(exc: ClientError) -> float | None:
    """Return the seconds that the service asks to wait; the one header has milliseconds."""
    headers = exc.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    for name, unit in (("retry-after", 1.0), ("x-amz-retry-after", 0.001)):
        try:
            return float(headers[name]) * unit
        except (KeyError, ValueError):
            continue
    return None
