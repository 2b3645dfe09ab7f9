"""The quota of tokens per minute and model, as the service counts it for calls on demand.

Amazon Bedrock user guide, "How tokens are counted in Amazon Bedrock": a call takes its input and
its max_tokens from the quota when it begins. When it ends, the quota has its input, with what was
written to the prompt cache and without what was read from it, and its output times the model's
burndown rate. Provisioned throughput counts 1.25 of a written token and 0.1 of one that was read:
AWS's announcement of the metric EstimatedTPMQuotaUsage, March 2026.
"""

from __future__ import annotations

import math
import re

from bedrock_emulator.state.token_windows import Reservation, TokenWindows
from bedrock_emulator.state.usage import CallTokens
from bedrock_emulator.state.world import EmulatorState

# "The burndown rate for the following models is 5x for output tokens": Claude 3.7 and later.
_FIVE_FOLD = re.compile(r"anthropic\.claude-(3-7-|(opus|sonnet|haiku|fable|mythos)-\d)")


class TokenQuota:
    """One window for each model or profile and Region."""

    def __init__(self, world: EmulatorState) -> None:
        self._world = world
        self._windows = TokenWindows(world.clock)

    def reserve(self, model_id: str, region: str, tokens: int) -> Reservation | None:
        """Take the tokens of a call from the quota; None if the script sets none.

        Raise ThrottlingException if they do not fit.
        """
        limit = self._world.faults.quotas.tokens_per_minute
        if limit is None:
            return None
        return self._windows.reserve(f"{region}/{model_id}", tokens, limit)


def burnt_tokens(base_model_id: str, tokens: CallTokens) -> int:
    """Return the tokens of the quota that an answered call has used."""
    rate = 5 if _FIVE_FOLD.match(base_model_id) else 1
    return tokens.input_tokens + tokens.cache_write_input_tokens + tokens.output_tokens * rate


def provisioned_tokens(tokens: CallTokens) -> int:
    """Return the tokens of provisioned throughput that an answered call has used."""
    cached = tokens.cache_write_input_tokens * 1.25 + tokens.cache_read_input_tokens * 0.1
    return tokens.input_tokens + tokens.output_tokens + math.ceil(cached)
