"""Rounds of the fallback: which records are asked, and why it ends. Without Spark or a service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from pyspark.sql import SparkSession

from bedrock_spark.errors import FallbackShareError, RunHeldError
from bedrock_spark.fallback import rounds as rounds_module
from bedrock_spark.fallback.provisioning import Deletion
from bedrock_spark.fallback.rounds import Fallback, delete_leftover_throughput, open_fallback
from bedrock_spark.outputs.reconciled_shard import ReconciledShard
from bedrock_spark.outputs.shard_outputs import jobs_digest
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.lease import STOP, Lease
from bedrock_spark.run_folder.manifest import RunManifest, Shard
from bedrock_spark.run_folder.purchases import PurchaseNote, note_intent
from bedrock_spark.run_folder.run import open_run
from bedrock_spark.spark.fallback import stage as spark_fallback
from bedrock_spark.spark.fallback.round_result import Round
from tests.unit.fakes import CLAUDE, PROVISIONED, FakeClock, make_config

# Two shards of 5 records, too small for batch jobs; a record costs a cent.
MANIFEST = RunManifest(
    "r", 10, "a INT", tuple(Shard(f"s{i}", 5, 5 * 400, str(i)) for i in (0, 1)), ()
)
PRICES = {"batch": {"input": 0.1, "output": 0}, "fallback": {"input": 0.1, "output": 0}}
SPARK: SparkSession = None  # type: ignore[assignment]


class FakeRounds:
    """Replaces the round on Spark, and records its arguments.

    changed: for each round, the number of records that must be collected again
    results: of the next rounds, instead of that
    has_answered, uses_flex: the arguments of these names, of each round
    """

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.changed = [0] * 20
        self.results: list[Round] = []
        self.has_answered: list[bool] = []
        self.uses_flex: list[bool] = []

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
        **more: Any,
    ) -> Round:
        self.asked.append({"counts": counts, "model_id": model_id, "most": most, "until": until})
        self.has_answered.append(more["has_answered"])
        self.uses_flex.append(more["uses_flex"])
        if self.results:
            return self.results.pop(0)
        return Round(min(sum(counts.values()), most or 0), throttled=2, changed=self.changed.pop(0))


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
    members = {"jobs_known": jobs_digest(()), **more}
    return [
        ReconciledShard(unit=f"s{i}", unanswered=n, unanswered_records=n, **members)
        for i, n in enumerate(unanswered)
    ]


def test_shards_with_unanswered_records_are_asked(
    new_fallback: NewFallback, rounds: FakeRounds
) -> None:
    """Records are counted, not the rows that share them. Without any there is no round."""
    fallback = new_fallback()
    assert fallback.ask(SPARK, reconciled(0, 3)) == 3
    assert rounds.asked == [{"counts": {"s1": 3}, "model_id": "m", "most": 3, "until": None}]
    (shared,) = reconciled(2)
    shared = structs.replace(shared, unanswered=9)
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
    shards = reconciled(5, again_records=invalid)
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


UNITS = {"fallback": {"create": {"model_units": 2, "confirm": True}}}


@pytest.mark.parametrize(
    ("dollars", "bought", "hours"), [(19, False, None), (20, True, 1), (59, True, 2)]
)
def test_model_units_are_kept_only_for_hours_that_the_budget_pays_for(
    new_fallback: NewFallback,
    rounds: FakeRounds,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    dollars: float,
    bought: bool,
    hours: int | None,
) -> None:
    """Two units cost $20 an hour. The first hour must be paid for, or none is bought.

    No call is made in the last ten minutes of the last hour: then they are deleted.
    """
    prices = {"batch": PRICES["batch"], "model_unit_hour": 10}
    fallback = new_fallback(**UNITS, prices=prices, budget={"max_cost_usd": dollars})
    storage, begun_at, buys = fallback.run.storage, clock.now(), []

    def buy() -> str:
        buys.append(clock.now())
        if len(buys) == 1:
            note_intent(storage, PurchaseNote(1, "bs-r", "t", "m", 2, begun_at))
        clock.sleep(300)
        return "arn"

    monkeypatch.setattr(fallback, "_ready_model", buy)
    assert fallback.ask(SPARK, reconciled(5)) == (5 if bought else 0)
    assert bool(buys) is bought
    assert [r["until"] for r in rounds.asked] == [begun_at + (hours or 0) * 3600 - 600] * bought
    clock.time = begun_at + (hours or 0) * 3600 - 600
    assert fallback.ask(SPARK, reconciled(5)) == 0
    assert fallback.out_of_money
    assert "does not pay for one more hour" in str(fallback.reason)
    assert len(rounds.asked) == bought


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


def test_shards_whose_jobs_have_changed_are_collected_first(
    new_fallback: NewFallback, rounds: FakeRounds
) -> None:
    """A job that has ended since then may have answered their records."""
    fallback = new_fallback()
    current, changed = reconciled(3, 4)
    changed = structs.replace(changed, jobs_known="jobs of before")
    assert fallback.ask(SPARK, [current, changed]) == 3
    assert [r["counts"] for r in rounds.asked] == [{"s0": 3}]
    assert fallback.has_changed
    assert fallback.rounds == 0
    assert fallback.ask(SPARK, [changed]) == 0
    assert fallback.has_changed
    assert fallback.ask(SPARK, [current]) == 3
    assert (fallback.has_changed, fallback.rounds) == (False, 1)


def test_shards_that_were_collected_again_count_for_the_share_of_the_run(
    new_fallback: NewFallback, rounds: FakeRounds
) -> None:
    """The first round asks 5 %; the shards that it left out must not add more than is allowed."""
    fallback = new_fallback()
    big = tuple(Shard(f"s{i}", 50, 50 * 400, str(i)) for i in (0, 1))
    fallback.manifest = RunManifest("r", 100, "a INT", big, ())
    first, second = reconciled(5, 40)
    changed = structs.replace(second, jobs_known="jobs of before")
    assert fallback.ask(SPARK, [first, changed]) == 5
    assert fallback.ask(SPARK, [first]) == 5
    assert fallback.rounds == 1
    with pytest.raises(FallbackShareError, match="45 of 100 records"):
        fallback.ask(SPARK, [first, second])
    assert [r["counts"] for r in rounds.asked] == [{"s0": 5}] * 2


def test_shards_that_change_for_ever_end_the_fallback(
    new_fallback: NewFallback, rounds: FakeRounds
) -> None:
    """Rounds that left out changed shards are counted after the third in a row."""
    fallback = new_fallback(fallback={"rounds": 2})
    rounds.changed = [1] * 20
    while fallback.may_go_on(reconciled(5)):
        fallback.ask(SPARK, reconciled(5))
    assert len(rounds.asked) == 3 + 2
    assert fallback.reason == "fallback.rounds: 2 are used up"


def test_nothing_is_asked_once_the_lease_is_lost(
    new_fallback: NewFallback, rounds: FakeRounds, clock: FakeClock
) -> None:
    """The block of `open_fallback` ends with the holder's name; nothing bought is deleted."""
    run = new_fallback().run
    with (  # noqa: PT012 - the error ends the block
        pytest.raises(RunHeldError, match="is being stopped by"),
        open_fallback(run, MANIFEST, clock) as fallback,
    ):
        assert fallback.renewal is not None
        Lease(run.storage, clock, STOP).acquire()
        fallback.renewal.beat()
        fallback.ask(SPARK, reconciled(1))
    assert rounds.asked == []


def test_whether_jobs_are_settled_is_looked_up_with_the_lease_held(
    new_fallback: NewFallback, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before that another process may submit a job, whose answers would be paid for again."""
    run = new_fallback().run
    held: list[bool] = []

    def settled_jobs(*_: Any) -> dict[str, Any]:
        with pytest.raises(RunHeldError):
            Lease(run.storage, clock).acquire()
        held.append(True)
        return {}

    monkeypatch.setattr(rounds_module, "_settled_jobs", settled_jobs)
    with open_fallback(run, MANIFEST, clock):
        pass
    assert held == [True]


def test_a_run_that_bought_nothing_deletes_nothing(
    new_fallback: NewFallback, clock: FakeClock
) -> None:
    """No client is made either: it would need a Region."""
    run = new_fallback().run
    assert run.storage.list(f"{layout.PROVISIONED}/") == []
    assert delete_leftover_throughput(run, clock) == Deletion()


def test_a_round_of_a_few_refusals_ends_the_fallback(
    new_fallback: NewFallback, rounds: FakeRounds
) -> None:
    """They may be bad records or an account that is not in order: the next command asks again."""
    fallback = new_fallback(fallback={"rounds": 5})
    rounds.results = [Round(3, refused=3, alike=3, message="Operation not allowed")]
    shards = reconciled(3)
    assert fallback.may_go_on(shards)
    fallback.ask(SPARK, shards)
    assert not fallback.may_go_on(shards)
    assert (fallback.gave_up, len(rounds.asked)) == (True, 1)
    assert fallback.reason is not None
    assert 'refused all 3 records that it was asked: "Operation not allowed"' in fallback.reason


@pytest.mark.parametrize(
    "first",
    [
        Round(3, answered=2, refused=1, alike=1, message="m"),
        Round(3, answered=1, refused=2, alike=2, message="m", is_stopped=True),
    ],
)
def test_refusals_beside_answers_are_settled_by_one_more_round(
    new_fallback: NewFallback, rounds: FakeRounds, first: Round
) -> None:
    """Which is not counted: the first task to refuse could not know of the other's answers."""
    fallback = new_fallback(fallback={"rounds": 1})
    rounds.results = [first, Round(1)]
    shards = reconciled(1)
    while fallback.may_go_on(shards):
        fallback.ask(SPARK, shards)
    assert rounds.has_answered == [False, True]
    assert fallback.rounds == 1


def test_refusals_beside_passing_errors_do_not_end_the_fallback(
    new_fallback: NewFallback, rounds: FakeRounds
) -> None:
    """Only if every record was refused is it known that the next round would be the same."""
    fallback = new_fallback(fallback={"rounds": 2})
    rounds.results = [Round(3, refused=2, alike=2, message="m"), Round(3, answered=3)]
    shards = reconciled(3)
    while fallback.may_go_on(shards):
        fallback.ask(SPARK, shards)
    assert len(rounds.asked) == 2


GPT = "openai.gpt-oss-120b-1:0"  # has a flex price in the table


@pytest.mark.parametrize(
    ("sections", "uses_flex"),
    [
        ({"fallback": {"model_id": GPT}}, True),
        ({"fallback": {"model_id": GPT, "service_tier": "default"}}, False),
        ({"fallback": {"model_id": GPT, "performance": "optimized"}}, False),
        ({"fallback": {"model_id": GPT}, "prices": "none"}, False),
        ({"fallback": {"model_id": CLAUDE}}, False),
        ({"fallback": {"model_id": PROVISIONED}}, False),
    ],
)
def test_flex_is_used_if_the_price_table_has_it(
    new_fallback: NewFallback, rounds: FakeRounds, sections: dict[str, Any], uses_flex: bool
) -> None:
    """And the config does not name another tier, and the model is paid by tokens."""
    fallback = new_fallback(**sections)
    fallback._model_id = sections["fallback"]["model_id"]
    fallback.ask(SPARK, reconciled(3))
    assert rounds.uses_flex == [uses_flex]


def test_a_refusal_of_the_flex_tier_is_noted_once(
    new_fallback: NewFallback, rounds: FakeRounds, caplog: pytest.LogCaptureFixture
) -> None:
    """Later rounds of the run do not ask for it again."""
    fallback = new_fallback(fallback={"model_id": GPT})
    rounds.results = [Round(3, answered=1, no_flex="is not supported")] * 2
    for _ in range(3):
        fallback.ask(SPARK, reconciled(3))
    assert rounds.uses_flex == [True, False, False]
    assert [r.getMessage() for r in caplog.records if "flex" in r.getMessage()] == [
        f'{fallback.run.run_id}: the service refuses the flex tier: "is not supported". The '
        "fallback uses the default tier"
    ]
