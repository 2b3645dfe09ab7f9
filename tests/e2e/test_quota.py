"""The limiter of the fallback meets the quota as the local Bedrock counts it."""

from __future__ import annotations

import json
import random

import pytest

from bedrock_emulator import LocalBedrock
from bedrock_spark.aws.clients import AwsSettings, runtime_client
from bedrock_spark.costs.burndown import output_rate
from bedrock_spark.costs.token_estimate import TokenEstimate
from bedrock_spark.families import family_by_name
from bedrock_spark.invoke.caller import ModelCaller
from bedrock_spark.invoke.rate_limit import RateLimiter
from tests.models import CLAUDE, NOVA

PER_MINUTE, MINUTES, LONGEST = 20_000, 4, 300


class SharedClock:
    """The clock of the limiter and of a local Bedrock whose own clock stands still."""

    def __init__(self, local: LocalBedrock) -> None:
        self.local, self.time = local, 1_800_000_000.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        self.local.advance_clock(seconds)


def body_of(family: str, random_words: random.Random) -> bytes:
    text = " ".join(random_words.choices(["spam", "invoice", "printer", "refund"], k=150))
    if family == "nova":
        limits = {"inferenceConfig": {"maxTokens": LONGEST}}
        turn = {"role": "user", "content": [{"text": text}]}
        return json.dumps({"schemaVersion": "messages-v1", "messages": [turn], **limits}).encode()
    turn = {"role": "user", "content": text}
    fixed = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": LONGEST}
    return json.dumps({**fixed, "messages": [turn]}).encode()


@pytest.mark.parametrize(("model_id", "family"), [(CLAUDE, "anthropic"), (NOVA, "nova")])
def test_a_fallback_at_its_limit_is_not_throttled_and_uses_what_it_may(
    model_id: str, family: str
) -> None:
    """The longest answer is reserved, and an output token of Claude counts five-fold."""
    with LocalBedrock(faults={"quotas": {"tokens_per_minute": PER_MINUTE}}, speed=0) as local:
        clock = SharedClock(local)
        limiter = RateLimiter(clock, None, PER_MINUTE)
        caller = ModelCaller(
            client=runtime_client(AwsSettings("us-east-1", local.endpoint_url), 60, 4),
            model_id=model_id,
            family=family_by_name(family),
            limiter=limiter,
            clock=clock,
            attempts=1,
            estimate=TokenEstimate(LONGEST, output_rate(model_id, family)),
        )
        words, begun = random.Random(7), clock.now()
        while clock.now() < begun + 60 * MINUTES:
            caller.ask(body_of(family, words))
        bill = local.usage()["invocations"][model_id]
    assert limiter.throttled_calls == 0
    rate = 5 if family == "anthropic" else 1
    used = bill["input_tokens"] + rate * bill["output_tokens"]
    assert used >= 0.9 * PER_MINUTE * MINUTES
