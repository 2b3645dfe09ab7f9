"""The budget: nothing is submitted that it has no room for, and what it says is true."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import PricesConfig, TokenPrices
from bedrock_spark.costs.budget import (
    Budget,
    canary_tokens,
    expected_of,
    fallback_tokens,
    open_budget,
)
from bedrock_spark.costs.tokens import Expected, Tokens
from bedrock_spark.errors import BudgetError
from bedrock_spark.fanout import watch
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.canary_results import Canary, add_try
from bedrock_spark.run_folder.job_plan import plan_job
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.manifest import RunManifest, Shard
from bedrock_spark.run_folder.run import Run
from bedrock_spark.storage import LocalStorage
from tests.unit.driving import Drive
from tests.unit.fakes import CLAUDE, make_config

# A dollar per 1,000 tokens in, nothing for those out: a shard of n bytes is expected to cost n
# dollars, and one of n tokens did cost n / 1,000.
PRICES = PricesConfig(
    batch=TokenPrices(input=Decimal(1), output=Decimal(0)),
    fallback=TokenPrices(input=Decimal(2), output=Decimal(0)),
)
EXPECTED = Expected(1000.0, 0.0, "as told")


def shards_of(*sizes: int) -> dict[str, Shard]:
    return {
        f"shard-{i:05d}-00": Shard(f"shard-{i:05d}-00", 10, n, "x") for i, n in enumerate(sizes)
    }


def manifest_of(shards: dict[str, Shard]) -> RunManifest:
    rows = sum(s.records for s in shards.values())
    return RunManifest("run-abcdefgh", rows, "a INT", tuple(shards.values()), ())


def budget_of(limit: int, shards: dict[str, Shard], *jobs: Job, **more: Any) -> Budget:
    by_name = {job.job_name: job for job in jobs}
    told = {"canary": Tokens(), "jobs": lambda: by_name, **more}
    return Budget(Decimal(limit), PRICES, EXPECTED, shards, **told)


def a_job(shard: int, status: str = "InProgress", tokens: int | None = None, **more: Any) -> Job:
    name = f"job-{shard}"
    counted = None if tokens is None else (tokens, 0)
    return Job(
        f"shard-{shard:05d}-00", 1, name, "t", SeenJob("arn", name, "t", status), tokens=counted,
        **more,
    )  # fmt: skip


def allows(budget: Budget, shard: int, records: int = 10) -> str | None:
    plan = plan_job("run-abcdefgh", f"shard-{shard:05d}-00", "x", CLAUDE, 1)
    return budget.allows(plan, records)


def test_what_is_allowed_is_on_its_way() -> None:
    """Several jobs are chosen before the first of them is submitted."""
    budget = budget_of(25, shards_of(10, 10, 10))
    assert [allows(budget, i) is None for i in range(3)] == [True, True, False]
    assert allows(budget, 1) is None  # asked again, it is the same job and not one more


def test_a_refusal_says_what_is_spent_and_what_to_do() -> None:
    """With the numbers that it follows from."""
    shards = shards_of(10, 10, 10)
    budget = budget_of(25, shards, a_job(0, "Completed", 10_000), a_job(1))
    assert allows(budget, 2) == (
        "of budget.max_cost_usd $25.00, $10.00 are spent and $10.00 expected of active jobs; the "
        "next job would cost about $10.00. To go on, raise it and run the same command"
    )


@pytest.mark.parametrize(
    ("job", "room"),
    [
        (a_job(0, "InProgress"), 15),
        (a_job(0, "InProgress", records=4), 21),
        (a_job(0, "Completed", 10_000), 15),
        (a_job(0, "Completed"), 15),  # its manifest could not be read: as if it were active
        (a_job(0, "Completed", 0), 25),
        (a_job(0, "Expired"), 25),
        (a_job(0, "Failed"), 25),
        (a_job(0, "PartiallyCompleted", 3_000), 22),
        (Job("shard-00000-00", 1, "announced", "t"), 15),
    ],
)
def test_what_a_job_leaves_of_the_budget(job: Job, room: int) -> None:
    """What it cost by its manifest, or what it is expected to cost while it is open."""
    for size in (room, room + 1):
        budget = budget_of(25, shards_of(10, size), job)
        assert (allows(budget, 1) is None) is (size == room)


def test_completed_jobs_correct_what_is_expected_of_the_others() -> None:
    """Answers are shorter than they may be, as a rule; one that ended half way says nothing."""
    shards = shards_of(10, 10, 10, 10)
    half = a_job(0, "Completed", 5_000)
    assert allows(budget_of(19, shards, half, a_job(1)), 2) is None
    assert allows(budget_of(14, shards, half, a_job(1)), 2) is not None
    ended = a_job(0, "PartiallyCompleted", 5_000)
    assert allows(budget_of(19, shards, ended, a_job(1)), 2) is not None


def test_what_is_left_of_a_shard_costs_its_share() -> None:
    """A second attempt asks fewer records."""
    budget = budget_of(5, shards_of(10))
    assert allows(budget, 0) is not None
    assert allows(budget, 0, records=5) is None


def test_canary_and_fallback_are_spent_too() -> None:
    """The one at twice the price of batch, the other at its own."""
    more = {"canary": Tokens(1000), "fallback": Tokens(2000)}
    assert budget_of(99, shards_of(10), **more).spent() == 2 + 4


@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=12),
    st.integers(1, 300),
    st.lists(st.floats(0, 1), min_size=12, max_size=12),
)
def test_jobs_that_cost_what_is_expected_at_most_never_exceed_the_budget(
    sizes: list[int], limit: int, shares: list[float]
) -> None:
    """Whatever order they end in."""
    shards = shards_of(*sizes)
    jobs: dict[str, Job] = {}
    budget = budget_of(limit, shards)
    budget.jobs = lambda: jobs
    budget._correction = lambda jobs: Decimal(1)  # type: ignore[method-assign]
    for i, share in zip(range(len(sizes)), shares, strict=False):
        if allows(budget, i) is None:
            jobs[f"job-{i}"] = a_job(i)
            budget._granted.clear()
        if share < 0.5 and f"job-{i}" in jobs:
            jobs[f"job-{i}"] = a_job(i, "Completed", int(sizes[i] * share * 1000))
    assert budget.spent() <= limit


def test_an_estimate_above_the_budget_stops_the_run_before_it_begins() -> None:
    """Small shards are the fallback's; the canary is paid for by then."""
    shards = shards_of(10, 20)
    whole = manifest_of({**shards, "small": Shard("small", 2, 5, "x")})
    more = {"canary": Tokens(500)}
    assert budget_of(41, shards, **more).check_estimate(whole) == 41
    with pytest.raises(BudgetError) as caught:
        budget_of(40, shards, **more).check_estimate(whole)
    assert str(caught.value) == (
        "the run will cost about $41.00 (as told), which is above budget.max_cost_usd $40.00; "
        "nothing was submitted. Raise it, or begin a run of fewer rows or shorter answers"
    )


@pytest.mark.parametrize(("limit", "asked"), [(20, 5), (19, 4), (10, 0), (9, 0), (99, 5)])
def test_the_fallback_is_within_the_budget(limit: int, asked: int) -> None:
    """Stragglers cost their share of all records, at the fallback's price: as many as fit."""
    shards = shards_of(10, 10)
    budget = budget_of(limit, shards, a_job(0, "Completed", 10_000))
    assert budget.affordable_fallback(manifest_of(shards), 0) == 0
    assert budget.affordable_fallback(manifest_of(shards), 5) == asked
    refusal = budget.fallback_refusal(manifest_of(shards), 5 - asked)
    assert f"about ${2 * (5 - asked)}.00" in refusal.replace("$0.0000", "$0.00")
    assert f"for {5 - asked} more records. To go on, raise it" in refusal
    budget.prices = PricesConfig(batch=PRICES.batch)
    assert budget.affordable_fallback(manifest_of(shards), 20) == 20


def test_units_that_were_collected_before_have_no_fallback_tokens() -> None:
    """Nor have rejected rows."""
    units = [{}, {"fallback_tokens": {"input": 3, "output": 4}}, {"fallback_tokens": {"input": 1}}]
    assert fallback_tokens(units) == Tokens(4, 4)


def a_try(answered: int, tokens: int) -> Canary:
    return Canary("m", 0.0, 5, answered, 5 - answered, 100 * answered, tokens, tokens)


def test_a_run_is_expected_to_go_on_as_its_canary_did(tmp_path: Path) -> None:
    """By its last try; all of them are paid for. Without an answer the rule of thumb holds."""
    config = make_config(
        str(tmp_path),
        prices={"batch": {"input": "0.1", "output": 0.2}},
        budget={"max_cost_usd": 5},
    )
    run = Run("run-abcdefgh", config, LocalStorage(str(tmp_path)), AwsSettings())
    assert expected_of(config, ()).how == "4 bytes a token, 40 tokens an answer at most"
    assert expected_of(config, [a_try(0, 0)]) == expected_of(config, ())
    for one in (a_try(2, 30), a_try(5, 100)):
        add_try(run.storage, one)
    budget = open_budget(run, shards_of(10).values())
    assert budget is not None
    assert budget.canary == canary_tokens([a_try(2, 30), a_try(5, 100)]) == Tokens(130, 130)
    assert budget.expected.tokens(1000, 10) == Tokens(200, 200)
    assert budget.limit == 5
    assert open_budget(replace(run, config=make_config(str(tmp_path))), ()) is None


@pytest.fixture
def driven(tmp_path: Path) -> Callable[..., Drive]:
    """Drive shards that are expected to cost as many dollars as they have records."""

    def drive(records: list[int], limit: int, **batch: Any) -> Drive:
        d = Drive(tmp_path / "run", records, **batch)
        shards = {s.shard_id: s for s in d.manifest.shards}
        d.controller.policy = budget = budget_of(limit, shards)
        budget.jobs = lambda: d.controller.tracker.jobs
        return d

    return drive


def complete(d: Drive, shard: int, tokens: int) -> None:
    """Let a job end with an output manifest."""
    name = d.name(shard)
    folder = d.service.jobs[name].job_arn.rsplit("/", 1)[-1]
    key = f"{d.plan(shard).output_prefix}{folder}/{layout.OUTPUT_MANIFEST_FILE}"
    told = {"totalRecordCount": 50, "inputTokenCount": tokens, "outputTokenCount": 9}
    d.run.storage.write(key, json.dumps(told).encode())
    d.service.move(name, "Completed", processed=50)


def test_submitting_stops_at_the_budget_and_what_runs_goes_on(driven: Callable[..., Drive]) -> None:
    """Room that cheap jobs leave is used by later ones; in the end the driver says what to do."""
    d = driven([50] * 6, limit=120)
    result = d.advance()
    assert (result.active, result.waiting) == (2, 4)
    assert "$100.00 expected of active jobs" in str(result.reason)
    complete(d, 0, 25_000)
    complete(d, 1, 25_000)
    assert d.advance().active == 2
    complete(d, 2, 25_000)
    complete(d, 3, 25_000)
    result = watch(d.controller)
    assert (result.settled, result.active, result.waiting) == (4, 0, 2)
    assert "$100.00 are spent" in str(result.reason)
    assert "raise it and run the same command" in str(result.reason)
    assert len(d.created()) == 4


def test_a_raised_budget_goes_on_where_it_stopped(driven: Callable[..., Drive]) -> None:
    """Another process, with the ledger alone: the tokens of settled jobs stand in it."""
    d = driven([50] * 3, limit=60)
    d.advance()
    complete(d, 0, 40_000)
    assert "$40.00 are spent" in str(watch(d.controller).reason)
    d.controller.flush()
    d.restart()
    shards = {s.shard_id: s for s in d.manifest.shards}
    d.controller.policy = budget = budget_of(125, shards)
    budget.jobs = lambda: d.controller.tracker.jobs
    assert budget.spent() == 40
    assert d.advance().reason is None
    assert len(d.created()) == 3
