"""Progress as JSON: one object a line, with the facts of the lines for people."""

from __future__ import annotations

import io
import json
import logging
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.progress import Counts, Progress
from bedrock_spark.screen import JsonFormatter, ProgressScreen
from bedrock_spark.screen.due_lines import LINE_SECONDS
from bedrock_spark.screen.json_lines import JsonLines

NOON = 1_800_014_400.0  # 12:00:00 UTC
COUNTS = Counts(12, 1, 4, 7, 5, 20, 900, 300, 1_000, 10, 1.25, 5.0)


def lines_of(steps: list[tuple[Progress, float]]) -> list[dict[str, Any]]:
    written: list[str] = []
    lines = JsonLines(written.append)
    for progress, now in steps:
        lines.observe(progress, now)
    lines.finish(steps[-1][1])
    assert not any("\n" in line for line in written)
    return [json.loads(line) for line in written]


def test_a_line_has_rate_time_left_and_counts_as_numbers() -> None:
    first = Progress("batch", 0, 60_000, waits_for="the batch jobs")
    second = Progress("batch", 1_200, 60_000, "1 of 12 shards done", counts=COUNTS)
    found = lines_of([(first, NOON), (second, NOON + 60)])
    assert found[1] == {
        "at": "2027-01-15T12:01:00.000Z",
        "level": "info",
        "event": "progress",
        "stage": "batch",
        "done": 1_200,
        "total": 60_000,
        "unit": "records",
        "per_second": 20.0,
        "seconds_left": 2_940,
        "unchanged_seconds": 0,
        "detail": "1 of 12 shards done",
        "waits_for": "",
        "counts": {
            "shards": 12,
            "settled": 1,
            "active": 4,
            "waiting": 7,
            "slots_used": 5,
            "slots": 20,
            "input_tokens": 900,
            "output_tokens": 300,
            "ended": 1_000,
            "errors": 10,
            "cost_usd": 1.25,
            "budget_usd": 5.0,
        },
        "calls": None,
    }


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.floats(0, 30))))
def test_a_line_a_minute_beside_begins_and_ends(steps: list[tuple[str, int, float]]) -> None:
    now = NOON
    observed: list[tuple[Progress, float]] = [(Progress("a", 0, 5), now)]
    for stage, done, seconds in steps:
        now += seconds
        observed.append((Progress(stage, done, 5), now))
    stages = [progress.stage for progress, _ in observed]
    begins = 1 + sum(a != b for a, b in pairwise(stages))
    found = lines_of(observed)
    # A stage has its first line and its last one, and one when it is done.
    assert len(found) <= 3 * begins + (now - NOON) / LINE_SECONDS
    assert {line["stage"] for line in found} == set(stages)


def test_silence_has_a_line_a_minute() -> None:
    written: list[str] = []
    lines = JsonLines(written.append)
    lines.observe(Progress("batch", 5, 10, waits_for="the batch jobs"), NOON)
    for second in range(5, 130, 5):
        lines.tick(NOON + second)
    found = [json.loads(line)["unchanged_seconds"] for line in written]
    assert found == [0, 60, 120]


def test_events_and_log_records_are_objects_too() -> None:
    stream = io.StringIO()
    screen = ProgressScreen(stream, now=lambda: NOON, as_json=True)
    screen.name_run("s3://bucket/run")
    screen.say("über\nzwei Zeilen")
    assert screen.say_json("error", "error", "x")
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in found] == ["note", "error"]
    assert found[0]["message"] == "über\nzwei Zeilen"
    assert all(line["run_uri"] == "s3://bucket/run" for line in found)
    assert not ProgressScreen(io.StringIO()).say_json("error", "error", "x")


def test_the_stack_of_an_exception_is_a_key() -> None:
    try:
        int("why")
    except ValueError as exc:
        info = (ValueError, exc, exc.__traceback__)
    record = logging.LogRecord("bedrock_spark.x", logging.INFO, "", 0, "%s", ("a",), info)
    (line,) = JsonFormatter().format(record).splitlines()
    values = json.loads(line)
    assert (values["message"], values["level"], values["logger"]) == ("a", "info", record.name)
    assert "ValueError: invalid literal" in values["stack"]
