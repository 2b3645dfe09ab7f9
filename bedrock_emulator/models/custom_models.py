"""GetCustomModel: every ARN that names a served base model is a custom model.

The emulator trains and imports nothing. An ARN like
`arn:aws:bedrock:us-east-1:123456789012:custom-model/amazon.nova-micro-v1:0:128k/abcdefghijkl` names
its base model. Batch jobs and InvokeModel need nothing else.
"""

from __future__ import annotations

from typing import Any

from bedrock_emulator.errors import ServiceError, not_found
from bedrock_emulator.families.model_ids import resolve
from bedrock_emulator.state.clock import as_datetime

_CREATED_AT = 1_700_000_000.0  # any fixed time


def get_custom_model(params: dict[str, Any], region: str) -> dict[str, Any]:
    """Describe the custom model of an ARN.

    Raise ResourceNotFoundException for a name alone: it does not name a base model.
    """
    arn = params["modelIdentifier"]
    try:
        ref = resolve(arn, region) if ":custom-model/" in arn else None
    except ServiceError:
        ref = None
    if ref is None:
        raise not_found(f"Could not find the custom model {arn}.")
    return {
        "modelArn": arn,
        "modelName": f"custom-{arn.rsplit('/', 1)[-1]}",
        "baseModelArn": f"arn:aws:bedrock:{region}::foundation-model/{ref.base_model_id}",
        "customizationType": "FINE_TUNING",
        "creationTime": as_datetime(_CREATED_AT),
        "modelStatus": "Active",
    }
