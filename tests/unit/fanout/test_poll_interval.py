"""When the next poll is: soon enough that slots do not idle, and rare enough to save calls."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.fanout.poll_interval import (
    MAX_SECONDS,
    MIN_SECONDS,
    ExpectedEnd,
    next_poll_seconds,
    on_fast_clock,
)
from bedrock_spark.fanout.throughput import Throughput
from bedrock_spark.fanout.watch import poll_seconds
from bedrock_spark.fanout.watermarks import Watermarks
from tests.unit.fake_run import FakeRun

NOW = 1_800_000_000.0
TWO_HOURS = 7200.0


def job(processed: int | None, status: str = "InProgress", name: str = "a") -> SeenJob:
    return SeenJob("arn", name, None, status, None, 1000, processed, processed, 0)


@pytest.fixture(autouse=True)
def same_every_time() -> None:
    random.seed(3)


@pytest.mark.parametrize(
    ("ends", "least", "most"),
    [
        ([], 285, 300),
        ([ExpectedEnd(None)], 285, 300),
        ([ExpectedEnd(NOW + 100)], 100, 160),
        ([ExpectedEnd(NOW + 100), ExpectedEnd(NOW + 50)], 50, 110),
        ([ExpectedEnd(NOW + 10_000)], 285, 300),
        ([ExpectedEnd(NOW)], 10, 60),
        ([ExpectedEnd(NOW - 200)], 100, 160),
        ([ExpectedEnd(NOW - 10_000)], 285, 300),
        ([ExpectedEnd(None, at_any_time=True)], 100, 115),
    ],
)
def test_the_next_poll_is_when_the_first_job_should_have_ended(
    ends: list[ExpectedEnd], least: float, most: float
) -> None:
    """Plus a delay in which others may end too. An overdue job is polled less and less often."""
    for _ in range(50):
        assert least <= next_poll_seconds(NOW, ends, TWO_HOURS) <= most


@pytest.mark.parametrize("typical", [None, 60.0, 7200.0, 10**6])
def test_the_interval_stays_within_its_bounds(typical: float | None) -> None:
    """10 seconds to 5 minutes, for all expected ends and any trouble; and it varies."""
    intervals = {
        next_poll_seconds(NOW, [ExpectedEnd(NOW + random.uniform(-1e4, 1e4))], typical, trouble)
        for trouble in (0, 1, 5, 500)
        for _ in range(100)
    }
    assert min(intervals) >= MIN_SECONDS
    assert max(intervals) <= MAX_SECONDS
    assert len(intervals) > 100


@pytest.mark.parametrize(
    ("speed", "least", "most"),
    [(1.0, 100, 160), (10.0, 10, 16), (500.0, 0.2, 0.32), (1e6, 0.2, 0.2)],
)
def test_a_fast_clock_shortens_the_wait(speed: float, least: float, most: float) -> None:
    """By its speed, but not to nothing."""
    assert least <= on_fast_clock(random.uniform(100, 160), speed) <= most


def test_the_controller_waits_by_the_clock_of_the_service(
    fake_run: Callable[..., FakeRun],
) -> None:
    """`batch.poll_seconds` counts as it stands."""
    for configured, least, most in ((None, 0.2, 0.6), (60, 48, 72)):
        fake = fake_run([50], poll_seconds=configured)
        fake.service.speed = 100.0
        fake.advance()
        assert least <= poll_seconds(fake.controller) <= most


def test_until_the_first_job_has_ended_there_is_a_poll_every_minute() -> None:
    """Before that it is unknown how long jobs take."""
    assert 55 <= next_poll_seconds(NOW, [ExpectedEnd(None)], None) <= 60


def test_trouble_causes_exponential_backoff_with_full_jitter() -> None:
    """The limit doubles each time. Jitter keeps callers with the same trouble apart."""
    for trouble, most in ((1, 20), (2, 40), (3, 80), (10, 300)):
        intervals = [
            next_poll_seconds(NOW, [ExpectedEnd(NOW)], TWO_HOURS, trouble) for _ in range(300)
        ]
        assert max(intervals) <= most
        assert max(intervals) > 0.8 * most


def observe(
    rates: Throughput, at: float, processed: int | None, status: str = "InProgress"
) -> None:
    """Let a sweep `at` seconds from now show the job."""
    rates.begin_sweep(NOW + at)
    rates.observe(job(processed, status), NOW + at)


def test_the_expected_end_follows_from_the_rate() -> None:
    """From the rate in the last sweeps, not since the job began."""
    rates = Throughput()
    assert rates.done_at("a") is None
    observe(rates, 0, 0)
    assert rates.done_at("a") is None
    for minute in range(1, 40):
        observe(rates, 60 * minute, minute)  # one record a minute
    for minute in range(40, 70):
        observe(rates, 60 * minute, 40 + 10 * (minute - 40))  # ten records a minute
    left = 1000 - (40 + 290)
    assert rates.done_at("a") == pytest.approx(NOW + 60 * 69 + 6 * left, rel=1e-9, abs=60)
    observe(rates, 60 * 70, 1000)
    assert rates.done_at("a") == NOW + 60 * 70
    observe(rates, 60 * 71, 1000)
    assert rates.done_at("a") == NOW + 60 * 70
    observe(rates, 60 * 72, 1000, "Completed")
    assert rates.done_at("a") is None


def test_a_job_without_progress_has_no_expected_end() -> None:
    """Nor has a job that counts no records."""
    rates = Throughput()
    for minute in range(10):
        observe(rates, 60 * minute, 5)
    assert rates.done_at("a") is None
    rates = Throughput()
    observe(rates, 0, None)
    assert rates.done_at("a") is None


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
def test_a_clock_that_jumps_gives_no_rate(jump: float) -> None:
    """Observations before the jump are dropped; two sweeps later the rate is right again."""
    rates = Throughput()
    for minute in range(10):
        observe(rates, 60 * minute, 10 * minute)
    observe(rates, jump + 600, 100)
    assert rates.done_at("a") is None
    observe(rates, jump + 660, 110)
    assert rates.of("a") == pytest.approx(10 / 60)


def submitted(name: str, at: float, status: str = "InProgress") -> SeenJob:
    return SeenJob("arn", name, None, status, submitted_at=at)


def test_the_low_watermark_is_held_by_the_earliest_open_job() -> None:
    """So a sweep of a long run lists only jobs that may have changed."""
    watermarks = Watermarks()
    assert watermarks.low() is None
    watermarks.track("a")
    assert watermarks.low() is None
    watermarks.observe(submitted("a", 1000.0))
    watermarks.track("b")
    watermarks.observe(submitted("b", 2000.0))
    assert watermarks.low() == 998.0
    watermarks.observe(submitted("a", 1000.0, "Completed"))
    assert watermarks.low() == 1998.0
    watermarks.track("c")  # about to be created, so it is newer than all jobs seen so far
    assert watermarks.low() == 1998.0
    watermarks.observe(submitted("b", 2000.0, "Completed"))
    assert watermarks.low() == 1998.0
    watermarks.observe(submitted("c", 3000.0, "Completed"))
    assert watermarks.low() == 2998.0


def test_a_job_that_no_sweep_shows_makes_the_sweep_list_everything() -> None:
    """Its assumed submit time may be wrong. It is reported once."""
    watermarks = Watermarks(5000.0)
    watermarks.track("a")
    lost = [watermarks.end_sweep(watermarks.tracked()) for _ in range(30)]
    assert [name for names in lost for name in names] == ["a"]
    assert watermarks.low() is None
    watermarks.observe(submitted("a", 1000.0))
    assert watermarks.low() == 998.0
