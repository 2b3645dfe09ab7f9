"""What a person is told if a question is not answered, and whether the call may be billed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bedrock_spark.aws.clients import model_client
from bedrock_spark.aws.model_refusals import with_advice
from bedrock_spark.aws.profiles import refusal_advice
from bedrock_spark.errors import (
    AnswerCutOffError,
    BedrockSparkError,
    InvokeError,
    InvokeRecordError,
    InvokeRefusedError,
    InvokeThrottledError,
    ModelNotReadyError,
)
from bedrock_spark.invoke.caller import NOT_JSON
from bedrock_spark.invoke.redact import redact

if TYPE_CHECKING:
    from bedrock_spark.playground.asking import Question

# The service did not carry out such a call.
_NOT_CARRIED_OUT = (
    InvokeThrottledError,
    InvokeRecordError,
    InvokeRefusedError,
    ModelNotReadyError,
)
_CHECK = (
    "Check the id, its Region, and bedrock:InvokeModelWithResponseStream on it (for answers "
    "without a stream bedrock:InvokeModel)"
)


def message_of(exc: BedrockSparkError, question: Question) -> str:
    """Return the message of an error, without the quotes of the body that the service puts in.

    For a model that would refuse every question, it says what to do: that may call the service.
    """
    if not isinstance(exc, InvokeError | AnswerCutOffError):
        return str(exc)
    message = redact(str(exc), question.body)
    if isinstance(exc, AnswerCutOffError):
        return message
    model_id = question.model.id
    if isinstance(exc, InvokeRefusedError):
        advice = refusal_advice(str(exc), model_client(question.aws), model_id) or _CHECK
        message = with_advice(message, advice)
    return f"{model_id}: {message}"


def is_billed(exc: BedrockSparkError) -> bool:
    """Tell whether the service may bill a call that failed so."""
    if isinstance(exc, AnswerCutOffError):
        return True
    is_answered = isinstance(exc, InvokeError) and exc.error_type == NOT_JSON
    return is_answered or (isinstance(exc, InvokeError) and not isinstance(exc, _NOT_CARRIED_OUT))
