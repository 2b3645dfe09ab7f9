"""The budget: no job is submitted that it cannot pay, and its messages have the right numbers."""

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
from tests.unit.fake_run import FakeRun
from tests.unit.fakes import CLAUDE, make_config

# 1,000 input tokens cost a dollar in batch jobs, output tokens nothing. A byte is expected to have
# 1,000 tokens. So a shard of n bytes is expected to cost n dollars, and a job that used n tokens
# did cost n / 1,000 dollars.
PRICES = PricesConfig(
    batch=TokenPrices(input=Decimal(1), output=Decimal(0)),
    fallback=TokenPrices(input=Decimal(2), output=Decimal(0)),
)
EXPECTED = Expected(1000.0, 0.0, "as given")


def shards_of(*sizes: int) -> dict[str, Shard]:
    return {
        f"shard-{i:05d}-00": Shard(f"shard-{i:05d}-00", 10, n, "x") for i, n in enumerate(sizes)
    }


def manifest_of(shards: dict[str, Shard]) -> RunManifest:
    rows = sum(s.records for s in shards.values())
    return RunManifest("run-abcdefgh", rows, "a INT", tuple(shards.values()), ())


def budget_of(limit: int, shards: dict[str, Shard], *jobs: Job, **more: Any) -> Budget:
    by_name = {job.job_name: job for job in jobs}
    used = {"canary": Tokens(), "jobs": by_name, **more}
    return Budget(Decimal(limit), PRICES, EXPECTED, shards, **used)


def a_job(shard: int, status: str = "InProgress", tokens: int | None = None, **more: Any) -> Job:
    name = f"job-{shard}"
    counted = None if tokens is None else (tokens, 0)
    return Job(
        f"shard-{shard:05d}-00", 1, name, "t", SeenJob("arn", name, "t", status), tokens=counted,
        **more,
    )  # fmt: skip


def allows(budget: Budget, shard: int, records: int = 10) -> str | None:
    plan = plan_job("run-abcdefgh", f"shard-{shard:05d}-00", "x", CLAUDE, 1)
    return budget.allows(plan, records, budget.jobs)


def test_a_job_that_was_allowed_counts_as_active() -> None:
    """Several jobs are allowed before the first of them is submitted."""
    budget = budget_of(25, shards_of(10, 10, 10))
    assert [allows(budget, i) is None for i in range(3)] == [True, True, False]
    assert allows(budget, 1) is None  # the same job once more


def test_a_refusal_names_the_costs_and_what_to_do() -> None:
    """It has all numbers that the decision follows from."""
    shards = shards_of(10, 10, 10)
    budget = budget_of(25, shards, a_job(0, "Completed", 10_000), a_job(1))
    assert allows(budget, 2) == (
        "of budget.max_cost_usd $25.00, $10.00 are spent and $10.00 expected of active jobs; the "
        "next job would cost about $10.00. To go on, raise it and run the same command"
    )


@pytest.mark.parametrize(
    ("job", "left"),
    [
        (a_job(0, "InProgress"), 15),
        (a_job(0, "InProgress", records=4), 21),
        (a_job(0, "Completed", 10_000), 15),
        (a_job(0, "Completed"), 15),  # its manifest could not be read, so it counts as active
        (a_job(0, "Completed", 0), 25),
        (a_job(0, "Expired"), 25),
        (a_job(0, "Failed"), 25),
        (a_job(0, "PartiallyCompleted", 3_000), 22),
        (Job("shard-00000-00", 1, "announced", "t"), 15),
    ],
)
def test_what_a_job_leaves_of_the_budget(job: Job, left: int) -> None:
    """It counts with its cost by its manifest, or with its expected cost while it is open."""
    for size in (left, left + 1):
        budget = budget_of(25, shards_of(10, size), job)
        assert (allows(budget, 1) is None) is (size == left)


def test_completed_jobs_correct_the_expected_cost_of_others() -> None:
    """Answers are usually shorter than allowed. A job that did not complete corrects nothing."""
    shards = shards_of(10, 10, 10, 10)
    half = a_job(0, "Completed", 5_000)
    assert allows(budget_of(19, shards, half, a_job(1)), 2) is None
    assert allows(budget_of(14, shards, half, a_job(1)), 2) is not None
    partial = a_job(0, "PartiallyCompleted", 5_000)
    assert allows(budget_of(19, shards, partial, a_job(1)), 2) is not None


def test_a_part_of_a_shard_costs_its_share() -> None:
    """A second attempt asks fewer records."""
    budget = budget_of(5, shards_of(10))
    assert allows(budget, 0) is not None
    assert allows(budget, 0, records=5) is None


def test_canary_and_fallback_count_as_spent() -> None:
    """The canary costs twice the batch price; the fallback has its own price."""
    more = {"canary": Tokens(1000), "fallback": Tokens(2000)}
    assert budget_of(99, shards_of(10), **more).spent() == 2 + 4


@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=12),
    st.integers(1, 300),
    st.lists(st.floats(0, 1), min_size=12, max_size=12),
)
def test_jobs_that_cost_at_most_the_expected_never_exceed_the_budget(
    sizes: list[int], limit: int, shares: list[float]
) -> None:
    """In whatever order they end."""
    shards = shards_of(*sizes)
    jobs: dict[str, Job] = {}
    budget = budget_of(limit, shards)
    budget.jobs = jobs
    budget._correction = lambda jobs: Decimal(1)  # type: ignore[method-assign]
    for i, share in zip(range(len(sizes)), shares, strict=False):
        if allows(budget, i) is None:
            jobs[f"job-{i}"] = a_job(i)
            budget._granted.clear()
        if share < 0.5 and f"job-{i}" in jobs:
            jobs[f"job-{i}"] = a_job(i, "Completed", int(sizes[i] * share * 1000))
    assert budget.spent() <= limit


def test_an_estimate_above_the_budget_is_refused_before_the_first_job() -> None:
    """The estimate includes small shards, at the fallback's price, and the canary's cost."""
    shards = shards_of(10, 20)
    whole = manifest_of({**shards, "small": Shard("small", 2, 5, "x")})
    more = {"canary": Tokens(500)}
    assert budget_of(41, shards, **more).check_estimate(whole) == 41
    with pytest.raises(BudgetError) as caught:
        budget_of(40, shards, **more).check_estimate(whole)
    assert str(caught.value) == (
        "the run will cost about $41.00 (as given), which is above budget.max_cost_usd $40.00; "
        "nothing was submitted. Raise it, or begin a run of fewer rows or shorter answers"
    )


@pytest.mark.parametrize(("limit", "asked"), [(20, 5), (19, 4), (10, 0), (9, 0), (99, 5)])
def test_the_fallback_asks_only_what_the_budget_can_pay(limit: int, asked: int) -> None:
    """Unanswered records cost their share of all records, at the fallback's price."""
    shards = shards_of(10, 10)
    budget = budget_of(limit, shards, a_job(0, "Completed", 10_000))
    assert budget.affordable_fallback(manifest_of(shards), 0) == 0
    assert budget.affordable_fallback(manifest_of(shards), 5) == asked
    refusal = budget.fallback_refusal(manifest_of(shards), 5 - asked)
    assert f"about ${2 * (5 - asked)}.00" in refusal.replace("$0.0000", "$0.00")
    assert f"for {5 - asked} more records. To go on, raise it" in refusal
    budget.prices = PricesConfig(batch=PRICES.batch)
    assert budget.affordable_fallback(manifest_of(shards), 20) == 20


def test_fallback_tokens_are_added_up() -> None:
    """A shard without answers of the fallback has no counts; a count may be missing."""
    assert fallback_tokens([{}, {"input": 3, "output": 4}, {"input": 1}]) == Tokens(4, 4)


def a_try(answered: int, tokens: int) -> Canary:
    return Canary("m", 0.0, 5, answered, 5 - answered, 100 * answered, tokens, tokens)


def test_the_canary_measures_the_expected_tokens(tmp_path: Path) -> None:
    """Its last try counts, and all tries are paid. Without an answer the rule of thumb is used."""
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
    used = {"job-0": a_job(0, "Completed", tokens=7)}
    resumed = open_budget(run, shards_of(10).values(), used, Tokens(3, 4))
    assert resumed is not None
    assert (resumed.jobs, resumed.fallback) == (used, Tokens(3, 4))
    assert (budget.jobs, budget.fallback) == ({}, Tokens())
    assert open_budget(replace(run, config=make_config(str(tmp_path))), ()) is None


@pytest.fixture
def budgeted(tmp_path: Path) -> Callable[..., FakeRun]:
    """Open a run with a budget of `limit` dollars; a record is expected to cost one dollar."""

    def open_run(records: list[int], limit: int, **batch: Any) -> FakeRun:
        fake = FakeRun(tmp_path / "run", records, **batch)
        fake.restart(budget_of(limit, {s.shard_id: s for s in fake.manifest.shards}))
        return fake

    return open_run


def complete(fake: FakeRun, shard: int, tokens: int) -> None:
    """Let a job complete, with `tokens` input tokens in its output manifest."""
    name = fake.job_name(shard)
    folder = fake.service.jobs[name].job_arn.rsplit("/", 1)[-1]
    key = f"{fake.plan(shard).output_prefix}{folder}/{layout.OUTPUT_MANIFEST_FILE}"
    manifest = {"totalRecordCount": 50, "inputTokenCount": tokens, "outputTokenCount": 9}
    fake.run.storage.write(key, json.dumps(manifest).encode())
    fake.service.move(name, "Completed", processed=50)


def test_submitting_stops_at_the_budget_while_active_jobs_run_on(
    budgeted: Callable[..., FakeRun],
) -> None:
    """Money that cheap jobs leave pays for later jobs. The last reason says what to do."""
    fake = budgeted([50] * 6, limit=120)
    result = fake.advance()
    assert (result.active, result.waiting) == (2, 4)
    assert "$100.00 expected of active jobs" in str(result.reason)
    complete(fake, 0, 25_000)
    complete(fake, 1, 25_000)
    assert fake.advance().active == 2
    complete(fake, 2, 25_000)
    complete(fake, 3, 25_000)
    result = watch(fake.controller)
    assert (result.settled, result.active, result.waiting) == (4, 0, 2)
    assert "$100.00 are spent" in str(result.reason)
    assert "raise it and run the same command" in str(result.reason)
    assert len(fake.create_calls()) == 4


def test_a_run_goes_on_after_its_budget_was_raised(budgeted: Callable[..., FakeRun]) -> None:
    """In another process: the ledger has the tokens of settled jobs."""
    fake = budgeted([50] * 3, limit=60)
    fake.advance()
    complete(fake, 0, 40_000)
    assert "$40.00 are spent" in str(watch(fake.controller).reason)
    fake.controller.flush()
    budget = budget_of(125, {s.shard_id: s for s in fake.manifest.shards})
    fake.restart(budget)
    budget.jobs = fake.controller.jobs
    assert budget.spent() == 40
    assert fake.advance().reason is None
    assert len(fake.create_calls()) == 3
