"""What to do if the model cannot be called on demand at all."""

from __future__ import annotations

from bedrock_spark.aws.clients import AwsSettings, model_client
from bedrock_spark.aws.errors import credentials_advice
from bedrock_spark.aws.model_refusals import model_refusal, with_advice
from bedrock_spark.aws.profiles import refusal_advice
from bedrock_spark.errors import InvokeRefusedError

OTHER_ID = (
    "If batch jobs may use the model and single calls may not, set canary.model_id to an inference "
    "profile or provisioned model of the same family"
)


def no_access(aws: AwsSettings, model_id: str, exc: InvokeRefusedError, other: str) -> str:
    """Return the service's refusal, and what to do about it, as sentences.

    other: what else may be done, if the model has not ended
    """
    message, advice = str(exc), credentials_advice(exc.error_type)
    advice = advice or refusal_advice(message, model_client(aws), model_id)
    if advice is None:
        advice = "Check the id, its Region, and bedrock:InvokeModel on it."
    refusal = model_refusal(message)
    if refusal is None or not refusal.is_for_good:
        advice = f"{advice} {other}"
    return f"{model_id} cannot be called on demand: {with_advice(message, advice)}"
