"""The numbers of a fan-out while it goes on: slots, tokens, records without an answer, money.

A step costs what has changed in it, not the size of the run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from operator import add, sub

from bedrock_spark.costs.fallback_paid import FallbackPaid, fallback_paid
from bedrock_spark.costs.paid import Paid, canary_paid, job_paid, paid_for, place_of
from bedrock_spark.costs.spent import spent
from bedrock_spark.costs.tokens import Tokens, by_field
from bedrock_spark.costs.used import (
    Estimate,
    counted_use,
    estimate_by,
    expected_of,
)
from bedrock_spark.fanout.controller import Controller
from bedrock_spark.fanout.step_result import StepResult
from bedrock_spark.prices import RunPrices
from bedrock_spark.progress import Counts
from bedrock_spark.run_folder.canary_results import read_tries
from bedrock_spark.run_folder.ledger import Job, RunningSum
from bedrock_spark.run_folder.manifest import Shard
from bedrock_spark.run_folder.model_use import uses_of_json
from bedrock_spark.run_folder.purchases import PurchaseNote, read_purchases, unit_hours
from bedrock_spark.run_folder.report_file import read_report


@dataclass(frozen=True)
class JobSums:
    """Sums over jobs.

    paid: what they used and cost: counted, or estimated for processed records without a count
    counted: of settled jobs whose manifest counts their tokens; answered: the answers of these;
        line_bytes: of the records of these answers, in their shards
    ended: the records that settled jobs have processed; errors: those of them without an answer
    """

    paid: Paid = field(default_factory=Paid)
    counted: Paid = field(default_factory=Paid)
    answered: int = 0
    line_bytes: int = 0
    ended: int = 0
    errors: int = 0

    def __add__(self, other: JobSums) -> JobSums:
        return by_field(add, self, other)

    def __sub__(self, other: JobSums) -> JobSums:
        return by_field(sub, self, other)


def sums_of_job(job: Job, estimate: Estimate, prices: RunPrices, shard: Shard | None) -> JobSums:
    """Return what a single job adds to the sums. shard: its own; None if it is not known."""
    paid, seen = job_paid(job, estimate, prices), job.seen
    if seen is None or not job.is_settled:
        return JobSums(paid)
    ended = seen.processed or 0
    errors = 0 if seen.succeeded is None else max(0, ended - seen.succeeded)
    counted = counted_use(job)
    if counted is None or not seen.succeeded or shard is None or job.longer:
        # Records with raised limits say nothing about the others.
        return JobSums(paid, ended=ended, errors=errors)
    line_bytes = round(shard.bytes * seen.succeeded / max(1, shard.records))
    tokens = Tokens(counted.input, counted.output)  # images are as many as were asked for
    of_answers = paid_for(tokens, prices.of_batch(place_of(job)))
    return JobSums(paid, of_answers, seen.succeeded, line_bytes, ended, errors)


class Meter:
    """Reads the numbers of a run's batch jobs from its controller, step by step.

    tries: of the run's canary
    """

    def __init__(self, controller: Controller) -> None:
        run = controller.run
        self._controller = controller
        self._run = run
        self.tries = read_tries(run.storage)
        self._expected = expected_of(run.config, run.prices, self.tries)
        self._estimate = estimate_by(self._expected, controller.tracker.shards.in_order())
        self._sums = RunningSum(self._part_of, JobSums())

    def sums(self) -> JobSums:
        """Return the sums over all jobs, as the controller knows them now."""
        return self._sums.over(self._controller.jobs)

    def _part_of(self, job: Job) -> JobSums:
        shard = self._controller.shard(job.shard_id)
        return sums_of_job(job, self._estimate, self._run.prices, shard)

    def counts(self, result: StepResult) -> Counts:
        """Return the numbers after a step."""
        sums, targets = self.sums(), self._controller.targets
        budget = self._run.config.budget.max_cost_usd
        return Counts(
            shards=result.shards,
            settled=result.settled,
            active=result.active,
            waiting=result.waiting,
            slots_used=result.active + sum(target.slots.others for target in targets),
            slots=sum(target.slots.cap for target in targets),
            input_tokens=sums.paid.tokens.input,
            output_tokens=sums.paid.tokens.output,
            ended=sums.ended,
            errors=sums.errors,
            cost_usd=self._cost(sums.paid),
            budget_usd=None if budget is None else float(budget),
        )

    def _cost(self, batch: Paid) -> float | None:
        prices = self._run.prices
        if prices.batch is None and prices.image is None:
            return None
        hours = unit_hours(self._purchases, self._controller.clock.now())
        canary = canary_paid(self.tries, self._expected, prices)
        if self._fallback.unpriced or batch.unpriced or canary.unpriced:
            return None
        total: Decimal = spent(prices, batch, self._fallback, canary, hours).total
        return float(total)

    @cached_property
    def _purchases(self) -> tuple[PurchaseNote, ...]:
        return read_purchases(self._run.storage)

    @cached_property
    def _fallback(self) -> FallbackPaid:
        """Return what earlier rounds of the fallback cost, by the last report."""
        report = read_report(self._run.storage, self._run.run_id) or {}
        uses = uses_of_json(report.get("fallback_models") or [])
        prices, manifest = self._run.prices, self._controller.manifest
        return fallback_paid([uses], prices, self._expected, manifest)
