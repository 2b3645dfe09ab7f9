"""The service's own refusals of a model: how each is recognised, and what to do about it.

They come up wherever a model is named: when a batch job is created, in the message of a failed job,
in the canary, the fallback and single calls. Their error codes differ from call to call, so the
texts decide. They are those that users report; each has its source.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

NO_TIER = "no_tier"
_LIFECYCLE_PAGE = "https://docs.aws.amazon.com/bedrock/latest/userguide/model-lifecycle.html"


@dataclass(frozen=True)
class ModelRefusal:
    """One kind of refusal, which every record and every job of the model would meet.

    text: matches the beginning of the message: later it may be a quotation of the request, and so
        of a row
    advice: what to do, as sentences
    wants_profile: whether an inference profile is what the service asks for
    is_for_good: whether no kind of call, batch jobs included, can use the model
    """

    name: str
    text: re.Pattern[str]
    advice: str
    wants_profile: bool = False
    is_for_good: bool = False


def _text(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


MODEL_REFUSALS: tuple[ModelRefusal, ...] = (
    ModelRefusal(  # github.com/terricain/aioboto3/issues/352
        "profile_needed",
        _text(r"invocation of (model id )?\S+ with on-demand throughput"),
        "Name an inference profile of the model in its place.",
        wants_profile=True,
    ),
    ModelRefusal(  # github.com/aws-samples/amazon-bedrock-workshop/issues/386
        "legacy",
        _text(r"(access denied\. )?this model is marked by provider as legacy"),
        "The model is Legacy, and accounts that have not used it lately may not begin to: take "
        f"another one: {_LIFECYCLE_PAGE}",
        is_for_good=True,
    ),
    ModelRefusal(  # github.com/aws-samples/amazon-bedrock-ai-karaoke/issues/21
        "ended",
        _text(r"this model version has reached the end of its life"),
        f"Amazon Bedrock has ended this model: take another one: {_LIFECYCLE_PAGE}",
        is_for_good=True,
    ),
    ModelRefusal(  # github.com/prowler-cloud/prowler/issues/12801
        "support_case",
        _text(r"your account is not authorized to perform this action"),
        "AWS has not enabled this for the account, as in many new accounts, and no policy changes "
        "that: open a support case under Account and billing. Single calls may work meanwhile: the "
        "fallback asks shards below shards.min_records.",
    ),
    ModelRefusal(  # docs.aws.amazon.com/bedrock/latest/userguide/batch-inference-supported.html
        "no_batch",
        _text(r"batch inference is not supported"),
        "The Region has no batch inference for this model: take a Region or a model that the "
        "model's card lists with batch, an inference profile of it, or single calls: the fallback "
        "asks shards below shards.min_records.",
    ),
    ModelRefusal(  # docs.aws.amazon.com/bedrock/latest/userguide/model-access.html
        "no_access",
        _text(r"you don.t have access to the model"),
        "Request the model in the model catalog of the Bedrock console, or call it once with an "
        "identity that has aws-marketplace:Subscribe: bedrock-spark invoke.",
    ),
    ModelRefusal(  # github.com/mlcommons/modelbench/issues/1654
        "unknown_id",
        _text(r"the provided model identifier is invalid"),
        "Check the id, and that the Region has the model.",
    ),
    ModelRefusal(  # github.com/aws-samples/amazon-bedrock-workshop/issues/315
        "no_converse",
        _text(r"this action doesn.t support the model that you provided"),
        "The model has no Converse: set model.invocation to invoke_model, or take another one.",
    ),
    ModelRefusal(  # github.com/NousResearch/hermes-agent/pull/34476
        NO_TIER,
        _text(
            r"((the )?(provided|requested) )?service.?tier (provided )?is "
            r"(not supported|unsupported|invalid)"
            r"|unsupported service.?tier|reservation not found"
        ),
        "Set fallback.service_tier to auto or default.",
    ),
)


def model_refusal(message: str) -> ModelRefusal | None:
    """Return the refusal that a message of the service begins with; None if it is none of them."""
    return next((kind for kind in MODEL_REFUSALS if kind.text.match(message)), None)


def refusal_in(message: str) -> ModelRefusal | None:
    """Return the refusal that the message of a failed job has anywhere. It quotes no row."""
    return next((kind for kind in MODEL_REFUSALS if kind.text.search(message)), None)


def with_advice(message: str, advice: str) -> str:
    """Return the service's message and what to do about it, as sentences."""
    return f"{message.rstrip().rstrip('.')}. {advice}"
