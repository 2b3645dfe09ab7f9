"""The quota of tokens per minute of calls on demand, as the service counts it."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from .kit import CLAUDE, CLAUDE_MODEL, Kit, ask

NOVA = "amazon.nova-lite-v1:0"


def outcomes(kit: Kit, model_id: str, calls: int, max_tokens: int = 60) -> list[str]:
    found = []
    for _ in range(calls):
        try:
            if model_id == NOVA:
                turns = [{"role": "user", "content": [{"text": "hello"}]}]
                limit = {"maxTokens": max_tokens}
                kit.runtime.converse(modelId=NOVA, messages=turns, inferenceConfig=limit)
            else:
                body = json.dumps(ask("hello", max_tokens=max_tokens))
                kit.runtime.invoke_model(modelId=model_id, body=body)
            found.append("ok")
        except ClientError as exc:
            found.append(exc.response["Error"]["Code"])
    return found


def test_a_call_reserves_its_longest_answer(kit: Kit) -> None:
    """So a max_tokens above the quota lets through one call only, however short its answer is."""
    kit.local.set_faults({"quotas": {"tokens_per_minute": 1_000}})
    assert outcomes(kit, NOVA, 2, max_tokens=5_000) == ["ok", "ThrottlingException"]
    kit.local.advance_clock(61)
    assert outcomes(kit, NOVA, 1, max_tokens=5_000) == ["ok"]


@pytest.mark.parametrize(
    ("model_id", "rate"), [(NOVA, 1), (CLAUDE, 5), (f"global.{CLAUDE_MODEL}", 5)]
)
def test_output_tokens_of_claude_count_five_fold(kit: Kit, model_id: str, rate: int) -> None:
    """When a call has ended: calls go through as long as the rest holds another longest answer."""
    before = kit.local.usage()["invocations"].get(model_id, {})
    limit, longest = 2_000, 60
    kit.local.set_faults({"quotas": {"tokens_per_minute": limit}})
    ok = outcomes(kit, model_id, 300, longest).count("ok")
    bill = kit.local.usage()["invocations"][model_id]
    calls = bill["calls"] - before.get("calls", 0)
    assert ok == calls
    used = bill["input_tokens"] + rate * bill["output_tokens"]
    used -= before.get("input_tokens", 0) + rate * before.get("output_tokens", 0)
    each = used / calls
    assert limit - longest - each - each < used <= limit - longest + each
    kit.local.advance_clock(61)


def test_models_have_their_own_quota_and_without_a_script_there_is_none(kit: Kit) -> None:
    """What one of them uses leaves the other its own."""
    kit.local.set_faults({"quotas": {"tokens_per_minute": 100}})
    kit.local.advance_clock(61)
    assert outcomes(kit, NOVA, 1, max_tokens=200) == ["ok"]
    assert outcomes(kit, CLAUDE, 1, max_tokens=200) == ["ok"]
    assert outcomes(kit, CLAUDE, 1, max_tokens=200) == ["ThrottlingException"]
    kit.local.set_faults({})
    assert outcomes(kit, CLAUDE, 3, max_tokens=200) == ["ok"] * 3
