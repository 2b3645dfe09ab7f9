"""Slots: told, asked and learnt; refusals stay rare, and a raised quota is found."""

from __future__ import annotations

import json
import math
import random

import pytest

from bedrock_spark.fanout.account_jobs import base_model
from bedrock_spark.fanout.slots import Slots


class Quota:
    """An account with so many slots, asked as the driver asks it: step by step."""

    def __init__(self, slots: Slots, quota: int) -> None:
        self.slots, self.quota = slots, quota
        self.active: list[int] = []
        self.now, self.creates, self.refusals = 0.0, 0, 0

    def step(self, seconds: float = 60.0, took_steps: int = 20) -> None:
        """End what has run long enough; create what is offered until refused."""
        self.now += seconds
        self.active = [left - 1 for left in self.active if left > 1]
        for _ in range(self.slots.offer(len(self.active), self.now)):
            self.creates += 1
            if len(self.active) >= self.quota:
                self.refusals += 1
                self.slots.refuse(len(self.active), self.now)
                return
            self.active.append(took_steps + random.randrange(5))
            self.slots.taken(len(self.active))


@pytest.mark.parametrize(("told", "quota"), [(20, 20), (40, 20), (100, 3), (20, 1)])
def test_refusals_are_fewer_than_one_create_in_a_hundred(told: int, quota: int) -> None:
    """However much more was told than there is; and the slots that there are, are used."""
    random.seed(1)
    account = Quota(Slots(told), quota)
    used = 0
    for step in range(200_000 // quota):
        account.step()
        used += len(account.active) if step > 100 else 0
    assert account.refusals < 5 + 0.01 * account.creates
    assert used / (200_000 // quota - 100) > 0.95 * quota


def test_a_quota_that_shrinks_is_learnt_without_running_into_it_again_and_again() -> None:
    """As jobs end, each free slot is a question; it is asked less and less often."""
    random.seed(1)
    account = Quota(Slots(20), 20)
    for _ in range(100):
        account.step()
    before = account.refusals
    account.quota = 5
    for _ in range(60):
        account.step()
    assert len(account.active) <= 5
    assert account.refusals - before <= 8
    account.quota = 20
    for _ in range(2000):
        account.step()
    assert account.slots.cap == 20
    assert len(account.active) >= 19


def test_one_probe_at_a_time() -> None:
    """Above what was learnt, a step offers one slot more, not all that were told."""
    slots = Slots(40)
    slots.refuse(20, 0.0)
    assert slots.offer(20, 1.0) == 1
    slots.refuse(20, 1.0)
    assert [slots.offer(20, 2.0) for _ in range(5)] == [0] * 5
    slots.taken(20)
    for _ in range(10):
        slots.taken(20)
    assert slots.offer(20, 3.0) == 1
    slots.taken(21)
    assert slots.cap == 21


def test_jobs_of_others_take_slots() -> None:
    """The quota is the account's: what others run is not free."""
    slots = Slots(20)
    slots.share(15, active=2)
    assert slots.offer(2, 0.0) == 3
    slots.share(0, active=5)
    assert slots.offer(5, 0.0) == 15
    slots.share(30, active=5)
    assert slots.offer(5, 0.0) == 0


def test_who_filled_the_account_when_we_were_refused_is_not_our_cap() -> None:
    """Refused with 15 of ours: if 5 of others are there, the account has 20, not 15."""
    slots = Slots(40)
    slots.refuse(15, 0.0)
    slots.share(5, active=15)
    assert slots.cap == 20
    slots.share(0, active=15)
    assert slots.offer(15, 1.0) == 5


def test_what_was_learnt_is_for_the_next_process_too() -> None:
    """Else each of them would run into the same refusal."""
    slots = Slots(40)
    for now in (0.0, 1.0):
        slots.refuse(20, now)
    again = Slots(40)
    again.remember(json.loads(json.dumps(slots.as_json())))
    assert again == slots
    assert again.cap == 20
    assert not math.isinf(again.refused_at)


@pytest.mark.parametrize(
    ("model", "base"),
    [
        ("amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0"),
        ("us.amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0"),
        ("us-gov.anthropic.claude-3-haiku-20240307-v1:0", "anthropic.claude-3-haiku-20240307-v1:0"),
        (
            "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0",
            "amazon.nova-pro-v1:0",
        ),
        (
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/global.amazon.nova-pro-v1:0",
            "amazon.nova-pro-v1:0",
        ),
        ("us.model", "us.model"),
    ],
)
def test_a_quota_is_of_the_model_behind_a_profile(model: str, base: str) -> None:
    """However it is named: by id, by profile, by ARN."""
    assert base_model(model) == base
