"""The numbers of a fan-out while it goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bedrock_spark.aws.batch_jobs import SeenJob
from bedrock_spark.config import BudgetConfig, PricesConfig
from bedrock_spark.costs.tokens import Tokens
from bedrock_spark.fanout import watch
from bedrock_spark.fanout.meter import JobSums, Meter
from bedrock_spark.prices import RunPrices
from bedrock_spark.progress import Counts, Progress
from bedrock_spark.run_folder import layout
from bedrock_spark.run_folder.ledger import Job, JobTokens, KnownJobs, RunningSum
from bedrock_spark.run_folder.manifest import Shard
from bedrock_spark.screen.text import money_text, slots_text
from tests.unit.fake_run import RUN_ID, FakeRun
from tests.unit.fakes import report_json

PRICES = PricesConfig.model_validate({"batch": {"input": 0.001, "output": 0.002}})


def priced_run(folder: Path, records: list[int], budget: Decimal | None = None) -> FakeRun:
    fake = FakeRun(folder, records, max_active_jobs=2)
    changed = {"prices": PRICES, "budget": BudgetConfig(max_cost_usd=budget)}
    fake.run = replace(fake.run, config=fake.run.config.model_copy(update=changed))
    fake.restart()
    return fake


def observed(fake: FakeRun, steps: Iterator[None]) -> list[Counts]:
    seen: list[Counts] = []

    def observe(progress: Progress) -> None:
        assert progress.counts is not None
        seen.append(progress.counts)
        next(steps, None)

    watch(fake.controller, observe)
    return seen


def test_slots_money_and_errors_are_those_of_the_jobs(tmp_path: Path) -> None:
    """Two of three jobs run at once; the first leaves five of its records without an answer."""
    fake = priced_run(tmp_path, [50, 50, 50], Decimal(5))

    def steps() -> Iterator[None]:
        first = fake.job_name(0)
        fake.service.move(first, "Completed", processed=50, succeeded=45, failed=5)
        yield
        fake.service.move_all("Completed", processed=50, succeeded=50, failed=0)
        yield
        fake.service.move_all("Completed", processed=50, succeeded=50, failed=0)

    counts = observed(fake, steps())
    assert (counts[0].slots_used, counts[0].slots, counts[0].budget_usd) == (2, 2, 5.0)
    assert (counts[0].cost_usd, counts[0].ended, counts[0].errors) == (0.0, 0, 0)
    assert [(c.ended, c.errors) for c in counts[1:3]] == [(50, 5), (150, 5)]
    assert (counts[-1].settled, counts[-1].active, counts[-1].slots_used) == (3, 0, 0)
    costs = [c.cost_usd or 0.0 for c in counts]
    assert costs == sorted(costs)
    assert costs[-1] > 0


def test_without_prices_there_is_no_money(tmp_path: Path) -> None:
    fake = FakeRun(tmp_path, [50])
    vars(fake.run)["prices"] = RunPrices()  # the cached property
    fake.advance()
    meter = Meter(fake.controller)
    assert meter.counts(fake.controller.result()).cost_usd is None


def test_money_of_an_earlier_fallback_counts(tmp_path: Path) -> None:
    fake = priced_run(tmp_path, [50])
    fallback = {"fallback": {"input": 1.0, "output": 1.0}, "batch": {"input": 1.0, "output": 1.0}}
    prices = PricesConfig.model_validate(fallback)
    fake.run = replace(fake.run, config=fake.run.config.model_copy(update={"prices": prices}))
    use = {"model_id": "m", "tier": "standard", "answers": 3, "cost_usd": None}
    use["tokens"] = {"input": 1000, "output": 2000}
    report = report_json(run_id=RUN_ID, fallback_models=[use])
    fake.run.storage.write(layout.REPORT_FILE, json.dumps(report).encode())
    fake.restart()
    fake.advance()
    assert Meter(fake.controller).counts(fake.controller.result()).cost_usd == 3.0


STATUS = st.sampled_from(["InProgress", "Completed", "PartiallyCompleted", "Failed", "Stopped"])
COUNT = st.one_of(st.none(), st.integers(0, 50))
TOKENS = st.one_of(st.none(), st.builds(JobTokens, st.integers(0, 900), st.integers(0, 900)))


@given(st.lists(st.tuples(st.integers(0, 3), STATUS, COUNT, COUNT, TOKENS), max_size=20))
@settings(max_examples=50)
def test_sums_of_changes_are_the_sums_of_all(steps: list[tuple[Any, ...]]) -> None:
    """However jobs change, and however often they are looked at."""
    jobs = KnownJobs()
    running = meter_of(jobs)
    for number, status, processed, succeeded, tokens in steps:
        name = f"j{number}"
        seen = SeenJob(f"arn/{name}", name, "t", status, None, 50, processed, succeeded)
        jobs.put(Job(f"shard-{number:05d}-00", 1, name, "t", seen, tokens=tokens))
        assert running.sums() == meter_of(KnownJobs(jobs.values())).sums()
    assert meter_of(KnownJobs()).sums() == JobSums()


def meter_of(jobs: KnownJobs) -> Meter:
    meter = Meter.__new__(Meter)
    shard = Shard("shard-00000-00", 50, 5_000, "0" * 64)
    fake = SimpleNamespace(jobs=jobs, shard=lambda shard_id: shard)
    meter._controller = fake  # type: ignore[assignment]
    meter._estimate = lambda shard, records: Tokens()
    meter._run = SimpleNamespace(prices=RunPrices())  # type: ignore[assignment]
    meter._sums = RunningSum(meter._part_of, JobSums())
    return meter


@pytest.mark.parametrize(
    ("counts", "slots", "money"),
    [
        (None, "", ""),
        (Counts(), "", ""),
        (Counts(slots_used=4, slots=20), "4 of 20 slots used", ""),
        (Counts(cost_usd=0.0, budget_usd=5.0), "", "$0.00 of $5.00 spent"),
        (Counts(cost_usd=0.0123), "", "$0.0123 spent"),
        (Counts(cost_usd=0.0, budget_usd=0.002), "", "$0.00 of $0.0020 spent"),
        (Counts(cost_usd=1234.5, budget_usd=2000), "", "$1,234.50 of $2,000.00 spent"),
    ],
)
def test_counts_in_words(counts: Counts | None, slots: str, money: str) -> None:
    assert (slots_text(counts), money_text(counts)) == (slots, money)
