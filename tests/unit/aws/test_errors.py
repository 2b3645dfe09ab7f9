"""The map from AWS's errors to ours: every code of the service models, and unknown ones."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest
from botocore import exceptions as aws
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from bedrock_spark import errors
from bedrock_spark.aws.errors import (
    AWS_FAILURES,
    INVOKE_ERRORS,
    JOB_ERRORS,
    credentials_advice,
    error_code,
    invoke_error,
    job_error,
)
from bedrock_spark.errors import (
    InvokeRecordError,
    InvokeRefusedError,
    InvokeRetryableError,
    InvokeThrottledError,
    JobNameInUseError,
    JobRejectedError,
    JobStateUnknownError,
    JobThrottledError,
    ModelNotReadyError,
    NoFreeSlotError,
)

CONTROL = [
    *("CreateModelInvocationJob", "GetModelInvocationJob", "ListModelInvocationJobs"),
    *("StopModelInvocationJob", "CreateProvisionedModelThroughput"),
    *("GetProvisionedModelThroughput", "DeleteProvisionedModelThroughput"),
]
RUNTIME = [
    *("InvokeModel", "Converse"),
    *("InvokeModelWithResponseStream", "ConverseStream"),
]
SECRET = "4711-secret"


def modelled(service: str, operation: str) -> dict[str, int]:
    """Return the error codes that an operation declares, each with its HTTP status."""
    model = botocore.session.get_session().get_service_model(service)
    shapes = model.operation_model(operation).error_shapes
    return {s.error_code: s.metadata["error"]["httpStatusCode"] for s in shapes}


def failure(code: str, status: int, message: str = "no", **headers: str) -> ClientError:
    sent_headers = {k.replace("_", "-"): v for k, v in headers.items()}
    metadata: Any = {"HTTPStatusCode": status, "HTTPHeaders": sent_headers}
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}, "Call"
    )


@pytest.mark.parametrize("operation", CONTROL)
def test_every_error_of_the_control_plane_is_mapped_on_purpose(operation: str) -> None:
    """A new error in a newer botocore must be looked at by a person."""
    codes = modelled("bedrock", operation)
    assert codes
    assert codes.keys() <= JOB_ERRORS.keys()
    for code, status in codes.items():
        assert type(job_error(failure(code, status), "creating x")) is JOB_ERRORS[code]


@pytest.mark.parametrize("operation", RUNTIME)
def test_every_error_of_the_runtime_is_mapped_on_purpose(operation: str) -> None:
    """Else a new code could make a record's failure final although nobody decided that."""
    codes = modelled("bedrock-runtime", operation)
    assert codes
    assert codes.keys() <= INVOKE_ERRORS.keys()
    for code, status in codes.items():
        assert type(invoke_error(failure(code, status))) is INVOKE_ERRORS[code]


def test_no_map_has_a_code_that_does_not_exist() -> None:
    """Beyond the models, only the two general codes of throttling and unavailability."""
    control = {code for o in CONTROL for code in modelled("bedrock", o)}
    runtime = {code for o in RUNTIME for code in modelled("bedrock-runtime", o)}
    extra = {"TooManyRequestsException", "ServiceUnavailableException"}
    assert JOB_ERRORS.keys() - control == extra
    assert INVOKE_ERRORS.keys() - runtime == set()


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("ThrottlingException", 429, JobThrottledError),
        ("ServiceQuotaExceededException", 400, NoFreeSlotError),
        ("ConflictException", 400, JobNameInUseError),
        ("InternalServerException", 500, JobStateUnknownError),
        ("ValidationException", 400, JobRejectedError),
        ("AccessDeniedException", 403, JobRejectedError),
        ("SomethingNew", 429, JobThrottledError),
        ("SomethingNew", 500, JobStateUnknownError),
        ("502", 502, JobStateUnknownError),
        ("", 0, JobStateUnknownError),
        ("SomethingNew", 400, JobRejectedError),
        ("ExpiredTokenException", 403, JobRejectedError),
    ],
)
def test_a_failed_job_call_is_mapped(code: str, status: int, kind: type[Exception]) -> None:
    """By its code; an unknown code by the HTTP status; without a status the state is unknown."""
    assert type(job_error(failure(code, status), "creating x")) is kind


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ConflictException", "The provided job name is currently in use."),
        ("ValidationException", "The provided job name is currently in use."),
        ("ValidationException", "A job with this Name Already Exists."),
        ("ConflictException", "anything"),
    ],
)
def test_a_job_name_in_use_is_recognised_in_both_forms(code: str, message: str) -> None:
    """As a conflict and as a validation error. The job is most likely our own."""
    assert type(job_error(failure(code, 400, message), "creating x")) is JobNameInUseError


def test_only_a_refusal_can_mean_a_job_name_in_use() -> None:
    """A throttled call is throttled, whatever its message says."""
    exc = failure("ThrottlingException", 429, "this key is currently in use, slow down")
    assert type(job_error(exc, "creating x")) is JobThrottledError


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("ThrottlingException", 429, InvokeThrottledError),
        ("ModelNotReadyException", 429, ModelNotReadyError),
        ("ModelTimeoutException", 408, InvokeRetryableError),
        ("ModelErrorException", 424, InvokeRetryableError),
        ("ServiceQuotaExceededException", 400, InvokeThrottledError),
        ("ValidationException", 400, InvokeRecordError),
        ("AccessDeniedException", 403, InvokeRefusedError),
        ("ResourceNotFoundException", 404, InvokeRefusedError),
        ("SomethingNew", 429, InvokeThrottledError),
        ("SomethingNew", 503, InvokeRetryableError),
        ("", 0, InvokeRetryableError),
        ("SomethingNew", 400, InvokeRecordError),
        ("ExpiredTokenException", 403, InvokeRefusedError),
        ("UnrecognizedClientException", 403, InvokeRefusedError),
        ("InvalidSignatureException", 403, InvokeRefusedError),
        ("Unauthorized", 401, InvokeRefusedError),
    ],
)
def test_a_failed_invocation_is_mapped(code: str, status: int, kind: type[Exception]) -> None:
    """To a passing error, one of this record, or one of all: as with expired credentials."""
    assert type(invoke_error(failure(code, status))) is kind


@pytest.mark.parametrize(
    "message",
    [
        "The provided model identifier is invalid.",
        "Invocation of model ID x with on-demand throughput isn\u2019t supported.",
        "Access denied. This Model is marked by provider as Legacy",
    ],
)
def test_a_refused_model_is_not_a_refused_record(message: str) -> None:
    """Both are a ValidationException, and an error of the record would be final."""
    exc = failure("ValidationException", 400, message)
    assert type(invoke_error(exc)) is InvokeRefusedError


QUOTED = [
    "The provided model identifier is invalid.",
    "Invocation of model ID x with on-demand throughput isn't supported.",
    "This action doesn't support the model that you provided.",
    "Access denied. This Model is marked by provider as Legacy",
    "The model is unsupported for streaming.",
    "This model doesn't support tool use in streaming mode.",
]


@pytest.mark.parametrize("row", QUOTED)
@pytest.mark.parametrize(
    "message",
    [
        "Malformed input request: #/messages/0: {}, please reformat your input and try again.",
        "messages.0.content: '{}' is too long",
        '"{}"',
        "\n{}",
        "The text field in the ContentBlock object is not valid: {}",
        "The model returned the following errors: {}",
        "This model does not take: {}",
    ],
)
def test_a_row_that_quotes_an_error_is_only_its_own_record(message: str, row: str) -> None:
    """One row of a table about Bedrock's errors must not end the round for all others."""
    exc = failure("ValidationException", 400, message.format(row))
    assert type(invoke_error(exc)) is InvokeRecordError


@pytest.mark.parametrize("quoted", ['Invalid value: "A job with this name already exists"'])
def test_a_job_name_in_use_is_said_at_the_beginning(quoted: str) -> None:
    """Later, a message may quote the request."""
    exc = failure("ValidationException", 400, quoted)
    assert type(job_error(exc, "creating x")) is JobRejectedError


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("throttlingException", InvokeThrottledError),
        ("modelStreamErrorException", InvokeRetryableError),
        ("validationException", InvokeRecordError),
    ],
)
def test_an_error_inside_a_stream_is_mapped_by_its_code(code: str, kind: type[Exception]) -> None:
    """Inside a stream codes begin with a lowercase letter, and for botocore all are status 400."""
    assert type(invoke_error(failure(code, 400))) is kind


@pytest.mark.parametrize(
    "message",
    [
        "The model is unsupported for streaming.",
        "This model doesn't support tool use in streaming mode.",
    ],
)
def test_a_refused_stream_is_not_a_refused_record(message: str) -> None:
    """Without a stream the model may answer."""
    exc = failure("ValidationException", 400, message)
    assert type(invoke_error(exc)) is errors.NotStreamedError


NO_REPLY: list[Exception] = [
    aws.EndpointConnectionError(endpoint_url="https://x"),
    aws.ConnectTimeoutError(endpoint_url="https://x"),
    aws.ReadTimeoutError(endpoint_url="https://x"),
    aws.ConnectionClosedError(endpoint_url="https://x"),
    aws.SSLError(endpoint_url="https://x", error="x"),
    aws.ProxyConnectionError(proxy_url="https://x"),
    aws.ResponseStreamingError(error="x"),
    aws.IncompleteReadError(actual_bytes=1, expected_bytes=2),
    ResponseParserError("Unable to parse response (invalid JSON): b'<html>4711-secret'"),
]


@pytest.mark.parametrize("exc", NO_REPLY, ids=lambda exc: type(exc).__name__)
def test_without_a_reply_the_state_is_unknown(exc: Any) -> None:
    """A job may or may not exist, so it is looked up; an invocation is retried."""
    assert isinstance(exc, AWS_FAILURES)
    job, invoke = job_error(exc, "creating x", job_name="n"), invoke_error(exc)
    assert type(job) is JobStateUnknownError
    assert (job.job_name, job.error_code, job.retry_after) == ("n", None, None)
    assert type(invoke) is InvokeRetryableError
    assert (invoke.error_code, invoke.error_type) == (503, type(exc).__name__)
    assert invoke.retry_after is None
    assert type(exc).__name__ in str(job)
    assert SECRET not in str(job) + str(invoke)


@pytest.mark.parametrize(
    "exc", [aws.NoCredentialsError(), aws.PartialCredentialsError(provider="env", cred_var="x")]
)
def test_a_call_that_was_never_sent_is_a_refusal(exc: Any) -> None:
    """Without credentials no retry helps, and no record is at fault."""
    assert type(job_error(exc, "creating x")) is JobRejectedError
    assert type(invoke_error(exc)) is InvokeRefusedError


def test_a_body_that_boto3_itself_refuses_is_a_records_error_without_the_body() -> None:
    """botocore's message quotes the value, which is the prompt. Other rows may have no fault."""
    report = f"Invalid type for parameter messages[0].content, value: {SECRET}, type: str"
    error = invoke_error(aws.ParamValidationError(report=report))
    assert type(error) is InvokeRecordError
    assert error.error_code == 400
    assert SECRET not in str(error)


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("AccessDeniedException", "iam:PassRole"),
        ("ValidationException", "Check model.id"),
        ("ResourceNotFoundException", "batch.region"),
    ],
)
def test_a_rejection_says_what_failed_why_and_what_to_check(code: str, advice: str) -> None:
    """The call, the service's own words, and the config keys to check."""
    error = job_error(failure(code, 400, "the reason"), "creating batch job x", job_name="x")
    assert str(error).startswith(f"creating batch job x: {code}: the reason. ")
    assert advice in str(error)
    assert vars(error) == {
        "error_type": code,
        "error_code": 400,
        "retry_after": None,
        "job_name": "x",
        "job_arn": None,
    }


def test_an_error_that_is_retried_has_no_advice() -> None:
    """Only a rejection needs a person."""
    error = job_error(failure("ThrottlingException", 429, "slow"), "creating x")
    assert str(error) == "creating x: ThrottlingException: slow"


def test_an_invocations_error_is_the_services_message() -> None:
    """It becomes the record's error message. Without a message it is the code."""
    assert str(invoke_error(failure("ValidationException", 400, "too long"))) == "too long"
    assert str(invoke_error(failure("ModelErrorException", 424, ""))) == "ModelErrorException"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "0.5"}, 0.5),
        ({"x_amz_retry_after": "1500"}, 1.5),
        ({"retry_after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry_after": "x", "x_amz_retry_after": "2000"}, 2.0),
        ({}, None),
    ],
)
def test_the_retry_after_of_the_service_is_read(
    headers: dict[str, str], seconds: float | None
) -> None:
    """Seconds in HTTP's header, milliseconds in AWS's; a date is ignored."""
    exc = failure("ThrottlingException", 429, **headers)
    assert job_error(exc, "x").retry_after == seconds
    assert invoke_error(exc).retry_after == seconds


def test_an_empty_error_is_mapped() -> None:
    """A ClientError may have neither code, message nor status."""
    assert type(job_error(ClientError({}, "Call"), "x")) is JobStateUnknownError
    assert type(invoke_error(ClientError({}, "Call"))) is InvokeRetryableError


def test_some_code_maps_to_every_job_and_invoke_error() -> None:
    """Else a class would be handled and never raised."""
    mapped = {*JOB_ERRORS.values(), *INVOKE_ERRORS.values()}
    for base in (errors.JobError, errors.InvokeError):
        assert set(base.__subclasses__()) <= mapped


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject"), "NoSuchKey"),
        (ClientError({"Error": {}}, "GetObject"), ""),
        (ClientError({"ResponseMetadata": {"HTTPStatusCode": 503}}, "GetCallerIdentity"), ""),  # type: ignore[typeddict-item]
        (KeyError("Error"), "KeyError"),
    ],
)
def test_an_error_without_a_code_has_an_empty_one(error: Exception, code: str) -> None:
    """A reply of a proxy, or of an overloaded service, may hold nothing that botocore reads."""
    assert error_code(error) == code


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("ExpiredTokenException", "The credentials have expired: renew them"),
        ("ExpiredToken", "The credentials have expired: renew them"),
        ("UnrecognizedClientException", "Check the credentials of this process"),
        ("NoCredentialsError", "Check the credentials of this process"),
        ("AccessDeniedException", None),
        ("ResourceNotFoundException", None),
        ("", None),
        (None, None),
    ],
)
def test_credentials_that_no_call_accepts_have_their_own_advice(
    code: str | None, said: str | None
) -> None:
    """The model's id and the caller's rights are not the cause."""
    advice = credentials_advice(code)
    assert (advice or "").startswith(said or "")
    assert (advice is None) is (said is None)


def test_an_expired_token_refuses_every_record() -> None:
    """And its code is kept, for the advice of the canary and the fallback."""
    exc = invoke_error(failure("ExpiredTokenException", 403))
    assert type(exc) is errors.InvokeRefusedError
    assert exc.error_type == "ExpiredTokenException"
