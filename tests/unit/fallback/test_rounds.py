"""Rounds of the fallback: which records are asked, and why it ends. Without Spark or a service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from bedrock_spark.errors import RunHeldError
from bedrock_spark.fallback.rounds import Fallback, delete_leftover_throughput, open_fallback
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.lease import Lease
from bedrock_spark.run_folder.manifest import RunManifest, Shard
from bedrock_spark.run_folder.run import open_run
from bedrock_spark.spark.fallback import stage as spark_fallback
from bedrock_spark.spark.fallback.stage import Round
from tests.unit.fakes import FakeClock, make_config

# Two shards of 5 records, too small for batch jobs; a record costs a cent.
MANIFEST = RunManifest(
    "r", 10, "a INT", tuple(Shard(f"s{i}", 5, 5 * 400, str(i)) for i in (0, 1)), ()
)
PRICES = {"batch": {"input": 0.1, "output": 0}, "fallback": {"input": 0.1, "output": 0}}
SPARK: SparkSession = None  # type: ignore[assignment]


class FakeRounds:
    """Replaces the round on Spark, and records its arguments."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def __call__(
        self,
        spark: Any,
        run: Any,
        prepare_id: str,
        counts: Mapping[str, int],
        model_id: str,
        most: int | None,
        until: float | None,
        observe: Any,
    ) -> Round:
        self.asked.append({"counts": counts, "model_id": model_id, "most": most, "until": until})
        return Round(min(sum(counts.values()), most or 0), throttled=2)


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> FakeRounds:
    fake = FakeRounds()
    monkeypatch.setattr(spark_fallback, "ask_unanswered", fake)
    return fake


NewFallback = Callable[..., Fallback]


@pytest.fixture
def new_fallback(tmp_path: Path, clock: FakeClock) -> NewFallback:
    """Open a run with these config sections, and return its fallback."""

    def new_fallback(**sections: Any) -> Fallback:
        fallback = {"model_id": "m", **sections.pop("fallback", {})}
        run = open_run(make_config(str(tmp_path), fallback=fallback, **sections), clock)
        return Fallback(run, MANIFEST, {}, clock)

    return new_fallback


def reconciled(*unanswered: int, **more: Any) -> list[ReconciledShard]:
    """Return shards s0, s1, … with these numbers of unanswered records."""
    return [
        ReconciledShard(unit=f"s{i}", unanswered=n, unanswered_records=n, **more)
        for i, n in enumerate(unanswered)
    ]


def test_shards_with_unanswered_records_are_asked(
    new_fallback: NewFallback, rounds: FakeRounds
) -> None:
    """Records are counted, not the rows that share them. Without any there is no round."""
    fallback = new_fallback()
    assert fallback.ask(SPARK, reconciled(0, 3)) == 3
    assert rounds.asked == [{"counts": {"s1": 3}, "model_id": "m", "most": 3, "until": None}]
    shared = ReconciledShard(unit="s0", unanswered=9, unanswered_records=2)
    assert fallback.ask(SPARK, [shared]) == 2
    assert fallback.ask(SPARK, reconciled(0, 0)) == 0
    assert (fallback.rounds, fallback.throttled) == (2, 4)


@pytest.mark.parametrize(
    ("retries", "invalid", "rounds_asked"), [(0, 0, 2), (2, 0, 2), (2, 1, 4), (0, 1, 2)]
)
def test_rounds_are_counted(
    new_fallback: NewFallback, rounds: FakeRounds, retries: int, invalid: int, rounds_asked: int
) -> None:
    """While there are invalid answers, `retries` rounds are added to `fallback.rounds`."""
    parse = {"parse": {"columns": "a int", "retries": retries}}
    fallback = new_fallback(fallback={"rounds": 2}, results=parse)
    shards = reconciled(5, invalid_unanswered=invalid)
    while fallback.may_go_on(shards):
        fallback.ask(SPARK, shards)
    assert len(rounds.asked) == rounds_asked
    assert fallback.reason == "fallback.rounds: 2 are used up"


def test_without_unanswered_records_there_is_no_reason(new_fallback: NewFallback) -> None:
    """The fallback ends because all are answered: there is nothing to explain."""
    fallback = new_fallback()
    assert not fallback.may_go_on(reconciled(0, 0))
    assert fallback.reason is None


@pytest.mark.parametrize(("dollars", "asked"), [(1, 10), (0.075, 7), (0.004, 0)])
def test_the_budget_limits_how_many_records_are_asked(
    new_fallback: NewFallback, rounds: FakeRounds, dollars: float, asked: int
) -> None:
    """Then the fallback ends, and its reason says how to go on."""
    fallback = new_fallback(prices=PRICES, budget={"max_cost_usd": dollars})
    # 4 bytes a token; 40 tokens an answer, which cost nothing
    assert fallback.ask(SPARK, reconciled(5, 5)) == asked
    assert [r["most"] for r in rounds.asked] == [asked] * (asked > 0)
    assert fallback.out_of_money is (asked < 10)
    if fallback.out_of_money:
        assert f"for {10 - asked} more records. To go on, raise it" in str(fallback.reason)
        assert not fallback.may_go_on(reconciled(5, 5))


@pytest.mark.parametrize(("hours", "asked"), [(2, 1), (1, 0)])
def test_the_deadline_is_kept(
    new_fallback: NewFallback, rounds: FakeRounds, clock: FakeClock, hours: float, asked: int
) -> None:
    """A round gets the deadline as `until`; after the deadline no round begins."""
    fallback = new_fallback(batch={"deadline_hours": hours})
    began = clock.now()
    clock.time += 3_600
    assert fallback.ask(SPARK, reconciled(1)) == asked
    assert [r["until"] for r in rounds.asked] == [began + hours * 3_600] * asked
    assert fallback.out_of_money is False
    assert (fallback.reason is None) is bool(asked)


def test_the_fallback_needs_the_lease(new_fallback: NewFallback, clock: FakeClock) -> None:
    """Two processes must not ask the same records. The lease is released at the end."""
    run = new_fallback().run
    with Lease(run.storage, clock), pytest.raises(RunHeldError):
        open_fallback(run, MANIFEST, clock).__enter__()
    with open_fallback(run, MANIFEST, clock), pytest.raises(RunHeldError):
        Lease(run.storage, clock).acquire()
    Lease(run.storage, clock).acquire()


def test_a_run_that_bought_nothing_deletes_nothing(
    new_fallback: NewFallback, clock: FakeClock
) -> None:
    """No client is made either: it would need a Region."""
    run = new_fallback().run
    assert run.storage.read_if_present(layout.PROVISIONED_FILE) is None
    assert delete_leftover_throughput(run, clock) is False
