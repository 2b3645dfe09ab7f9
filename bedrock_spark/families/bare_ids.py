"""The id of a model without what only says where it runs: the ARN around it, and the geography.

A cross-Region inference profile is named by a geography and the model id, as in
eu.anthropic.claude-…: Amazon Bedrock user guide, "Supported Regions and models for inference
profiles" (https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html).
New geographies come. botocore's service model allows 2 to 8 small letters and hyphens before the
model id (the pattern of EvaluationBedrockModelIdentifier), so a word of this form counts as one,
too, if a provider and a model follow.
"""

from __future__ import annotations

import re

from bedrock_spark.families.model_ids import PROVIDERS

# Those that AWS's pages or public price tables list. Not confirmed: sa, me and af.
GEOGRAPHIES: tuple[str, ...] = (
    *("us", "us-gov", "eu", "apac", "jp", "au", "ca"),
    *("sa", "me", "af", "in", "global"),
)
# Some ids have a dot inside, as in zai.glm-4.7 and deepseek.v3.2: what follows a provider begins
# with a letter, and a version with a digit. A known provider is no geography: `amazon.nova.lite` is
# misspelt. After a known geography any model may follow, but `us.x` alone is no profile.
_GEOGRAPHY = re.compile(
    rf"^(?:(?:{'|'.join(GEOGRAPHIES)})\.(?=[a-z0-9-]+\.)"
    rf"|(?!(?:{'|'.join(sorted(PROVIDERS))})\.)[a-z][a-z-]{{1,7}}\.(?=[a-z0-9-]+\.[a-z]))"
)
_MODEL_ARN = re.compile(
    r"^arn:aws(-[^:]+)?:bedrock:[a-z0-9-]*:\d*:(foundation-model|inference-profile)/"
)
# ModelId in botocore's service model of bedrock: a provider, a dot, a name that may have a dot and
# two more parts after colons.
_PART = "[a-z0-9-]{1,63}"
_MODEL_ID = re.compile(rf"{_PART}\.{_PART}(\.{_PART})?(:{_PART}){{0,2}}")


def without_geography(model_id: str) -> str:
    """Return the model id of a cross-Region inference profile's id; any other id unchanged."""
    return _GEOGRAPHY.sub("", model_id, count=1)


def without_arn(model_id: str) -> str:
    """Return the id in an ARN, with its geography. An ARN without a model id stays unchanged."""
    return _MODEL_ARN.sub("", model_id, count=1)


def bare_model_id(model_id: str) -> str:
    """Return the model id without ARN and geography. An ARN without a model id stays unchanged."""
    return without_geography(without_arn(model_id))


def is_bare_model_id(text: str) -> bool:
    """Tell whether a text has the form of a model id without ARN and geography."""
    return _MODEL_ID.fullmatch(text) is not None
