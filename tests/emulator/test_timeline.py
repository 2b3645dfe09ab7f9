"""Emulated time: events happen in order, with the time at which they were due."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from bedrock_emulator.state.clock import Clock
from bedrock_emulator.state.timeline import Timeline


@pytest.fixture
def timeline() -> Iterator[Timeline]:
    started = Timeline(Clock(speed=0, start=1000.0))
    started.start()
    yield started
    started.close()


def test_a_clock_at_speed_zero_stands_still() -> None:
    """Only `advance` moves it, and only forward."""
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


def test_one_advance_runs_all_due_events_in_order(timeline: Timeline) -> None:
    """Actions can schedule further events. Each action gets the time it was due."""
    events: list[tuple[str, float]] = []

    def first(at: float) -> None:
        events.append(("first", at))
        timeline.schedule(at + 5, "a", lambda when: events.append(("child", when)))

    timeline.schedule(1020.0, "b", lambda at: events.append(("last", at)))
    timeline.schedule(1010.0, "a", first)
    timeline.schedule(1100.0, "a", lambda at: events.append(("never", at)))
    assert timeline.advance(50, timeout=10)
    assert events == [("first", 1010.0), ("child", 1015.0), ("last", 1020.0)]


def test_a_held_lane_waits_and_others_go_on(timeline: Timeline) -> None:
    """Later events of a lane wait until its work on another thread is done."""
    events: list[str] = []
    may_finish = threading.Event()

    def work() -> None:
        may_finish.wait(10)
        timeline.schedule(1010.0, "job", lambda _: events.append("done"))
        timeline.release("job")

    def begin(_: float) -> None:
        timeline.hold("job")
        threading.Thread(target=work).start()

    timeline.schedule(1010.0, "job", begin)
    timeline.schedule(1020.0, "job", lambda _: events.append("timeout"))
    timeline.schedule(1020.0, "other", lambda _: events.append("other"))
    assert not timeline.advance(100, timeout=0.2)
    assert events == ["other"]
    may_finish.set()
    assert timeline.advance(0, timeout=10)
    assert events == ["other", "done", "timeout"]


def test_an_action_that_fails_does_not_stop_time(
    timeline: Timeline, caplog: pytest.LogCaptureFixture
) -> None:
    """The error is logged with its traceback, and later events happen."""
    times: list[float] = []

    def fail(_: float) -> None:
        raise RuntimeError("broken")

    timeline.schedule(1001.0, "a", fail)
    timeline.schedule(1002.0, "a", times.append)
    assert timeline.advance(5, timeout=10)
    assert times == [1002.0]
    assert "broken" in caplog.text


def test_a_running_clock_needs_no_advance() -> None:
    """Events happen by themselves, and not before they are due."""
    clock = Clock(speed=100)
    timeline = Timeline(clock)
    timeline.start()
    done = threading.Event()
    started = time.monotonic()
    timeline.schedule(clock.now() + 10, "a", lambda _: done.set())
    assert done.wait(10)
    assert time.monotonic() - started >= 0.09
    timeline.close()
