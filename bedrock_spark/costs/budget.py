"""The budget: what was spent, what active jobs will cost, and whether one more job fits.

Spent is the cost of the tokens and images in output manifests, in the canary's file and in the
fallback's answers, and of model units x hours. Processed records that nothing counted are
estimated. Active jobs count with their expected cost; as jobs complete, their real cost corrects
the expectation for the others. This is an estimate, not the bill: it knows no taxes, discounts or
changed prices.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from operator import add, sub

from bedrock_spark.aws.batch_jobs import COMPLETED
from bedrock_spark.config import TokenPrices
from bedrock_spark.costs.fallback_paid import FallbackPaid, check_paid, fallback_paid
from bedrock_spark.costs.paid import (
    Paid,
    batch_paid,
    canary_paid,
    check_priced,
    job_paid,
    place_of,
)
from bedrock_spark.costs.spent import spent
from bedrock_spark.costs.tokens import Expected, Tokens, by_field, dollars, total
from bedrock_spark.costs.used import (
    check_prices,
    counted_use,
    estimate_by,
    expected_of,
)
from bedrock_spark.errors import BudgetError
from bedrock_spark.prices import CallPrices, RunPrices
from bedrock_spark.run_folder.canary_results import read_tries
from bedrock_spark.run_folder.job_plan import JobPlan
from bedrock_spark.run_folder.ledger import Job, KnownJobs, RunningSum
from bedrock_spark.run_folder.manifest import RunManifest, Shard
from bedrock_spark.run_folder.model_use import ModelUse
from bedrock_spark.run_folder.purchases import PurchaseNote, read_purchases, unit_hours
from bedrock_spark.run_folder.run import Run

log = logging.getLogger(__name__)

_HOUR_SECONDS = 3600.0


@dataclass(frozen=True)
class _Tally:
    """The dollars of one job, or of all jobs, each by the price of its own model and Region.

    used: counted by output manifests, or estimated for processed records without a count
    active: expected of active jobs; longer: what raised limits may add to that, at most
    completed, expected: counted of completed jobs, and expected of the same jobs
    """

    used: Paid = field(default_factory=Paid)
    active: Decimal = Decimal()
    longer: Decimal = Decimal()
    completed: Decimal = Decimal()
    expected: Decimal = Decimal()

    def __add__(self, other: _Tally) -> _Tally:
        return by_field(add, self, other)

    def __sub__(self, other: _Tally) -> _Tally:
        return by_field(sub, self, other)


@dataclass
class Budget:
    """A submit policy: allows jobs while their expected cost fits the budget.

    limit: dollars that the run may cost
    shards: the shards that batch jobs take, by id
    canary: what it used and cost
    fallback: returns what the fallback has cost. That is in one object per shard, so it is read
        only when a cost is computed
    jobs: every job of the run by name, when the budget was opened
    purchases: the model units that were bought, or may have been; model_units: how many the
        fallback will buy, None if none; now: the time when the budget was opened
    """

    limit: Decimal
    prices: RunPrices
    expected: Expected
    shards: Mapping[str, Shard]
    canary: Paid
    jobs: Mapping[str, Job] = field(default_factory=dict)
    fallback: Callable[[], FallbackPaid] = FallbackPaid
    purchases: tuple[PurchaseNote, ...] = ()
    model_units: int | None = None
    now: float = 0.0
    _granted: dict[str, Decimal] = field(default_factory=dict)
    _expected_tokens: dict[tuple[str, int | None], Tokens] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin the sum over the jobs."""
        self._sum = RunningSum(self._tally_of, _Tally())

    def allows(self, plan: JobPlan, records: int, jobs: KnownJobs) -> str | None:
        """Return None if a job of `records` records fits the budget, or else what to do.

        jobs: every job of the run by name, as it is known now
        A job that was allowed counts as active from then on.
        """
        tally = self._tally(jobs, plan.job_name)
        correction = self._correction(tally)
        price = self.prices.of_batch(place_of(plan))
        cost = _cost(self._tokens_of(plan.shard_id, records), price) * correction
        cost += _cost(Tokens(output=plan.longer), price)
        active = tally.active * correction + tally.longer
        active += self._granted_to_others(jobs, plan.job_name)
        used = self._spent(tally.used)
        if used + active + cost > self.limit:
            self._granted.pop(plan.job_name, None)
            return (
                f"of budget.max_cost_usd {dollars(self.limit)}, {dollars(used)} are spent and "
                f"{dollars(active)} expected of active jobs; the next job would cost about "
                f"{dollars(cost)}. To go on, raise it and run the same command"
            )
        self._granted[plan.job_name] = cost
        return None

    def spent(self) -> Decimal:
        """Return the dollars that were spent when the budget was opened, as far as is known."""
        return self._spent(batch_paid(self.jobs.values(), self._tokens_of, self.prices))

    def check_estimate(self, manifest: RunManifest) -> Decimal:
        """Return the expected cost of the whole run, before its first job is submitted.

        The fallback is included as far as it is certain: for shards that are too small for a job,
        with the model units of an hour if they are bought.
        Raises BudgetError if it is above the limit.
        """
        small = [s for s in manifest.shards if s.shard_id not in self.shards]
        cost = self.spent() + self._cost_of(self.shards.values(), self.prices.batch)
        cost += self._cost_of(small, self.prices.fallback)
        if small:
            cost += self._first_hour()
        about = f"the run will cost about {dollars(cost)} ({self.expected.how})"
        if cost > self.limit:
            raise BudgetError(
                f"{about}, which is above budget.max_cost_usd {dollars(self.limit)}; nothing was "
                "submitted. Raise it, or begin a run of fewer rows or shorter answers"
            )
        log.info("%s: %s", manifest.run_id, about)
        return cost

    def affordable_fallback(self, manifest: RunManifest, records: int, longer: int = 0) -> int:
        """Return how many of `records` records the rest of the budget can pay the fallback for.

        longer: the output tokens that some of them may use because their limits were raised
        """
        cost = self._fallback_cost(manifest, records, longer)
        if not cost:
            return records
        left = max(Decimal(), self.limit - self.spent() - self._first_hour())
        return min(records, int(left * records / cost))

    def fallback_refusal(self, manifest: RunManifest, records: int, longer: int = 0) -> str:
        """Return why `records` records are not asked, and what to do."""
        cost = self._fallback_cost(manifest, records, longer)
        return (
            f"of budget.max_cost_usd {dollars(self.limit)}, {dollars(self.spent())} are spent; the "
            f"fallback would cost about {dollars(cost)} for "
            f"{records:,} more records. To go on, raise it and run the same command; to do "
            "without, collect"
        )

    def units_until(self) -> float | None:
        """Return until when the budget pays for the fallback's model units, None without a bound.

        They are those that are bought, or those that are to be bought now. They cost by the
        started hour.
        """
        note = next((note for note in self.purchases if note.may_bill), None)
        units = note.model_units if note else self.model_units
        per_hour = (self.prices.model_unit_hour or Decimal()) * (units or 0)
        if not per_hour:
            return None
        own = self._units_cost([note] if note else [])
        hours = int(max(Decimal(), self.limit - self.spent() + own) / per_hour)
        return (note.bought_at if note else self.now) + hours * _HOUR_SECONDS

    def units_refusal(self) -> str:
        """Return why model units are not bought, or not kept any longer, and what to do."""
        return (
            f"of budget.max_cost_usd {dollars(self.limit)}, {dollars(self.spent())} are spent, and "
            "the rest does not pay for one more hour of the fallback's model units. To go on, "
            "raise it and run the same command. To end the run without the rest, run bedrock-spark "
            "collect"
        )

    def _first_hour(self) -> Decimal:
        """Return the cost of an hour of the model units that will be bought, if any will be."""
        is_bought = any(note.may_bill for note in self.purchases)
        if is_bought or self.model_units is None:
            return Decimal()
        return self.model_units * (self.prices.model_unit_hour or Decimal())

    def _units_cost(self, purchases: Iterable[PurchaseNote]) -> Decimal:
        hours = unit_hours(purchases, self.now)
        return hours * (self.prices.model_unit_hour or Decimal())

    def _fallback_cost(self, manifest: RunManifest, records: int, longer: int = 0) -> Decimal:
        whole = self._cost_of(manifest.shards, self.prices.fallback)
        mean = whole * records / max(1, manifest.records)
        return mean + Tokens(output=longer).cost(self.prices.fallback)

    def _spent(self, batch: Paid) -> Decimal:
        hours = unit_hours(self.purchases, self.now)
        batch, canary = check_priced(batch, "a batch job"), check_priced(self.canary, "the canary")
        return spent(self.prices, batch, self.fallback(), canary, hours).total

    def _tally(self, jobs: KnownJobs, but: str) -> _Tally:
        """Add up the tokens of all jobs; the job named `but` does not count as active."""
        tally, same = self._sum.over(jobs), self._sum.part_of(but)
        return tally - _Tally(active=same.active, longer=same.longer)

    def _tally_of(self, job: Job) -> _Tally:
        price = self.prices.of_batch(place_of(job))
        used = job_paid(job, self._tokens_of, self.prices)
        expected = _cost(self._tokens_of(job.shard_id, job.records), price)
        if not job.is_settled:
            longer = _cost(Tokens(output=job.longer), price)
            return _Tally(used, active=expected, longer=longer)
        counted = counted_use(job)
        # Records with raised limits say nothing about the others.
        is_measure = _is_complete(job) and not job.longer
        if counted is None or counted == Tokens() or not is_measure:
            return _Tally(used)
        return _Tally(used, completed=_cost(counted, price), expected=expected)

    def _granted_to_others(self, jobs: Mapping[str, Job], but: str) -> Decimal:
        """Return the expected cost of jobs that were allowed and are not in `jobs` yet."""
        # `keys() & keys()` would walk over all jobs of the run, for every job that is asked for.
        for name in [name for name in self._granted if name in jobs]:
            del self._granted[name]
        return sum((c for name, c in self._granted.items() if name != but), Decimal())

    def _correction(self, tally: _Tally) -> Decimal:
        """Return the real cost of completed jobs divided by their expected cost."""
        return tally.completed / tally.expected if tally.expected else Decimal(1)

    def _tokens_of(self, shard_id: str, records: int | None) -> Tokens:
        """Return what records of a shard are expected to use. It is cached: it never changes."""
        key = shard_id, records
        tokens = self._expected_tokens.get(key)
        if tokens is None:
            shards = [self.shards[shard_id]] if shard_id in self.shards else []
            tokens = estimate_by(self.expected, shards)(shard_id, records)
            self._expected_tokens[key] = tokens
        return tokens

    def _cost_of(self, shards: Iterable[Shard], prices: TokenPrices | None) -> Decimal:
        tokens = total(self.expected.tokens(s.bytes, s.records) for s in shards)
        return tokens.cost(prices, self.prices.image)


def open_budget(
    run: Run,
    manifest: RunManifest,
    shards: Iterable[Shard],
    now: float,
    jobs: Mapping[str, Job] | None = None,
    fallback: Iterable[Iterable[ModelUse]] = (),
) -> Budget | None:
    """Return the budget of a run, or None if the config has no limit.

    shards: the shards that batch jobs take
    jobs: every job of the run by name, as far as there are any
    fallback: `fallback_models` of every collected shard
    Raises ConfigError if something that can be asked has no price. The budget raises it when it
    computes a cost if the fallback has answers of a model whose price is not known.
    """
    limit = run.config.budget.max_cost_usd
    if limit is None:
        return None
    check_prices(run.config, run.prices)
    return _budget(run, manifest, shards, now, limit, jobs or {}, fallback)


def log_estimate(
    run: Run, manifest: RunManifest, shards: Iterable[Shard], now: float
) -> Decimal | None:
    """Log and return the expected cost of a run without a limit; None without its prices."""
    prices = run.prices
    if prices.batch is None and prices.image is None:
        return None
    budget = _budget(run, manifest, shards, now, Decimal("Infinity"), {}, ())
    return budget.check_estimate(manifest)


def _budget(
    run: Run,
    manifest: RunManifest,
    shards: Iterable[Shard],
    now: float,
    limit: Decimal,
    jobs: Mapping[str, Job],
    fallback: Iterable[Iterable[ModelUse]],
) -> Budget:
    config = run.config
    tries = read_tries(run.storage)
    expected = expected_of(config, run.prices, tries)
    create = config.fallback.create if config.fallback is not None else None
    return Budget(
        limit=limit,
        prices=run.prices,
        expected=expected,
        shards={shard.shard_id: shard for shard in shards},
        canary=canary_paid(tries, expected, run.prices),
        jobs=jobs,
        fallback=cache(lambda: check_paid(fallback_paid(fallback, run.prices, expected, manifest))),
        purchases=read_purchases(run.storage),
        model_units=create.model_units if create is not None else None,
        now=now,
    )


def _cost(tokens: Tokens, prices: CallPrices) -> Decimal:
    """Return the dollars of some tokens. A price that is missing is an error of `check_priced`."""
    return tokens.cost(prices.tokens, prices.image)


def _is_complete(job: Job) -> bool:
    return job.seen is not None and job.seen.status == COMPLETED
