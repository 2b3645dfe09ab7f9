"""The id of a model as CreateModelInvocationJob takes it.

The published pattern allows an id one dot after the provider's. The profile us.xai.grok-4.7 has one
more. An ARN may have any number, so the ARN of the profile stands for such an id.
"""

from __future__ import annotations

from bedrock_spark import limits


def batch_model_id(model_id: str, region: str, role_arn: str) -> str:
    """Return the id, or the ARN of its inference profile in this Region if the id is not allowed.

    role_arn: of the job's role, which is in the account of the job
    """
    role = limits.ROLE_ARN.fullmatch(role_arn)
    is_allowed = model_id.startswith("arn:") or limits.MODEL_ID.fullmatch(model_id) is not None
    if is_allowed or role is None or role[2] is None:
        return model_id
    partition = role_arn.split(":")[1]
    return f"arn:{partition}:bedrock:{region}:{role[2]}:inference-profile/{model_id}"
