"""When the next look is: soon enough that slots do not idle, seldom enough that calls are few."""

from __future__ import annotations

import random

import pytest

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.fanout.poll_interval import MAX_SECONDS, MIN_SECONDS, Due, pause
from bedrock_spark.fanout.throughput import Throughput
from bedrock_spark.fanout.watermarks import Watermarks

NOW = 1_800_000_000.0
TWO_HOURS = 7200.0


def job(processed: int | None, status: str = "InProgress", name: str = "a") -> SeenJob:
    return SeenJob("arn", name, None, status, None, 1000, processed, processed, 0)


@pytest.fixture(autouse=True)
def same_every_time() -> None:
    random.seed(3)


@pytest.mark.parametrize(
    ("due", "least", "most"),
    [
        ([], 285, 300),
        ([Due(None)], 285, 300),
        ([Due(NOW + 100)], 100, 160),
        ([Due(NOW + 100), Due(NOW + 50)], 50, 110),
        ([Due(NOW + 10_000)], 285, 300),
        ([Due(NOW)], 10, 60),
        ([Due(NOW - 200)], 100, 160),
        ([Due(NOW - 10_000)], 285, 300),
        ([Due(None, at_any_time=True)], 100, 115),
    ],
)
def test_the_next_look_is_when_the_first_job_is_due(
    due: list[Due], least: float, most: float
) -> None:
    """And a little later, so that others may be done too; one that is overdue is waited for."""
    for _ in range(50):
        assert least <= pause(NOW, due, TWO_HOURS) <= most


@pytest.mark.parametrize("typical", [None, 60.0, 7200.0, 10**6])
def test_a_pause_is_never_shorter_or_longer_than_it_may_be(typical: float | None) -> None:
    """10 seconds to 5 minutes, whatever the jobs do, and not always the same."""
    pauses = {
        pause(NOW, [Due(NOW + random.uniform(-1e4, 1e4))], typical, trouble)
        for trouble in (0, 1, 5, 500)
        for _ in range(100)
    }
    assert min(pauses) >= MIN_SECONDS
    assert max(pauses) <= MAX_SECONDS
    assert len(pauses) > 100


def test_until_a_job_has_ended_a_look_is_taken_every_minute() -> None:
    """How long jobs take here is not known yet."""
    assert 55 <= pause(NOW, [Due(None)], None) <= 60


def test_trouble_is_backed_off_from_with_full_jitter() -> None:
    """Twice as long each time; callers that met it together do not come back together."""
    for trouble, most in ((1, 20), (2, 40), (3, 80), (10, 300)):
        pauses = [pause(NOW, [Due(NOW)], TWO_HOURS, trouble) for _ in range(300)]
        assert max(pauses) <= most
        assert max(pauses) > 0.8 * most


def seen(rates: Throughput, at: float, processed: int | None, status: str = "InProgress") -> None:
    rates.begin_look(NOW + at)
    rates.observe(job(processed, status), NOW + at)


def test_a_job_is_due_when_its_rate_says() -> None:
    """By what was seen lately, not by how it began."""
    rates = Throughput()
    assert rates.done_at("a") is None
    seen(rates, 0, 0)
    assert rates.done_at("a") is None
    for minute in range(1, 40):
        seen(rates, 60 * minute, minute)  # one a minute
    for minute in range(40, 70):
        seen(rates, 60 * minute, 40 + 10 * (minute - 40))  # ten a minute
    left = 1000 - (40 + 290)
    assert rates.done_at("a") == pytest.approx(NOW + 60 * 69 + 6 * left, rel=1e-9, abs=60)
    seen(rates, 60 * 70, 1000)
    assert rates.done_at("a") == NOW + 60 * 70
    seen(rates, 60 * 71, 1000)
    assert rates.done_at("a") == NOW + 60 * 70
    seen(rates, 60 * 72, 1000, "Completed")
    assert rates.done_at("a") is None


def test_what_does_not_move_is_not_due() -> None:
    """Nor is a job that counts nothing."""
    rates = Throughput()
    for minute in range(10):
        seen(rates, 60 * minute, 5)
    assert rates.done_at("a") is None
    rates = Throughput()
    seen(rates, 0, None)
    assert rates.done_at("a") is None


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
def test_a_clock_that_jumps_makes_no_rate(jump: float) -> None:
    """What was seen before it is forgotten; two looks later the rate is right again."""
    rates = Throughput()
    for minute in range(10):
        seen(rates, 60 * minute, 10 * minute)
    seen(rates, jump + 600, 100)
    assert rates.done_at("a") is None
    seen(rates, jump + 660, 110)
    assert rates.of("a") == pytest.approx(10 / 60)


def submitted(name: str, at: float, status: str = "InProgress") -> SeenJob:
    return SeenJob("arn", name, None, status, submitted_at=at)


def test_jobs_are_looked_for_since_the_earliest_that_is_open() -> None:
    """A sweep of a long run lists what may have changed, and no more."""
    watermarks = Watermarks()
    assert watermarks.bound() is None
    watermarks.expect("a")
    assert watermarks.bound() is None
    watermarks.show(submitted("a", 1000.0))
    watermarks.expect("b")
    watermarks.show(submitted("b", 2000.0))
    assert watermarks.bound() == 998.0
    watermarks.show(submitted("a", 1000.0, "Completed"))
    assert watermarks.bound() == 1998.0
    watermarks.expect("c")  # about to be created: later than any that was seen
    assert watermarks.bound() == 1998.0
    watermarks.show(submitted("b", 2000.0, "Completed"))
    assert watermarks.bound() == 1998.0
    watermarks.show(submitted("c", 3000.0, "Completed"))
    assert watermarks.bound() == 2998.0


def test_a_job_that_no_sweep_shows_is_looked_for_everywhere() -> None:
    """Its floor may be wrong; it is said once."""
    watermarks = Watermarks(5000.0)
    watermarks.expect("a")
    said = [watermarks.end_sweep(set()) for _ in range(30)]
    assert [name for names in said for name in names] == ["a"]
    assert watermarks.bound() is None
    watermarks.show(submitted("a", 1000.0))
    assert watermarks.bound() == 998.0
