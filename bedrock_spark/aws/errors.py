"""Map the errors of boto3 to ours: the only module that knows the error codes of Bedrock.

The codes are those of botocore's service models of bedrock and bedrock-runtime. A test reads the
models and fails if one of their codes is not mapped here on purpose.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as BotoConnectionError
from botocore.parsers import ResponseParserError

from bedrock_spark.aws.model_refusals import NO_TIER, model_refusal, with_advice
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
    ServiceTierError,
)

# The errors of a boto3 call: an error reply, no reply, and a reply that the service did not write.
AwsFailure: TypeAlias = ClientError | BotoCoreError | ResponseParserError
AWS_FAILURES = (ClientError, BotoCoreError, ResponseParserError)
# The call was sent, and no reply or only a part of one came.
NO_REPLY = (BotoConnectionError, HTTPClientError, IncompleteReadError)
# For Bedrock also: a reply came and is not in the service's format, such as the page of a proxy.
_NO_BEDROCK_REPLY = (*NO_REPLY, ResponseParserError)

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

# Texts of errors, for what the codes do not say. A text counts only at the beginning of a message:
# later it may be a quotation of the request, and so of a row.

# AWS reports a job name that is in use in two ways; the texts are those seen in public code.
_NAME_IN_USE = re.compile(
    r"(the|a) [\w :/.-]{0,200}?(currently in use|already in use|name already exists)", re.IGNORECASE
)

# ValidationExceptions that refuse the stream and not the record, as users report them
# (langchain-ai/langchainjs/issues/2645, earendil-works/pi/issues/3739).
_NOT_STREAMED = re.compile(
    r"(the|this) model (is (unsupported|not supported) for streaming"
    r"|doesn.t support [\w ]{1,40} in streaming mode)",
    re.IGNORECASE,
)

_CHECK = {
    "AccessDeniedException": "Check that the caller may use the batch job calls and iam:PassRole "
    "on batch.role_arn.",
    "ValidationException": "Check model.id (is batch inference offered for it in this Region?), "
    "that the bucket is in the job's Region, and that batch.role_arn trusts bedrock.amazonaws.com "
    "and may read and write the run folder.",
    "ResourceNotFoundException": "Check model.id and batch.region.",
}


# The codes of replies that refuse the caller and not the call: Amazon S3 API reference, "Error
# responses", and "Common errors" of the other services. A reply without a body has its status.
_ACCESS_CODES = frozenset(
    {
        "401",
        "403",
        "AccessDenied",
        "AccessDeniedException",
        "AccountProblem",
        "AllAccessDisabled",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidToken",
        "NotSignedUp",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
NO_CREDENTIALS = (
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
_CHECK_CREDENTIALS = (
    "Check the credentials of this process: the AWS_* variables, the profile (AWS_PROFILE, aws sso "
    "login), or the role of the machine"
)
_RENEW = (
    "The credentials have expired: renew them (aws sso login, or a role, which renews them by "
    "itself), then run the same command"
)
_EXPIRED_CODES = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
# They are about the credentials, whatever is called.
_CREDENTIALS_CODES = frozenset(
    {
        "IncompleteSignatureException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "InvalidToken",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
        *(error.__name__ for error in NO_CREDENTIALS),
    }
)
# Amazon S3 API reference, "Error responses", and botocore's list of throttling codes. Some of them
# have the status 400.
_PASSING = frozenset(
    {
        "BandwidthLimitExceeded",
        "InternalError",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_LATER = "Run the same command later"
_CHECK_NETWORK = (
    "Check the network, the proxy and the endpoint (endpoint_url), then run the same command"
)
_CHECK_RIGHTS = "Check that the credentials of this process are valid and allow the call"


def access_advice(exc: BaseException) -> str | None:
    """Return what to check if an error of boto3 refuses the caller; None for any other error."""
    if isinstance(exc, NO_CREDENTIALS):
        return _CHECK_CREDENTIALS
    # boto3's transfers raise an error of their own while they handle the reply.
    for error in (exc, exc.__cause__, exc.__context__):
        if isinstance(error, ClientError):
            advice = access_advice_on(error_code(error))
            if advice is not None:
                return advice
    return None


def access_advice_on(code: str) -> str | None:
    """Return what to check if a reply with this code refuses the caller; None for any other code.

    code: of the reply, or of one object in the reply to DeleteObjects
    """
    return (credentials_advice(code) or _CHECK_RIGHTS) if code in _ACCESS_CODES else None


def unavailable_advice(exc: BaseException) -> str | None:
    """Return what to do if S3 throttled, failed or did not answer; None for any other error."""
    # boto3's transfers raise an error of their own while they handle the reply.
    last = getattr(exc, "last_exception", None)
    for error in (exc, exc.__cause__, exc.__context__, last):
        # No connection was made: it may be the user's network as well as S3.
        if isinstance(error, BotoConnectionError):
            return _CHECK_NETWORK
        if isinstance(error, _NO_BEDROCK_REPLY):
            return _LATER
        if isinstance(error, ClientError):
            code, _, status = _code_message_status(error)
            if is_passing(code, status):
                return _LATER
    return None


def is_passing(code: str, status: int = 0) -> bool:
    """Tell whether an error of S3 is passing: throttled, or a failure of the service.

    code: of the reply, or of one object in the reply to DeleteObjects; a reply without a body has
        its HTTP status as code
    status: of the reply, 0 if that is not known
    """
    if code.isdigit():
        status = int(code)
    return status >= 500 or status == 429 or code in _PASSING


def credentials_advice(code: str | None) -> str | None:
    """Return what to do about credentials that no call accepts; None for any other code.

    code: the service's, or the class of an error of botocore
    """
    if code in _EXPIRED_CODES:
        return _RENEW
    return _CHECK_CREDENTIALS if code in _CREDENTIALS_CODES else None


@contextmanager
def job_errors(
    action: str,
    *,
    advise: bool = True,
    job_name: str | None = None,
    job_arn: str | None = None,
    advice_on: Callable[[str], str | None] | None = None,
) -> Iterator[None]:
    """Turn the errors that a control-plane call raises into ours; see `job_error`."""
    try:
        yield
    except AWS_FAILURES as exc:
        raise job_error(
            exc, action, advise=advise, job_name=job_name, job_arn=job_arn, advice_on=advice_on
        ) from exc


def job_error(
    exc: AwsFailure,
    action: str,
    *,
    advise: bool = True,
    job_name: str | None = None,
    job_arn: str | None = None,
    advice_on: Callable[[str], str | None] | None = None,
) -> JobError:
    """Return our error for a failed control-plane call.

    action: what the call was meant to do, such as "creating batch job x": the message begins so
    advise: add what to check in the config; only right for calls about batch jobs
    job_name, job_arn: attributes of the error
    advice_on: returns what to do about a message of the service, or None if it does not know
    """
    if not isinstance(exc, ClientError):
        return _job_error_without_reply(exc, action, job_name, job_arn)
    code, message, status = _code_message_status(exc)
    kind = JOB_ERRORS.get(code)
    if kind is JobRejectedError and _NAME_IN_USE.match(message):
        kind = JobNameInUseError
    if kind is None:
        kind = _by_status(status, JobThrottledError, JobStateUnknownError, JobRejectedError)
    if advise and kind is JobRejectedError:
        text = (advice_on or _refusal_advice)(message) or _CHECK.get(code)
        if text is not None:
            message = with_advice(message, text)
    return kind(
        f"{action}: {code}: {message}",
        job_name=job_name,
        job_arn=job_arn,
        error_code=status,
        error_type=code,
        retry_after=_retry_after(exc),
    )


def _refusal_advice(message: str) -> str | None:
    refusal = model_refusal(message)
    return None if refusal is None else refusal.advice


def _job_error_without_reply(
    exc: BotoCoreError | ResponseParserError,
    action: str,
    job_name: str | None,
    job_arn: str | None,
) -> JobError:
    if isinstance(exc, _NO_BEDROCK_REPLY):
        message = f"{action}: no reply ({type(exc).__name__})"
        return JobStateUnknownError(message, job_name=job_name, job_arn=job_arn)
    return JobRejectedError(f"{action}: {exc}", job_name=job_name, job_arn=job_arn)


def invoke_error(exc: AwsFailure) -> InvokeError:
    """Return our error for a failed InvokeModel or Converse call, or for an error in its stream.

    Its message is the service's, and may quote the body: it goes into the record's error, never
    into a log.
    """
    if not isinstance(exc, ClientError):
        return _invoke_error_without_reply(exc)
    code, message, status = _code_message_status(exc)
    kind = INVOKE_ERRORS.get(code)
    # Many of these are ValidationExceptions: as a record's error they would be final for all.
    refusal = model_refusal(message) if kind is InvokeRecordError else None
    if refusal is not None:
        kind = ServiceTierError if refusal.name == NO_TIER else InvokeRefusedError
    if kind is InvokeRecordError and _NOT_STREAMED.match(message):
        kind = NotStreamedError
    if kind is None:
        # Expired or wrong credentials have other codes, with status 401 or 403.
        refused = InvokeRefusedError if status in (401, 403) else InvokeRecordError
        kind = _by_status(status, InvokeThrottledError, InvokeRetryableError, refused)
    return kind(message or code, error_code=status, error_type=code, retry_after=_retry_after(exc))


def _invoke_error_without_reply(exc: BotoCoreError | ResponseParserError) -> InvokeError:
    name = type(exc).__name__
    if isinstance(exc, _NO_BEDROCK_REPLY):
        return InvokeRetryableError(f"no reply ({name})", error_code=503, error_type=name)
    if isinstance(exc, ParamValidationError):
        # botocore's message quotes the values, and so the prompt.
        return InvokeRecordError(
            "the body is not a request of this API", error_code=400, error_type=name
        )
    return InvokeRefusedError(str(exc), error_code=400, error_type=name)


def _by_status(status: int, throttled: Any, unknown: Any, refused: Any) -> Any:
    if status == 429:
        return throttled
    return unknown if status >= 500 or status == 0 else refused


def error_code(exc: BaseException) -> str:
    """Return AWS's code of an error; "" if a reply has none, or the class for any other error.

    A reply of a proxy or of an overloaded service may hold no error that botocore can read.
    """
    if isinstance(exc, ClientError):
        return str(exc.response.get("Error", {}).get("Code", ""))
    return type(exc).__name__


def error_message(exc: BaseException) -> str:
    """Return the service's message of an error; for one of botocore, its text."""
    if isinstance(exc, ClientError):
        return str(exc.response.get("Error", {}).get("Message", ""))
    return str(exc)


def is_access_refused(exc: BaseException) -> bool:
    """Tell whether a reply refuses the caller and not the call."""
    return isinstance(exc, ClientError) and error_code(exc) in _ACCESS_CODES


def _code_message_status(exc: ClientError) -> tuple[str, str, int]:
    error = exc.response.get("Error", {})
    status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = error.get("Code", "")
    # Inside a stream the same codes begin with a lowercase letter: throttlingException.
    return code[:1].upper() + code[1:], error.get("Message", ""), int(status)


def _retry_after(exc: ClientError) -> float | None:
    """Return the seconds that the service asks to wait, or None.

    `retry-after` is in seconds, `x-amz-retry-after` in milliseconds.
    """
    headers = exc.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    for name, unit in (("retry-after", 1.0), ("x-amz-retry-after", 0.001)):
        try:
            return float(headers[name]) * unit
        except (KeyError, ValueError):
            continue
    return None
