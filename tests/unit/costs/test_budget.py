"""The budget: no job is submitted that it cannot pay, and its messages have the right numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from bedrock_spark.aws.batch_jobs import SETTLED, SeenJob
from bedrock_spark.aws.clients import AwsSettings
from bedrock_spark.config import TokenPrices
from bedrock_spark.costs.budget import Budget, log_estimate, open_budget
from bedrock_spark.costs.fallback_paid import fallback_paid
from bedrock_spark.costs.paid import Paid, canary_paid, paid_for
from bedrock_spark.costs.tokens import Expected, Tokens
from bedrock_spark.costs.used import expected_of
from bedrock_spark.errors import BudgetError, ConfigError
from bedrock_spark.fanout import watch
from bedrock_spark.prices import RunPrices
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.canary_results import Canary, add_try
from bedrock_spark.run_folder.job_plan import JobPlan, plan_job
from bedrock_spark.run_folder.ledger import Job, JobTokens, KnownJobs
from bedrock_spark.run_folder.manifest import RunManifest, Shard
from bedrock_spark.run_folder.model_use import ModelUse
from bedrock_spark.run_folder.purchases import PurchaseNote
from bedrock_spark.run_folder.run import Run
from bedrock_spark.storage import LocalStorage
from tests.models import NOVA
from tests.unit.fake_run import FakeRun
from tests.unit.fakes import CLAUDE, make_config

# 1,000 input tokens cost a dollar in batch jobs, output tokens nothing. A byte is expected to have
# 1,000 tokens. So a shard of n bytes is expected to cost n dollars, and a job that used n tokens
# did cost n / 1,000 dollars.
PRICES = RunPrices(
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
    used = {"canary": Paid(), "jobs": by_name, **more}
    return Budget(Decimal(limit), PRICES, EXPECTED, shards, **used)


def a_job(
    shard: int,
    status: str = "InProgress",
    tokens: int | None = None,
    processed: int | None = None,
    succeeded: int | None = None,
    **more: Any,
) -> Job:
    name = f"job-{shard}"
    counted = None if tokens is None else JobTokens(tokens, 0)
    seen = SeenJob("arn", name, "t", status, total=10, processed=processed, succeeded=succeeded)
    return Job(f"shard-{shard:05d}-00", 1, name, "t", seen, tokens=counted, **more)


def allows(budget: Budget, shard: int, records: int = 10) -> str | None:
    plan = plan_job("run-abcdefgh", f"shard-{shard:05d}-00", "x", CLAUDE, 1, prepare_id="p")
    return budget.allows(plan, records, KnownJobs(budget.jobs.values()))


def test_a_job_that_was_allowed_counts_as_active() -> None:
    """Several jobs are allowed before the first of them is submitted."""
    budget = budget_of(25, shards_of(10, 10, 10))
    assert [allows(budget, i) is None for i in range(3)] == [True, True, False]
    assert allows(budget, 1) is None  # the same job once more


def test_to_allow_a_job_walks_over_no_other_jobs() -> None:
    """Only those that have changed are looked at: a run may have 100,000 of them."""

    class Jobs(KnownJobs):
        def __iter__(self) -> Iterator[str]:
            raise AssertionError("walks over all jobs")

    budget, jobs = budget_of(25, shards_of(10, 10, 10)), Jobs()
    plans = [
        plan_job("run-abcdefgh", f"shard-{n:05d}-00", "x", CLAUDE, 1, prepare_id="p")
        for n in range(3)
    ]
    assert budget.allows(plans[0], 10, jobs) is None
    granted = structs.replace(a_job(0), job_name=plans[0].job_name)
    jobs.put(granted)
    assert budget.allows(plans[1], 10, jobs) is None
    assert budget.allows(plans[2], 10, jobs) is not None


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
        (a_job(0, "Completed"), 15),  # without a manifest or counts: all of its records
        (a_job(0, "Completed", records=4), 21),
        (a_job(0, "Completed", 0), 25),
        (a_job(0, "Expired"), 25),
        (a_job(0, "Failed"), 25),
        (a_job(0, "Stopped"), 25),
        (a_job(0, "PartiallyCompleted"), 15),
        (a_job(0, "PartiallyCompleted", 3_000), 22),
        *((a_job(0, s, processed=9), 16) for s in SETTLED),
        # A count of 0 is no count if records were answered; it is one if all were errors.
        (a_job(0, "Stopped", 0, processed=9, succeeded=9), 16),
        (a_job(0, "Completed", 0, processed=10, succeeded=0), 25),
        (Job("shard-00000-00", 1, "announced", "t"), 15),
    ],
)
def test_what_a_job_leaves_of_the_budget(job: Job, left: int) -> None:
    """It counts with its cost by its manifest, or with its expected cost while it is open.

    A job that left no count costs its processed records x what a record is expected to cost.
    """
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


def test_the_correction_is_that_of_all_completed_jobs() -> None:
    """Two jobs of $10 used $4 and $8, so a third one is expected to cost $6."""
    jobs = a_job(0, "Completed", 4_000), a_job(1, "Completed", 8_000)
    assert allows(budget_of(18, shards_of(10, 10, 10), *jobs), 2) is None
    assert allows(budget_of(17, shards_of(10, 10, 10), *jobs), 2) is not None


def test_a_job_that_is_requested_again_counts_once() -> None:
    """It was announced, and nobody knows whether the service has it."""
    shards = shards_of(10, 10)
    plan = plan_job("run-abcdefgh", "shard-00000-00", "x", CLAUDE, 1, prepare_id="p")
    announced = Job("shard-00000-00", 1, plan.job_name, plan.token)
    assert allows(budget_of(10, shards, announced), 0) is None
    assert allows(budget_of(9, shards, announced), 0) is not None
    assert allows(budget_of(19, shards, announced), 1) is not None


def test_a_job_that_is_refused_after_all_leaves_room_for_others() -> None:
    """It was allowed, and not submitted; meanwhile another job used more than expected."""
    budget = budget_of(25, shards_of(10, 10, 5), a_job(0))
    assert allows(budget, 1) is None
    budget.jobs = {"job-0": a_job(0, "PartiallyCompleted", 20_000)}
    assert "$20.00 are spent and $0.00 expected" in str(allows(budget, 1)).replace(
        "$0.0000", "$0.00"
    )
    assert allows(budget, 2) is None


def test_a_part_of_a_shard_costs_its_share() -> None:
    """A second attempt asks fewer records."""
    budget = budget_of(5, shards_of(10))
    assert allows(budget, 0) is not None
    assert allows(budget, 0, records=5) is None


def test_canary_and_fallback_count_as_spent() -> None:
    """The canary costs twice the batch price; the fallback has its own price."""
    use = ModelUse("m", "standard", 1, {"input": 2_000})
    paid = fallback_paid([[use]], PRICES, EXPECTED, manifest_of(shards_of(10)))
    more = {"canary": paid_for(Tokens(1000), PRICES.of_try("m")), "fallback": lambda: paid}
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
    more = {"canary": paid_for(Tokens(500), PRICES.of_try("m"))}
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
    free = TokenPrices(input=Decimal(0), output=Decimal(0))
    budget.prices = RunPrices(batch=PRICES.batch, fallback=free)
    assert budget.affordable_fallback(manifest_of(shards), 20) == 20


def test_raised_limits_count_as_if_they_were_used_up() -> None:
    """Output that costs as much as the records themselves leaves money for half of them."""
    shards = shards_of(10, 10)
    budget = budget_of(20, shards, a_job(0, "Completed", 10_000))
    one_dollar = TokenPrices(input=Decimal(1), output=Decimal(1))
    budget.prices = RunPrices(batch=PRICES.batch, fallback=one_dollar)
    whole = manifest_of(shards)
    mean = budget._fallback_cost(whole, 4)
    longer = int(mean * 1_000)
    assert budget._fallback_cost(whole, 4, longer) == 2 * mean
    budget.limit = budget.spent() + mean
    assert budget.affordable_fallback(whole, 4) == 4
    assert budget.affordable_fallback(whole, 4, longer) == 2
    assert f"about ${2 * mean:.2f} for 4 more" in budget.fallback_refusal(whole, 4, longer)


def test_raised_limits_of_a_batch_job_count_as_if_they_were_used_up() -> None:
    """Before the job, while it runs, and if nothing counts what it used."""
    prices = TokenPrices(input=Decimal(1), output=Decimal(1))
    plan = plan_job(
        "run-abcdefgh", "shard-00000-00", "x", CLAUDE, 2, prepare_id="p", longer=7_000
    )  # fmt: skip

    def allowed(limit: int, *jobs: Job, of: JobPlan = plan) -> bool:
        budget = budget_of(limit, shards_of(10, 10), *jobs)
        budget.prices = RunPrices(batch=prices)
        return budget.allows(of, 10, KnownJobs(budget.jobs.values())) is None

    assert [allowed(16), allowed(17)] == [False, True]
    plain = plan_job("run-abcdefgh", "shard-00001-00", "x", CLAUDE, 1, prepare_id="p")
    for status in ("InProgress", "Completed"):
        again = a_job(0, status, longer=7_000)
        assert [allowed(n, again, of=plain) for n in (26, 27)] == [False, True]
    # What such records use is no measure for the others.
    counted = a_job(0, "Completed", 40_000, longer=7_000)
    assert [allowed(n, counted, of=plain) for n in (49, 50)] == [False, True]


@pytest.mark.parametrize(("limit", "asked"), [(40, 0), (50, 1), (59, 1), (60, 2), (99, 2)])
def test_the_first_hour_of_units_is_kept_for_them(limit: int, asked: int) -> None:
    """$40 for an hour of two units; the rest pays records at $10 each."""
    prices = RunPrices(batch=PRICES.batch, fallback=PRICES.batch, model_unit_hour=Decimal(20))
    budget = budget_of(limit, shards_of(), model_units=2)
    budget.prices = prices
    whole = manifest_of({"small": Shard("small", 2, 20, "x")})
    assert budget.affordable_fallback(whole, 2) == asked


def test_the_fallback_of_a_run_of_few_records_has_a_cost() -> None:
    """One record costs what it costs, and a run of no records nothing."""
    one = manifest_of({"small": Shard("small", 1, 10, "x")})
    assert budget_of(20, {}).affordable_fallback(one, 1) == 1
    assert budget_of(19, {}).affordable_fallback(one, 1) == 0
    assert budget_of(19, {}).affordable_fallback(manifest_of({}), 0) == 0


def test_what_the_fallback_used_is_added_up() -> None:
    """A shard without answers of the fallback has no uses; a count may be missing.

    An answer that tells no tokens counts as a record of mean size.
    """
    manifest = manifest_of(shards_of(10, 30))
    one, two = (
        ModelUse("m", "standard", 1, counts)
        for counts in ({"input": 3, "output": 4}, {"input": 1, "images": 2})
    )
    none = ModelUse("m", "standard", 5, {"uncounted": 5})
    assert fallback_paid([(), (one,), (two,)], PRICES, EXPECTED, manifest).tokens == Tokens(4, 4, 2)
    more = fallback_paid([(one, none), (two,)], PRICES, EXPECTED, manifest)
    assert more.tokens == Tokens(4 + 5 * 2 * 1000, 4, 2)
    assert [part.use.answers for part in more.parts] == [7]


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
    assert expected_of(config, run.prices, ()).how == "4 bytes a token, 40 tokens an answer at most"
    assert expected_of(config, run.prices, [a_try(0, 0)]) == expected_of(config, run.prices, ())
    for one in (a_try(2, 30), a_try(5, 100)):
        add_try(run.storage, one)
    manifest = manifest_of(shards_of(10))
    budget = open_budget(run, manifest, manifest.shards, 0.0)
    assert budget is not None
    tries = [a_try(2, 30), a_try(5, 100)]
    assert budget.canary == canary_paid(tries, budget.expected, run.prices)
    assert (budget.canary.tokens, budget.canary.dollars) == (Tokens(130, 130), Decimal("0.078"))
    # A try whose answers tell no tokens costs what its records are expected to.
    assert canary_paid([a_try(5, 0)], EXPECTED, PRICES).tokens == EXPECTED.tokens(500, 5)
    assert budget.expected.tokens(1000, 10) == Tokens(200, 200)
    assert budget.limit == 5
    unlimited = replace(run, config=make_config(str(tmp_path)))
    assert open_budget(unlimited, manifest, (), 0.0) is None


def test_what_the_fallback_used_counts_before_another_job(tmp_path: Path) -> None:
    """It is read once, and only if a cost is computed: it is in one object per shard."""
    prices = {"batch": {"input": 1, "output": 0}, "fallback": {"input": 1, "output": 0}}
    config = make_config(str(tmp_path), prices=prices, budget={"max_cost_usd": 5})
    run = Run("run-abcdefgh", config, LocalStorage(str(tmp_path)), AwsSettings())
    manifest, reads = manifest_of(shards_of(4)), list[int]()

    def counts() -> Iterator[tuple[ModelUse, ...]]:
        reads.append(1)
        yield (ModelUse("m", "standard", 5, {"input": 5_000}),)

    budget = open_budget(run, manifest, manifest.shards, 0.0, fallback=counts())
    assert budget is not None
    assert reads == []
    assert "$5.00 are spent" in str(allows(budget, 0))
    assert allows(budget, 0, records=2) is not None
    assert reads == [1]


def test_stopped_jobs_without_a_manifest_do_not_make_room_for_others() -> None:
    """Ten jobs of $10 were stopped after 9 of their 10 records: $90 of $100 are spent."""
    shards = shards_of(*[10] * 12)
    jobs = [a_job(i, "Stopped", processed=9, succeeded=9) for i in range(10)]
    budget = budget_of(100, shards, *jobs)
    assert budget.spent() == 90
    assert allows(budget, 10) is None
    assert "$90.00 are spent and $10.00 expected" in str(allows(budget, 11))


STATUSES = st.sampled_from(["InProgress", "Stopped", "Completed"])
USED = st.none() | st.integers(1, 5_000)


@given(st.lists(st.tuples(st.integers(0, 3), STATUSES, USED)))
def test_the_tally_is_that_of_the_jobs_as_they_are_now(
    changes: list[tuple[int, str, int | None]],
) -> None:
    """It is updated by what changed, and gives the same answer as a new budget."""
    jobs = KnownJobs()
    budget = budget_of(10_000, shards_of(1, 2, 3, 4, 5))
    for number, (shard, status, tokens) in enumerate(changes):
        jobs.put(a_job(shard, status, tokens, processed=number % 11))
        new = budget_of(10_000, shards_of(1, 2, 3, 4, 5))
        assert budget._tally(jobs, "job-0") == new._tally(jobs, "job-0")


UNITS = RunPrices(batch=PRICES.batch, model_unit_hour=Decimal(20))


def test_model_units_count_by_the_started_hour() -> None:
    """Bought ones as spent; those to be bought with an hour, before they are bought."""
    deleted = PurchaseNote(1, "a", "t", CLAUDE, 2, 0.0, over_at=3601.0, why="deleted")
    open_one = PurchaseNote(2, "b", "t", CLAUDE, 3, 7200.0)
    more: dict[str, Any] = {"model_units": 2, "now": 7200.0 + 3600.0 * 1.5}
    budget = budget_of(1000, shards_of(10), purchases=(deleted, open_one), **more)
    budget.prices = UNITS
    assert budget.spent() == 20 * (2 * 2 + 3 * 2)
    # 1000 - 80 for the first purchase pay 15 hours of 3 units at $20.
    assert budget.units_until() == 7200.0 + 15 * 3600.0
    budget = budget_of(99, shards_of(10), purchases=(deleted,), **more)
    budget.prices = UNITS
    assert budget.spent() == 80
    assert budget.units_until() == more["now"]  # $19 pay no hour of 2 units
    assert budget.affordable_fallback(manifest_of(shards_of(10)), 5) == 5  # by the hour only
    whole = manifest_of({**shards_of(10), "small": Shard("small", 2, 5, "x")})
    budget = budget_of(50, shards_of(10), **more)
    budget.prices = UNITS
    assert budget.check_estimate(whole) == 10 + 40
    budget.limit = Decimal(49)
    with pytest.raises(BudgetError, match=r"about \$50\.00"):
        budget.check_estimate(whole)


def test_without_model_units_there_is_no_bound_by_the_hour() -> None:
    """Nor without a price for them: it may be 0."""
    assert budget_of(9, shards_of(10)).units_until() is None
    assert budget_of(9, shards_of(10), model_units=2).units_until() is None
    without_units = budget_of(9, shards_of(10))
    without_units.prices = UNITS
    assert without_units.units_until() is None


def test_images_cost_by_the_piece() -> None:
    """By the manifest, or one per record that was answered, and for records still to ask."""
    expected = Expected(0.0, 0.0, "as given", images_per_record=2)
    counted = structs.replace(a_job(0, "Completed", processed=10, succeeded=10), images=7)
    uncounted = a_job(1, "Completed", 0, processed=10, succeeded=10)
    tokens_only = a_job(2, "Stopped", 5, processed=9, succeeded=4)
    budget = budget_of(999, shards_of(1, 1, 1, 1), counted, uncounted, tokens_only)
    budget.prices, budget.expected = RunPrices(image=Decimal(1)), expected
    assert budget.spent() == 7 + 20 + 8
    # The job whose images were counted had 7 of the 20 that were expected, and so will others.
    budget.limit = Decimal(7 + 20 + 8 + 7)
    assert allows(budget, 3) is None
    budget.limit -= 1
    assert allows(budget, 3) is not None
    assert budget.affordable_fallback(manifest_of(shards_of(1, 1, 1, 1)), 40) == 3


IMAGES = {"id": "amazon.nova-canvas-v1:0"}
PRICE = {"input": 1, "output": 1}


@pytest.mark.parametrize(
    ("sections", "missing"),
    [
        ({"prices": {"batch": PRICE}}, None),
        (
            {"prices": {"image": 0.04}},
            r"prices\.batch: \{input",
        ),
        ({"prices": {"batch": PRICE}, "model": IMAGES}, r"prices\.image, in dollars per image"),
        ({"prices": {"image": 0.04}, "model": IMAGES}, None),
        ({"prices": {"image": 0}, "model": IMAGES, "fallback": {"model_id": "m"}}, None),
        (
            {"prices": {"image": 0, "batch": PRICE}, "fallback": {"model_id": "m"}},
            r"prices\.fallback: \{input",
        ),
    ],
)
def test_a_budget_needs_the_price_of_what_the_model_answers_with(
    tmp_path: Path, sections: dict[str, Any], missing: str | None
) -> None:
    """Only the family tells if that is text or images, so it is checked with the request."""
    request: dict[str, Any] = {"request": {"prompt": "{{ body }}"}}
    sections["prices"] = {"source": "none", **sections["prices"]}
    config = make_config(str(tmp_path), budget={"max_cost_usd": 5}, **request, **sections)
    run = Run("run-abcdefgh", config, LocalStorage(str(tmp_path)), AwsSettings())
    manifest = manifest_of(shards_of(10))
    if missing is None:
        assert open_budget(run, manifest, manifest.shards, 0.0) is not None
    else:
        with pytest.raises(ConfigError, match=missing):
            open_budget(run, manifest, manifest.shards, 0.0)


def test_a_run_without_a_limit_has_an_estimate_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """If its prices are known: the table knows those of most models."""
    manifest = manifest_of(shards_of(4_000_000))
    config = make_config(str(tmp_path), model={"id": NOVA}, request={"prompt": "{{ body }}"})
    run = Run("run-abcdefgh", config, LocalStorage(str(tmp_path)), AwsSettings())
    with caplog.at_level("INFO", logger="bedrock_spark"):
        # A million input tokens
        assert log_estimate(run, manifest, manifest.shards, 0.0) == Decimal("0.03")
    assert "the run will cost about $0.0300 (4 bytes a token, answers not counted)" in caplog.text
    unknown = replace(run, config=make_config(str(tmp_path), prices="none"))
    assert log_estimate(unknown, manifest, manifest.shards, 0.0) is None


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
