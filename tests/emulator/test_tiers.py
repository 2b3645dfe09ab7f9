"""Service tiers of InvokeModel and Converse: refused, busy, echoed and billed apart."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .kit import CLAUDE, Kit, ask

NOVA = "amazon.nova-lite-v1:0"


def invoke(kit: Kit, tier: str | None, model_id: str = CLAUDE) -> dict[str, Any]:
    more = {} if tier is None else {"serviceTier": tier}
    reply = kit.runtime.invoke_model(modelId=model_id, body=json.dumps(ask("hello")), **more)
    return dict(reply)


def converse(kit: Kit, tier: str | None) -> dict[str, Any]:
    more = {} if tier is None else {"serviceTier": {"type": tier}}
    turns = [{"role": "user", "content": [{"text": "hello"}]}]
    return dict(kit.runtime.converse(modelId=NOVA, messages=turns, **more))


def test_the_tier_is_echoed(kit: Kit) -> None:
    """A call that names none gets none back."""
    assert invoke(kit, "flex")["serviceTier"] == "flex"
    assert converse(kit, "flex")["serviceTier"] == {"type": "flex"}
    assert "serviceTier" not in invoke(kit, None)
    assert "serviceTier" not in converse(kit, None)


def test_flex_is_billed_apart(kit: Kit) -> None:
    """Its calls and tokens are a part of the model's."""
    before = kit.local.usage()["invocations"].get(CLAUDE, {})
    for tier in ("flex", "default", None):
        invoke(kit, tier)
    after = kit.local.usage()["invocations"][CLAUDE]
    grown = {name: after[name] - before.get(name, 0) for name in after}
    assert (grown["calls"], grown["flex_calls"]) == (3, 1)
    for kind in ("input", "output"):
        assert grown[f"{kind}_tokens"] == 3 * grown[f"flex_{kind}_tokens"] > 0


def test_a_model_without_the_tier_refuses_the_call(kit: Kit) -> None:
    """In AWS's words; nothing is billed. Nobody has a reservation here."""
    kit.local.set_faults({"flex": {"unsupported": ["anthropic.*"]}})
    before = kit.local.usage()["totals"]["invocations"]
    with pytest.raises(ClientError) as error:
        invoke(kit, "flex")
    assert error.value.response["Error"] == {
        "Code": "ValidationException",
        "Message": "The provided service tier is not supported for this model",
    }
    with pytest.raises(ClientError, match="Reservation not found"):
        invoke(kit, "reserved")
    assert kit.local.usage()["totals"]["invocations"] == before
    assert converse(kit, "flex")["serviceTier"] == {"type": "flex"}


@pytest.mark.parametrize(
    ("script", "codes"),
    [
        ({"throttle_rate": 1}, {"ThrottlingException"}),
        ({"unavailable_rate": 1}, {"ServiceUnavailableException"}),
        ({"throttle_rate": 0.5, "unavailable_rate": 0.5}, {"ThrottlingException", "ok"}),
    ],
)
def test_flex_may_be_busy_while_the_default_tier_is_not(
    kit: Kit, script: dict[str, float], codes: set[str]
) -> None:
    """The script says how often."""
    kit.local.set_faults({"flex": script})
    found = set()
    for _ in range(12):
        invoke(kit, "default")
        try:
            invoke(kit, "flex")
            found.add("ok")
        except ClientError as exc:
            found.add(exc.response["Error"]["Code"])
    assert found >= codes
    assert ("ok" in found) is ("ok" in codes)
