"""Drift: what the jobs of a run do, compared with what the plan says."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedrock_spark.config import PricesConfig, TokenPrices
from bedrock_spark.costs.paid import Paid, paid_for
from bedrock_spark.costs.tokens import Tokens
from bedrock_spark.fanout import Controller
from bedrock_spark.fanout.meter import JobSums, Meter
from bedrock_spark.pipeline import batch_jobs
from bedrock_spark.pipeline.batch_jobs import take_step
from bedrock_spark.planning.drift import (
    LEAST_RECORDS,
    drift_findings,
    drifts_of,
    drifts_of_run,
    new_drift_findings,
    warning_of_drift,
)
from bedrock_spark.planning.tokens import input_tokens, output_tokens
from bedrock_spark.prices import CallPrices, RunPrices
from bedrock_spark.progress import Progress, ignore_progress
from bedrock_spark.report import Ending, Reporter
from bedrock_spark.report.gather import read_known
from bedrock_spark.run_folder.canary_results import Canary, read_tries
from bedrock_spark.run_folder.manifest import commit_manifest
from tests.modules import ROOT
from tests.unit.fake_run import FakeRun
from tests.unit.fakes import CLAUDE, FakeClock, make_config

PRICE = TokenPrices.model_validate({"input": 0.001, "output": 0.005})
PRICES = RunPrices(batch=PRICE)
CONFIG = make_config()  # at most 40 tokens an answer
# 5 records of 200 bytes, with 50 tokens in and 10 out each.
CANARY = Canary(CLAUDE, 0.0, 5, 5, 0, 1_000, 250, 50)


def sums_of(answered: int, tokens_in: float, tokens_out: float, errors: int = 0) -> JobSums:
    """Return the sums of jobs that have answered records of 200 bytes."""
    counted = Tokens(round(answered * tokens_in), round(answered * tokens_out))
    paid = paid_for(counted, CallPrices(PRICE))
    return JobSums(paid, paid, answered, answered * 200, answered + errors, errors)


def kinds(sums: JobSums, *tries: Canary, **outcomes: int) -> list[str]:
    found = drifts_of(CONFIG, PRICES, sums, tries, outcomes or None)
    return [drift.kind.removeprefix("drift_") for drift in found]


@pytest.mark.parametrize(
    ("sums", "tries", "outcomes", "found"),
    [
        (sums_of(1_000, 50, 10), [CANARY], {}, []),
        (sums_of(1_000, 80, 39), [CANARY], {}, ["cost"]),
        (sums_of(1_000, 20, 1), [CANARY], {}, ["cost"]),
        (sums_of(LEAST_RECORDS - 1, 80, 39), [CANARY], {}, []),
        (sums_of(1_000, 50, 40), [], {}, []),  # not more than request.max_tokens
        (sums_of(1_000, 150, 40), [], {}, ["cost"]),  # not text of 2 to 6 bytes a token
        (sums_of(940, 50, 10, errors=60), [CANARY], {}, ["errors"]),
        (sums_of(950, 50, 10, errors=50), [CANARY], {}, []),
        (sums_of(0, 0, 0, errors=100), [], {}, ["errors"]),
        (sums_of(0, 0, 0, errors=99), [], {}, []),
        (sums_of(800, 50, 10, errors=200), [replace(CANARY, answered=4, refused=1)], {}, []),
        (sums_of(0, 0, 0), [CANARY], {"ok": 900, "truncated": 100}, ["truncated"]),
        (sums_of(0, 0, 0), [CANARY], {"ok": 950, "truncated": 50}, []),
        (sums_of(0, 0, 0), [replace(CANARY, truncated=1)], {"ok": 80, "truncated": 20}, []),
        (sums_of(0, 0, 0), [CANARY], {"ok": 9, "truncated": 90, "waiting": 900}, []),
    ],
)
def test_what_is_not_as_planned(
    sums: JobSums, tries: list[Canary], outcomes: dict[str, int], found: list[str]
) -> None:
    assert kinds(sums, *tries, **outcomes) == found


@given(st.integers(1, 10**9), st.integers(0, 100), st.integers(0, 100))
def test_no_cost_within_the_interval_of_the_plan_is_drift(
    answered: int, part_in: int, part_out: int
) -> None:
    i = input_tokens(answered, answered * 200, None, CANARY)
    o = output_tokens(answered, CONFIG.request, CANARY, None)
    assert i.high is not None
    assert o.high is not None
    used = Tokens(
        i.low + (i.high - i.low) * part_in // 100, o.low + (o.high - o.low) * part_out // 100
    )
    paid = paid_for(used, CallPrices(PRICE))
    assert kinds(JobSums(paid, paid, answered, answered * 200, answered), CANARY) == []


def test_jobs_of_a_cheaper_target_are_compared_with_what_was_planned_for_it() -> None:
    """The dollars are those that were paid, at half of the highest price of the targets."""
    used = Tokens(500_000, 10_000)
    half = Paid(used, used.cost(PRICE) / 2)
    (drift,) = drifts_of(CONFIG, PRICES, JobSums(half, half, 1_000, 200_000, 1_000), [CANARY])
    assert "1,000 answers of batch jobs have cost $0.2750; at most $" in drift.text
    whole = Paid(used, used.cost(PRICE))
    (same,) = drifts_of(CONFIG, PRICES, JobSums(whole, whole, 1_000, 200_000, 1_000), [CANARY])
    planned = [
        Decimal(found[1])
        for text in (drift.text, same.text)
        if (found := re.search(r"at most \$([\d.]+) was planned", text))
    ]
    assert planned[0] * 2 == pytest.approx(planned[1], abs=Decimal("0.0002"))
    unknown = Paid(used, unpriced=1)
    sums = JobSums(unknown, unknown, 1_000, 200_000, 1_000)
    assert list(drifts_of(CONFIG, PRICES, sums, [CANARY])) == []


def test_without_a_price_there_is_no_cost() -> None:
    assert list(drifts_of(CONFIG, RunPrices(), sums_of(1_000, 500, 40), [CANARY])) == []


def test_a_drift_says_both_numbers_in_words() -> None:
    (cost,) = drifts_of(CONFIG, PRICES, sums_of(1_000, 80, 39), [CANARY])
    assert cost.text == (
        "1,000 answers of batch jobs have cost $0.2750; at most $0.1809 was planned (as the canary "
        "had). An answer took 80 input and 39 output tokens"
    )
    (errors,) = drifts_of(CONFIG, PRICES, sums_of(880, 50, 10, errors=120), [CANARY])
    assert errors.text == (
        "12.0% of 1,000 records of batch jobs that are over have no answer; of the canary's "
        "records it was 0.0%, and 5 points more are allowed for"
    )
    page = (ROOT / "docs" / "operate.md").read_text("utf-8")
    assert f"WARNING not as planned: {errors.text}\n" in page
    (cut,) = drifts_of(CONFIG, PRICES, JobSums(), [], {"ok": 150, "truncated": 50})
    assert cut.text == (
        "25.0% of 200 rows that were asked have an answer that is cut off or empty; none was "
        "planned, and 5% is allowed for"
    )


def bad_run(folder: Path) -> FakeRun:
    """Return a run whose only job has answered 60 of its 200 records."""
    fake = FakeRun(folder, [200])
    prices = PricesConfig(batch=PRICE)
    fake.run = replace(fake.run, config=fake.run.config.model_copy(update={"prices": prices}))
    commit_manifest(fake.run.storage, fake.manifest)
    fake.restart()
    fake.advance()
    fake.service.move_all("Completed", processed=200, succeeded=60, failed=140)
    fake.advance()
    fake.controller.flush()
    return fake


def test_progress_warns_once_of_each_kind(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fake = bad_run(tmp_path)
    seen: list[Progress] = []
    observe = warning_of_drift(fake.run, Meter(fake.controller), seen.append)
    with caplog.at_level(logging.WARNING):
        for done in (1, 2):
            observe(Progress("batch", done, 2))
    (record,) = caplog.records
    assert record.getMessage().startswith("not as planned: 70.0% of 200 records")
    assert len(seen) == 2


def test_commands_that_a_scheduler_repeats_warn_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each is a process of its own: the last report says what was told."""
    run = bad_run(tmp_path).run
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            report = Reporter(FakeClock(), look=new_drift_findings).write(run, Ending())
            assert [f["kind"] for f in report.findings if "drift" in f["kind"]] == ["drift_errors"]
    (record,) = caplog.records
    assert record.getMessage().startswith("not as planned: 70.0% of 200 records")


@pytest.mark.parametrize("is_observed", [True, False])
def test_a_step_that_nobody_watches_adds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_observed: bool
) -> None:
    """The sums over all jobs are for the screen and the metrics."""
    fake, made, seen = bad_run(tmp_path), list[Controller](), list[Progress]()

    def new_meter(controller: Controller) -> Meter:
        made.append(controller)
        return Meter(controller)

    monkeypatch.setattr(batch_jobs, "Meter", new_meter)
    take_step(fake.run, fake.controller, seen.append if is_observed else ignore_progress)
    assert (len(made), len(seen)) == ((1, 1) if is_observed else (0, 0))


def test_the_report_has_a_finding_that_later_reports_find_again_or_not(tmp_path: Path) -> None:
    """It is of the moment: the jobs that follow may make it untrue."""
    run = bad_run(tmp_path).run
    (finding,) = [
        f for f in Reporter(FakeClock(), look=drift_findings).write(run, Ending()).findings
        if f["kind"].startswith("drift")
    ]  # fmt: skip
    assert (finding["kind"], finding["count"]) == ("drift_errors", 140)
    again = Reporter(FakeClock(), look=drift_findings).write(run, Ending()).findings
    assert [f["kind"] for f in again if f["kind"].startswith("drift")] == ["drift_errors"]
    without: list[dict[str, Any]] = Reporter(FakeClock()).write(run, Ending()).findings
    assert not [f for f in without if f["kind"].startswith("drift")]


def test_all_jobs_at_once_and_step_by_step_are_the_same(tmp_path: Path) -> None:
    """The report and status add up all jobs, progress what has changed."""
    fake = bad_run(tmp_path)
    known = read_known(fake.run)
    tries = read_tries(fake.run.storage)
    steps = drifts_of(fake.run.config, fake.run.prices, Meter(fake.controller).sums(), tries)
    assert drifts_of_run(fake.run, fake.manifest, known.state.jobs, tries) == list(steps)
