"""Models that AWS serves through inference profiles only, never by their bare id.

Sources, read in November 2026: the refusals of InvokeModel and Converse that users quote for these
ids, such as github.com/terricain/aioboto3 #352 (Claude 3.5 Sonnet v2) and
github.com/anthropics/anthropic-sdk-python #894 (Claude 3.7 Sonnet); `inferenceTypesSupported` in
published replies of ListFoundationModels. A model whose bare id works in some Region, such as Llama
3.3 70B and Nova Lite, is not here, and neither is one without such a report.
"""

from __future__ import annotations

import re

_PROFILE_ONLY = re.compile(
    r"anthropic\.claude-(3-5-sonnet-20241022-v2|3-7-sonnet|haiku-4-5|sonnet-4|sonnet-5|opus-4).*"
    r"|amazon\.nova-2-lite.*"
    r"|deepseek\.r1-.*"
)


def needs_profile(base_model_id: str) -> bool:
    """Tell whether a foundation model is known to be served through profiles only."""
    return _PROFILE_ONLY.fullmatch(base_model_id) is not None
