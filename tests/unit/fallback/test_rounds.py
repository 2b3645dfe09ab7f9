"""When the fallback asks, whom, and why it ends; what it buys, without Spark or a service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from bedrock_spark.errors import RunHeldError
from bedrock_spark.fallback.rounds import Fallback, falling_back, give_back_leftovers
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.lease import Lease
from bedrock_spark.run_folder.manifest import RunManifest, Shard
from bedrock_spark.run_folder.run import open_run
from bedrock_spark.spark.fallback import stage as spark_fallback
from bedrock_spark.spark.fallback.stage import Asked
from tests.unit.fakes import FakeClock, make_config

# Two shards of 5 records, too small for batch jobs; a record costs a cent.
MANIFEST = RunManifest(
    "r", 10, "a INT", tuple(Shard(f"s{i}", 5, 5 * 400, str(i)) for i in (0, 1)), ()
)
PRICES = {"batch": {"input": 0.1, "output": 0}, "fallback": {"input": 0.1, "output": 0}}
SPARK: SparkSession = None  # type: ignore[assignment]


class Rounds:
    """Stands in for the round on Spark: notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def __call__(
        self,
        spark: Any,
        run: Any,
        counts: Mapping[str, int],
        model_id: str,
        most: int | None,
        until: float | None,
        observe: Any,
    ) -> Asked:
        self.asked.append({"counts": counts, "model_id": model_id, "most": most, "until": until})
        return Asked(min(sum(counts.values()), most or 0), throttled=2)


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> Rounds:
    found = Rounds()
    monkeypatch.setattr(spark_fallback, "ask_unanswered", found)
    return found


Opened = Callable[..., Fallback]


@pytest.fixture
def opened(tmp_path: Path, clock: FakeClock) -> Opened:
    def opened(**sections: Any) -> Fallback:
        fallback = {"model_id": "m", **sections.pop("fallback", {})}
        run = open_run(make_config(str(tmp_path), fallback=fallback, **sections), clock)
        return Fallback(run, MANIFEST, {}, clock)

    return opened


def units(*unanswered: int, **more: Any) -> list[dict[str, Any]]:
    return [
        {"unit": f"s{i}", "unanswered": n, "unanswered_records": n, **more}
        for i, n in enumerate(unanswered)
    ]


def test_shards_with_unanswered_records_are_asked(opened: Opened, rounds: Rounds) -> None:
    """Records, not the rows that share them; nobody where there are none."""
    fallback = opened()
    assert fallback.ask(SPARK, units(0, 3)) == 3
    assert rounds.asked == [{"counts": {"s1": 3}, "model_id": "m", "most": 3, "until": None}]
    assert fallback.ask(SPARK, [{"unit": "s0", "unanswered": 9, "unanswered_records": 2}]) == 2
    assert fallback.ask(SPARK, units(0, 0)) == 0
    assert (fallback.rounds, fallback.throttled) == (2, 4)


@pytest.mark.parametrize(
    ("retries", "invalid", "rounds_asked"), [(0, 0, 2), (2, 0, 2), (2, 1, 4), (0, 1, 2)]
)
def test_rounds_are_counted(
    opened: Opened, rounds: Rounds, retries: int, invalid: int, rounds_asked: int
) -> None:
    """Retries of answers that do not fit have rounds of their own, while there are such answers."""
    parse = {"parse": {"columns": "a int", "retries": retries}}
    fallback = opened(fallback={"rounds": 2}, results=parse)
    found = units(5, invalid_unanswered=invalid)
    while fallback.may_go_on(found):
        fallback.ask(SPARK, found)
    assert len(rounds.asked) == rounds_asked
    assert fallback.reason == "fallback.rounds: 2 are used up"


def test_once_none_is_left_there_is_no_reason(opened: Opened) -> None:
    """All are answered: that is no finding."""
    fallback = opened()
    assert not fallback.may_go_on(units(0, 0))
    assert fallback.reason is None


@pytest.mark.parametrize(("dollars", "asked"), [(1, 10), (0.075, 7), (0.004, 0)])
def test_as_many_are_asked_as_there_is_money_for(
    opened: Opened, rounds: Rounds, dollars: float, asked: int
) -> None:
    """And then it ends, saying how to go on."""
    fallback = opened(prices=PRICES, budget={"max_cost_usd": dollars})
    # 4 bytes a token, 40 tokens an answer that cost nothing
    assert fallback.ask(SPARK, units(5, 5)) == asked
    assert [r["most"] for r in rounds.asked] == [asked] * (asked > 0)
    assert fallback.out_of_money is (asked < 10)
    if fallback.out_of_money:
        assert f"for {10 - asked} more records. To go on, raise it" in str(fallback.reason)
        assert not fallback.may_go_on(units(5, 5))


@pytest.mark.parametrize(("hours", "asked"), [(2, 1), (1, 0)])
def test_the_deadline_is_kept(
    opened: Opened, rounds: Rounds, clock: FakeClock, hours: float, asked: int
) -> None:
    """Tasks are told when it is; after it none is begun."""
    fallback = opened(batch={"deadline_hours": hours})
    begun = clock.now()
    clock.time += 3_600
    assert fallback.ask(SPARK, units(1)) == asked
    assert [r["until"] for r in rounds.asked] == [begun + hours * 3_600] * asked
    assert fallback.out_of_money is False
    assert (fallback.reason is None) is bool(asked)


def test_one_process_falls_back_at_a_time(opened: Opened, clock: FakeClock) -> None:
    """Whoever drives the run keeps the others from asking the same records."""
    run = opened().run
    with Lease(run.storage, clock), pytest.raises(RunHeldError):
        falling_back(run, MANIFEST, clock).__enter__()
    with falling_back(run, MANIFEST, clock), pytest.raises(RunHeldError):
        Lease(run.storage, clock).take()
    Lease(run.storage, clock).take()


def test_without_a_note_nothing_is_given_back(opened: Opened, clock: FakeClock) -> None:
    """And no client is made, for which there may be no Region."""
    run = opened().run
    assert run.storage.read_if_present(layout.PROVISIONED_FILE) is None
    assert give_back_leftovers(run, clock) is False
