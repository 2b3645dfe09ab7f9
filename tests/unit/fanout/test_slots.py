"""Slots, configured and learnt: refusals stay rare, and a raised quota is found."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable

import pytest

from bedrock_spark.fanout.account_jobs import base_model
from bedrock_spark.fanout.slots import Slots


class Account:
    """An account that allows `quota` active jobs, and a controller that submits step by step.

    active: for each active job, the steps until it ends
    """

    def __init__(self, slots: Slots, quota: int) -> None:
        self.slots, self.quota = slots, quota
        self.active: list[int] = []
        self.now, self.creates, self.refusals = 0.0, 0, 0

    def step(self, seconds: float = 60.0, job_steps: int = 20) -> None:
        """End jobs whose time is over; create jobs in the offered slots until one is refused."""
        self.now += seconds
        self.active = [left - 1 for left in self.active if left > 1]
        for _ in range(self.slots.offer(len(self.active), self.now)):
            self.creates += 1
            if len(self.active) >= self.quota:
                self.refusals += 1
                self.slots.note_refused(len(self.active), self.now)
                return
            self.active.append(job_steps + random.randrange(5))
            self.slots.note_created(len(self.active))


@pytest.mark.parametrize(("configured", "quota"), [(20, 20), (40, 20), (100, 3), (20, 1)])
def test_refusals_are_fewer_than_one_create_in_a_hundred(configured: int, quota: int) -> None:
    """However many slots are configured; and the quota is used by more than 95 %."""
    random.seed(1)
    account = Account(Slots(configured), quota)
    used = 0
    for step in range(200_000 // quota):
        account.step()
        used += len(account.active) if step > 100 else 0
    assert account.refusals < 5 + 0.01 * account.creates
    assert used / (200_000 // quota - 100) > 0.95 * quota


def test_a_lowered_quota_is_learnt_with_few_refusals() -> None:
    """As jobs end, their slots are tried after an exponential backoff."""
    random.seed(1)
    account = Account(Slots(20), 20)
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
    """Above the learnt cap, a step offers one more slot, not all that are configured."""
    slots = Slots(40)
    slots.note_refused(20, 0.0)
    assert slots.offer(20, 1.0) == 1
    slots.note_refused(20, 1.0)
    assert [slots.offer(20, 2.0) for _ in range(5)] == [0] * 5
    slots.note_created(20)
    for _ in range(10):
        slots.note_created(20)
    assert slots.offer(20, 3.0) == 1
    slots.note_created(21)
    assert slots.cap == 21


@pytest.mark.parametrize(("probes", "creates"), [(1, 0), (2, 10), (3, 100), (4, 150), (5, 150)])
def test_a_probe_waits_for_more_creates_after_each_refusal(probes: int, creates: int) -> None:
    """The n-th probe in a row above a learnt cap; then it is due at every step."""
    slots = Slots(40)
    for _ in range(probes):
        slots.note_refused(20, 0.0)
    slots.refused = 0  # the backoff of the refusals is over
    for _ in range(creates):
        assert slots.offer(20, 1.0) == 0
        slots.note_created(20)
    assert [slots.offer(20, 1.0) for _ in range(3)] == [1, 1, 1]
    assert slots.offer(21, 1.0) == 0, "one above the cap is active"
    assert slots.offer(22, 1.0) == 0


def test_a_raised_cap_begins_its_probes_again() -> None:
    """The first probe above it is due at once, also after one more refusal."""
    slots = Slots(40)
    for _ in range(3):
        slots.note_refused(20, 0.0)
    slots.note_created(21)
    assert slots.cap == 21
    slots.note_refused(21, 0.0)
    assert slots.offer(21, 0.0) == 1


def test_a_cap_that_reaches_the_configured_number_is_forgotten() -> None:
    """So a number that Service Quotas raises later is used."""
    slots = Slots(20)
    slots.note_refused(18, 0.0)
    slots.note_created(19)
    assert (slots.cap, slots.learnt) == (19, 19)
    slots.note_created(20)
    slots.most = 50
    assert slots.cap == 50


@pytest.mark.parametrize(("refusals", "steps"), [(2, 2), (3, 4), (5, 16), (6, 32), (7, 32)])
def test_a_backoff_ends_after_its_steps_or_their_time(refusals: int, steps: int) -> None:
    """A process of one step, such as `advance` from cron, cannot count steps: time ends it."""
    for now in (1.0, 300.0 * steps - 1):
        slots = Slots(20)
        for _ in range(refusals):
            slots.note_refused(10, 0.0)
        assert [slots.offer(5, now) for _ in range(steps)] == [0] * (steps - 1) + [5]
    slots = Slots(20)
    for _ in range(refusals):
        slots.note_refused(10, 0.0)
    assert slots.offer(5, 300.0 * steps) == 5


def test_a_target_without_a_job_is_probed_after_ten_minutes() -> None:
    """Otherwise a quota that was 0 for a time would stop the run for ever."""
    slots = Slots(20)
    for now in (0.0, 1.0):
        slots.note_refused(0, now)
    assert [slots.offer(0, 600.0) for _ in range(5)] == [0] * 5
    assert slots.offer(0, 601.0) == 1
    assert slots.offer(1, 601.0) == 0, "a job is active"


def test_a_job_above_the_learnt_cap_raises_it() -> None:
    """The cap counts the jobs of other runs too: they use the same quota."""
    slots = Slots(40)
    slots.set_others(5, active=10)
    slots.note_refused(10, 0.0)
    assert slots.cap == 15
    slots.note_created(10)
    assert slots.cap == 15
    slots.note_created(11)
    assert slots.cap == 16


def test_steps_without_an_offer_double_with_refusals_in_a_row() -> None:
    """One refusal costs no step, the second one, the third three, the fourth seven."""
    slots = Slots(20)
    for refusals in range(1, 5):
        slots.note_refused(10, 0.0)
        offers = [slots.offer(5, 1.0) for _ in range(2 ** (refusals - 1))]
        assert offers == [0] * (len(offers) - 1) + [5]


def test_jobs_of_others_raise_the_cap_only_right_after_a_refusal() -> None:
    """Once a job was created, the service has shown that it counted them already."""
    slots = Slots(40)
    slots.note_refused(20, 0.0)
    slots.note_created(20)
    slots.set_others(5, active=20)
    assert slots.cap == 20


def test_jobs_of_other_runs_use_slots() -> None:
    """They count against the same quota of the account."""
    slots = Slots(20)
    slots.set_others(15, active=2)
    assert slots.offer(2, 0.0) == 3
    slots.set_others(0, active=5)
    assert slots.offer(5, 0.0) == 15
    slots.set_others(30, active=5)
    assert slots.offer(5, 0.0) == 0


def test_jobs_of_other_runs_raise_the_cap_learnt_from_a_refusal() -> None:
    """Refused while 15 jobs of this run and 5 of others were active: the cap is 20, not 15."""
    slots = Slots(40)
    slots.note_refused(15, 0.0)
    slots.set_others(5, active=15)
    assert slots.cap == 20
    slots.set_others(0, active=15)
    assert slots.offer(15, 1.0) == 5


def test_jobs_of_others_that_came_before_the_refusal_raise_the_cap() -> None:
    """They are counted now and then: 3 were known, 5 are listed, so 2 more were active then."""
    slots = Slots(40)
    slots.set_others(3, active=10)
    slots.note_refused(10, 0.0)
    slots.set_others(5, active=10)
    assert slots.cap == 15
    slots.set_others(4, active=10)
    assert slots.cap == 15, "a job of others has ended since"
    slots = Slots(40)
    slots.set_others(3, active=10)
    slots.note_refused(10, 0.0)
    slots.set_others(5, active=9)
    assert slots.cap == 13, "a job has ended since, so another may have begun since"


IDLE = ("nothing", 0, 0, 0, True)


@pytest.mark.parametrize(
    ("what", "active", "others", "strangers", "is_closed"),
    [
        IDLE,
        ("a job of the run", 1, 0, 0, False),
        ("a job of others", 0, 1, 0, False),
        ("a job of another model", 0, 0, 1, False),
        ("a job of the run and one of another model", 1, 0, 1, False),
    ],
)
def test_a_target_is_closed_after_five_refusals_while_nothing_is_active(
    what: str, active: int, others: int, strangers: int, is_closed: bool
) -> None:
    """Not one of others either: they may use the whole quota."""
    slots = Slots(20)
    for _ in range(4):
        slots.note_refused(0, 0.0, "no")
    assert not slots.is_closed
    assert slots.refusal == "no"
    slots.set_others(others, active, strangers)
    slots.note_refused(active, 0.0, "none")
    assert slots.is_closed is is_closed
    assert slots.refusal == ("none" if is_closed else None)
    for _ in range(5):
        slots.note_refused(active, 0.0, "none")
    assert slots.is_closed is is_closed
    slots.set_others(0, 0)
    if not is_closed:
        for _ in range(4):
            slots.note_refused(0, 0.0, "none")
        assert not slots.is_closed
        slots.note_refused(0, 0.0, "none")
        assert slots.is_closed


@pytest.mark.parametrize(("others", "strangers"), [(1, 0), (0, 1), (1, 1)])
def test_jobs_of_others_begin_the_count_of_refusals_again(others: int, strangers: int) -> None:
    """Also those that have ended by the next refusal: they may have used the quota until then."""
    slots = Slots(20)
    for _ in range(4):
        slots.note_refused(0, 0.0, "no")
    slots.set_others(others, 0, strangers)
    assert slots.refusal is None
    slots.set_others(0, 0)
    slots.note_refused(0, 0.0, "no")
    assert not slots.is_closed


def test_the_user_ends_a_backoff_as_if_there_had_been_no_refusal() -> None:
    """One more refusal costs no step, and the first probe after it is due at once."""
    slots = Slots(20)
    for _ in range(4):
        slots.note_refused(10, 0.0)
    slots.end_backoff()
    assert slots.offer(10, 0.0) == 1
    slots.note_refused(10, 0.0)
    assert slots.offer(10, 0.0) == 1


@pytest.mark.parametrize("end", [lambda slots: slots.note_created(1), Slots.end_backoff])
def test_a_closed_target_is_opened_by_a_job_or_by_the_user(end: Callable[[Slots], None]) -> None:
    """It then takes five refusals again, and the first job is tried at once."""
    slots = Slots(20)
    for _ in range(5):
        slots.note_refused(0, 0.0, "no")
    end(slots)
    assert (slots.is_closed, slots.refusal) == (False, None)
    assert slots.offer(0, 0.0) == 1
    for n in range(5):
        assert slots.is_closed is (n == 5)
        slots.note_refused(0, 0.0, "no")
    assert slots.is_closed


def test_a_new_process_restores_the_learnt_cap() -> None:
    """Otherwise every process would meet the same refusals again."""
    slots = Slots(40)
    for now in (0.0, 1.0):
        slots.note_refused(20, now)
    restored = Slots(40)
    restored.restore(json.loads(json.dumps(slots.as_json())))
    assert restored == slots
    assert restored.cap == 20
    assert not math.isinf(restored.refused_at)


@pytest.mark.parametrize(
    ("model", "base"),
    [
        ("amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0"),
        ("us.amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0"),
        (
            "us-gov.anthropic.claude-haiku-4-5-20251001-v1:0",
            "anthropic.claude-haiku-4-5-20251001-v1:0",
        ),
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
def test_a_quota_belongs_to_the_model_behind_a_profile(model: str, base: str) -> None:
    """Model id, profile id and ARN all lead to the same model."""
    assert base_model(model) == base
