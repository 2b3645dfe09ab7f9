"""What a seed of `make chaos` means, and its stand-in for Spark."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator

import pyarrow as pa
import pytest

from bedrock_emulator.faults import read_faults
from bench.chaos.plan import Dice
from bench.chaos.stand_in import StandIn

PLACES = {"config": "C", "uri": "U", "endpoint": "E"}
PAIRED = 2


def drawn(seed: int, number: int, *without: str) -> tuple[object, ...]:
    dice = Dice(seed, number, without)
    return dice.run(), [dice.step(PLACES) for _ in range(20)]


def test_a_seed_repeats_every_choice() -> None:
    """Each run has choices of its own, so that one run can be repeated alone."""
    assert drawn(1, 2) == drawn(1, 2)
    assert drawn(1, 2) != drawn(1, 3)
    assert drawn(1, 2) != drawn(2, 2)


@pytest.mark.parametrize("number", range(40))
def test_every_fault_script_is_valid(number: int) -> None:
    """And harsh: throttles, failures and lost replies of every call, and jobs that end badly."""
    faults = read_faults(Dice(1, number).run().faults)
    calls = faults.operation("CreateModelInvocationJob")
    assert calls is not None
    assert calls.throttle_rate == 0.3
    assert min(calls.error_rate, calls.drop_before_rate, calls.drop_after_rate) == 0.05
    assert len(faults.jobs) > 10


def test_a_kind_of_trouble_can_be_left_out() -> None:
    """Then it is never drawn; else it is, in some run."""
    kinds = ("lost_outputs", "late_outputs", "speculation", "units", "pairs", "clocks")

    def seen(*without: str) -> set[str]:
        found = set()
        for number in range(60):
            dice = Dice(1, number, without)
            plan = dice.run()
            rules = json.dumps(plan.faults)
            found |= {"lost_outputs"} if "no_output" in rules else set()
            found |= {"late_outputs"} if "late_seconds" in rules else set()
            found |= {"units"} if plan.fallback else set()
            for commands in (dice.step(PLACES) for _ in range(5)):
                found |= {"pairs"} if len(commands) == PAIRED else set()
                found |= {"clocks"} if any(c.offset for c in commands) else set()
                found |= {"speculation"} if any(c.twice for c in commands) else set()
        return found

    assert seen() == set(kinds)
    assert seen(*kinds) == set()


def numbered(results: dict[int, list[object]]) -> object:
    """Return a task that takes the next result of its partition, or raises it."""
    lock = threading.Lock()

    def task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            with lock:
                result = results[batch.column(0)[0].as_py()].pop(0)
            if isinstance(result, Exception):
                raise result
            yield pa.RecordBatch.from_pydict({"result": [result]})

    return task


def test_the_stand_in_runs_a_task_for_each_number() -> None:
    task = numbered({0: ["a"], 1: ["b"], 2: ["c"]})
    rows = StandIn(random.Random(1)).range(0, 3, 1, 3).mapInArrow(task, "result string").collect()  # type: ignore[arg-type]
    assert rows == [("a",), ("b",), ("c",)]


def test_a_task_that_runs_twice_gives_one_result() -> None:
    """Both attempts run to their ends. If one fails, the other counts, as in Spark."""
    results: dict[int, list[object]] = {0: ["a", "a"], 1: [ValueError("lost"), "b"]}
    spark = StandIn(random.Random(1), twice=1.0)
    rows = spark.range(0, 2, 1, 2).mapInArrow(numbered(results), "result string").collect()  # type: ignore[arg-type]
    assert rows == [("a",), ("b",)]
    assert results == {0: [], 1: []}
    both_fail: dict[int, list[object]] = {0: [ValueError("one"), ValueError("two")]}
    with pytest.raises(ValueError, match=r"one|two"):
        spark.range(0, 1, 1, 1).mapInArrow(numbered(both_fail), "result string").collect()  # type: ignore[arg-type]
