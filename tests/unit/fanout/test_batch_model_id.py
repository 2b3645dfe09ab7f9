"""Every recorded model id, as CreateModelInvocationJob takes it."""

from __future__ import annotations

import re

import botocore.session
import pytest

from bedrock_spark.families import bare_model_id
from bedrock_spark.fanout.batch_model_id import batch_model_id
from tests.unit.fakes import ACCOUNT, ROLE
from tests.unit.families.test_recorded_ids import RECORDED

PROFILE = f"arn:aws:bedrock:us-east-1:{ACCOUNT}:inference-profile/"


def test_every_recorded_id_fits_the_pattern_of_the_service() -> None:
    """As it is, or as the ARN of its profile. The model stays the same."""
    model = botocore.session.get_session().get_service_model("bedrock")
    shape = model.operation_model("CreateModelInvocationJob").input_shape.members["modelId"]
    pattern = re.compile(shape.metadata["pattern"])
    changed = 0
    for model_id, _ in RECORDED:
        sent = batch_model_id(model_id, "us-east-1", ROLE)
        assert pattern.fullmatch(sent), sent
        assert bare_model_id(sent) == bare_model_id(model_id)
        changed += sent != model_id
    assert 10 < changed < 60


@pytest.mark.parametrize(
    ("model_id", "role", "sent"),
    [
        ("us.xai.grok-4.7", ROLE, f"{PROFILE}us.xai.grok-4.7"),
        (
            "us-gov.xai.grok-4.7",
            "arn:aws-us-gov:iam::123456789012:role/r",
            "arn:aws-us-gov:bedrock:us-east-1:123456789012:inference-profile/us-gov.xai.grok-4.7",
        ),
        ("us.anthropic.claude-sonnet-5", ROLE, "us.anthropic.claude-sonnet-5"),
        ("deepseek.v3.2", ROLE, "deepseek.v3.2"),
        (f"{PROFILE}us.zai.glm-5.3", ROLE, f"{PROFILE}us.zai.glm-5.3"),
        ("us.xai.grok-4.7", "arn:aws:iam:::role/r", "us.xai.grok-4.7"),
    ],
)
def test_only_an_id_that_is_not_allowed_becomes_an_arn(model_id: str, role: str, sent: str) -> None:
    """In the partition and the account of the role."""
    assert batch_model_id(model_id, "us-east-1", role) == sent
