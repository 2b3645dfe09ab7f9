"""How many tokens of the quota "tokens per minute" an output token takes.

Source: Amazon Bedrock user guide, "How tokens are counted in Amazon Bedrock"
(https://docs.aws.amazon.com/bedrock/latest/userguide/quotas-token-burndown.html). When a call
begins, its input tokens, those of the cache included, and its `max_tokens` are taken. When it ends,
that is replaced by the input without what was read from the cache, plus output tokens x rate.

The page names each Claude that has the rate 5; the first is 3.7, and every later one has it. All
other models have 1. So has provisioned throughput, which has no such quota: its own limit is that
of its model units.
"""

from __future__ import annotations

import re

from bedrock_spark.families import bare_model_id
from bedrock_spark.limits import PROVISIONED_MODEL_ARN

CLAUDE_RATE, OTHER_RATE = 5, 1
# The versions before it, by their ids: claude-v2, claude-instant-v1, claude-3-5-sonnet-….
_EARLIER = re.compile(r"claude-(v[12]\b|instant-|3-(?!7-))")


def output_rate(model_id: str, family: str) -> int:
    """Return how many tokens of the quota one output token of a model takes.

    family: the name of the model's family, for an ARN that does not show the model
    """
    if PROVISIONED_MODEL_ARN.fullmatch(model_id):
        return OTHER_RATE
    bare = bare_model_id(model_id)
    is_claude = "claude" in bare or (bare.startswith("arn:") and family == "anthropic")
    return CLAUDE_RATE if is_claude and not _EARLIER.search(bare) else OTHER_RATE
