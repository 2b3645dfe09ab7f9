"""Emulated time: what is due happens, in order, at the time it was due."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from bedrock_emulator.state.clock import Clock
from bedrock_emulator.state.timeline import Timeline


@pytest.fixture
def timeline() -> Iterator[Timeline]:
    made = Timeline(Clock(speed=0, start=1000.0))
    made.start()
    yield made
    made.close()


def test_a_clock_at_speed_zero_stands_still() -> None:
    """Only `advance` moves it, and never back."""
    clock = Clock(speed=0, start=5.0)
    assert clock.now() == clock.now() == 5.0
    assert clock.advance(7) == 12.0
    assert clock.wall_seconds_until(13) is None
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(-1)
    with pytest.raises(ValueError, match="backwards"):
        Clock(speed=-1)


def test_a_fast_clock_runs_by_its_factor() -> None:
    """An hour at speed 3600 is a second away."""
    clock = Clock(speed=3600)
    wait = clock.wall_seconds_until(clock.now() + 3600)
    assert wait is not None
    assert 0 < wait <= 1.0


def test_one_advance_runs_all_that_falls_due_in_order(timeline: Timeline) -> None:
    """Also what the actions themselves schedule, with the times they were due."""
    seen: list[tuple[str, float]] = []

    def first(at: float) -> None:
        seen.append(("first", at))
        timeline.schedule(at + 5, "a", lambda when: seen.append(("child", when)))

    timeline.schedule(1020.0, "b", lambda at: seen.append(("last", at)))
    timeline.schedule(1010.0, "a", first)
    timeline.schedule(1100.0, "a", lambda at: seen.append(("never", at)))
    assert timeline.advance(50, timeout=10)
    assert seen == [("first", 1010.0), ("child", 1015.0), ("last", 1020.0)]


def test_a_held_lane_waits_and_others_go_on(timeline: Timeline) -> None:
    """Work that is still being done is not overtaken by what comes after it."""
    seen: list[str] = []
    working = threading.Event()

    def work() -> None:
        working.wait(10)
        timeline.schedule(1010.0, "job", lambda _: seen.append("done"))
        timeline.release("job")

    def begin(_: float) -> None:
        timeline.hold("job")
        threading.Thread(target=work).start()

    timeline.schedule(1010.0, "job", begin)
    timeline.schedule(1020.0, "job", lambda _: seen.append("timeout"))
    timeline.schedule(1020.0, "other", lambda _: seen.append("other"))
    assert not timeline.advance(100, timeout=0.2)
    assert seen == ["other"]
    working.set()
    assert timeline.advance(0, timeout=10)
    assert seen == ["other", "done", "timeout"]


def test_an_action_that_fails_does_not_stop_time(
    timeline: Timeline, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged with its traceback."""
    seen: list[float] = []

    def fail(_: float) -> None:
        raise RuntimeError("broken")

    timeline.schedule(1001.0, "a", fail)
    timeline.schedule(1002.0, "a", seen.append)
    assert timeline.advance(5, timeout=10)
    assert seen == [1002.0]
    assert "broken" in caplog.text


def test_a_running_clock_needs_no_advance() -> None:
    """Events come by themselves, not before their time."""
    clock = Clock(speed=100)
    timeline = Timeline(clock)
    timeline.start()
    done = threading.Event()
    started = time.monotonic()
    timeline.schedule(clock.now() + 10, "a", lambda _: done.set())
    assert done.wait(10)
    assert time.monotonic() - started >= 0.09
    timeline.close()
