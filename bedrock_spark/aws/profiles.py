"""Inference profiles: which ones a Region has for a model."""

from __future__ import annotations

import logging

from bedrock_spark.aws.errors import AWS_FAILURES, error_code
from bedrock_spark.aws.model_refusals import model_refusal
from bedrock_spark.aws.protocols import BedrockClient
from bedrock_spark.families import bare_model_id

log = logging.getLogger(__name__)

_MOST_PROFILES = 10


def refusal_advice(message: str, client: BedrockClient, model_id: str) -> str | None:
    """Return what to do about a refusal, with profile ids if the service asks for a profile.

    message: the service's own
    client: for the Region of the call; it lists the profiles, if the caller may
    Returns None if the message is no known refusal of a model.
    """
    refusal = model_refusal(message)
    if refusal is None:
        return None
    if not refusal.wants_profile:
        return refusal.advice
    profiles = profiles_of(client, model_id)
    if not profiles:
        return f"{refusal.advice} aws bedrock list-inference-profiles shows them."
    return f"{refusal.advice} This Region has {', '.join(profiles)}."


def profiles_of(client: BedrockClient, model_id: str) -> list[str]:
    """Return the ids of the Region's system-defined profiles of a model, at most ten, sorted.

    Empty if there are none, or the caller may not list them (`bedrock:ListInferenceProfiles`).
    """
    end = f"/{bare_model_id(model_id)}"
    listing = client.get_paginator("list_inference_profiles")
    try:
        found = sorted(
            str(profile["inferenceProfileId"])
            for page in listing.paginate(typeEquals="SYSTEM_DEFINED")
            for profile in page.get("inferenceProfileSummaries", ())
            if any(str(m.get("modelArn", "")).endswith(end) for m in profile.get("models", ()))
        )
    except AWS_FAILURES as exc:
        log.debug("the profiles of %s are not known (%s)", model_id, error_code(exc))
        return []
    return found[:_MOST_PROFILES]
