"""The budget: what was spent, what active jobs will cost, and whether one more job fits.

Spent is the cost of the tokens in output manifests, in the canary's file and in the fallback's
answers. Active jobs count with their expected cost; as jobs complete, their real cost corrects the
expectation for the others. This is an estimate, not the bill: it knows no taxes, discounts or
changed prices.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from bedrock_spark.aws.batch_jobs import COMPLETED
from bedrock_spark.config import Config, PricesConfig, TokenPrices
from bedrock_spark.costs.tokens import Expected, Sample, Tokens, dollars, expect, spent, total
from bedrock_spark.errors import BudgetError
from bedrock_spark.run_folder.canary_results import Canary, read_tries
from bedrock_spark.run_folder.job_plan import JobPlan
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.manifest import RunManifest, Shard
from bedrock_spark.run_folder.run import Run

log = logging.getLogger(__name__)


def canary_tokens(tries: Sequence[Canary]) -> Tokens:
    """Return the tokens of all tries of the canary."""
    return total(Tokens(one.input_tokens, one.output_tokens) for one in tries)


def batch_tokens(jobs: Iterable[Job]) -> Tokens:
    """Return the tokens in the output manifests of settled jobs."""
    return _sum(job.tokens for job in jobs if job.tokens is not None)


def expected_of(config: Config, tries: Sequence[Canary]) -> Expected:
    """Return the expected tokens per record, measured by the last try of the canary."""
    last = tries[-1] if tries else None
    if last is None or not last.answered:
        return expect(config.request, None)
    tokens = Tokens(last.input_tokens, last.output_tokens)
    return expect(config.request, Sample(last.answered, last.line_bytes, tokens))


def fallback_tokens(counts: Iterable[Mapping[str, int]]) -> Tokens:
    """Add up the tokens of the fallback: `input` and `output` of every collected shard."""
    return total(Tokens(count.get("input", 0), count.get("output", 0)) for count in counts)


@dataclass(frozen=True)
class _Tally:
    """The tokens of all jobs, from one walk over them.

    used: by output manifests
    active: expected of active jobs
    completed, expected: used by completed jobs, and expected of the same jobs
    """

    used: Tokens
    active: Tokens
    completed: Tokens
    expected: Tokens


@dataclass
class Budget:
    """A submit policy: allows jobs while their expected cost fits the budget.

    limit: dollars that the run may cost
    shards: the shards that batch jobs take, by id
    canary, fallback: tokens that were used there
    jobs: every job of the run by name, when the budget was opened
    """

    limit: Decimal
    prices: PricesConfig
    expected: Expected
    shards: Mapping[str, Shard]
    canary: Tokens
    jobs: Mapping[str, Job] = field(default_factory=dict)
    fallback: Tokens = field(default_factory=Tokens)
    _granted: dict[str, Decimal] = field(default_factory=dict)
    _expected_tokens: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)

    def allows(self, plan: JobPlan, records: int, jobs: Mapping[str, Job]) -> str | None:
        """Return None if a job of `records` records fits the budget, or else what to do.

        jobs: every job of the run by name, as it is known now
        A job that was allowed counts as active from then on.
        """
        tally = self._tally(jobs.values(), plan.job_name)
        correction = self._correction(tally)
        own = Tokens(*self._tokens_of(plan.shard_id, records))
        cost = own.cost(self._batch_prices) * correction
        active = tally.active.cost(self._batch_prices) * correction
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
        return self._spent(batch_tokens(self.jobs.values()))

    def check_estimate(self, manifest: RunManifest) -> Decimal:
        """Return the expected cost of the whole run, before its first job is submitted.

        The fallback for records that batch jobs leave unanswered is not included.
        Raises BudgetError if it is above the limit.
        """
        small = [s for s in manifest.shards if s.shard_id not in self.shards]
        cost = self.spent() + self._cost_of(self.shards.values(), self._batch_prices)
        if self.prices.fallback is not None:
            cost += self._cost_of(small, self.prices.fallback)
        about = f"the run will cost about {dollars(cost)} ({self.expected.how})"
        if cost > self.limit:
            raise BudgetError(
                f"{about}, which is above budget.max_cost_usd {dollars(self.limit)}; nothing was "
                "submitted. Raise it, or begin a run of fewer rows or shorter answers"
            )
        log.info("%s: %s", manifest.run_id, about)
        return cost

    def affordable_fallback(self, manifest: RunManifest, records: int) -> int:
        """Return how many of `records` records the rest of the budget can pay the fallback for."""
        cost = self._fallback_cost(manifest, records)
        if not cost:
            return records
        left = max(Decimal(), self.limit - self.spent())
        return min(records, int(left * records / cost))

    def fallback_refusal(self, manifest: RunManifest, records: int) -> str:
        """Return why `records` records are not asked, and what to do."""
        return (
            f"of budget.max_cost_usd {dollars(self.limit)}, {dollars(self.spent())} are spent; the "
            f"fallback would cost about {dollars(self._fallback_cost(manifest, records))} for "
            f"{records:,} more records. To go on, raise it and run the same command; to do "
            "without, collect"
        )

    def _fallback_cost(self, manifest: RunManifest, records: int) -> Decimal:
        if self.prices.fallback is None:
            return Decimal()
        whole = self._cost_of(manifest.shards, self.prices.fallback)
        return whole * records / max(1, manifest.records)

    @property
    def _batch_prices(self) -> TokenPrices:
        assert self.prices.batch is not None  # the config's own rule
        return self.prices.batch

    def _spent(self, batch: Tokens) -> Decimal:
        return spent(self.prices, batch, self.fallback, self.canary).total

    def _tally(self, jobs: Iterable[Job], but: str) -> _Tally:
        """Add up the tokens of all jobs; the job named `but` does not count as active."""
        used, active, completed, expected = [], [], [], []
        for job in jobs:
            if job.tokens is not None:
                used.append(job.tokens)
            if _is_open(job):
                if job.job_name != but:
                    active.append(self._expected_of(job))
            elif job.tokens is not None and any(job.tokens) and _is_complete(job):
                completed.append(job.tokens)
                expected.append(self._expected_of(job))
        return _Tally(_sum(used), _sum(active), _sum(completed), _sum(expected))

    def _granted_to_others(self, jobs: Mapping[str, Job], but: str) -> Decimal:
        """Return the expected cost of jobs that were allowed and are not in `jobs` yet."""
        for name in self._granted.keys() & jobs.keys():
            del self._granted[name]
        return sum((c for name, c in self._granted.items() if name != but), Decimal())

    def _correction(self, tally: _Tally) -> Decimal:
        """Return the real cost of completed jobs divided by their expected cost."""
        expected = tally.expected.cost(self._batch_prices)
        return tally.completed.cost(self._batch_prices) / expected if expected else Decimal(1)

    def _expected_of(self, job: Job) -> tuple[int, int]:
        shard = self.shards.get(job.shard_id)
        records = job.records or (shard.records if shard else 0)
        return self._tokens_of(job.shard_id, records)

    def _tokens_of(self, shard_id: str, records: int) -> tuple[int, int]:
        """Return the expected tokens, in and out, of a job. They are cached: they never change."""
        key = shard_id, records
        tokens = self._expected_tokens.get(key)
        if tokens is None:
            tokens = self._expected_tokens[key] = self._estimate_tokens(shard_id, records)
        return tokens

    def _estimate_tokens(self, shard_id: str, records: int) -> tuple[int, int]:
        shard = self.shards.get(shard_id)
        if shard is None or not shard.records:
            return 0, 0
        tokens = self.expected.tokens(shard.bytes * records / shard.records, records)
        return tokens.input, tokens.output

    def _cost_of(self, shards: Iterable[Shard], prices: TokenPrices) -> Decimal:
        return total(self.expected.tokens(s.bytes, s.records) for s in shards).cost(prices)


def open_budget(
    run: Run,
    shards: Iterable[Shard],
    jobs: Mapping[str, Job] | None = None,
    fallback: Tokens | None = None,
) -> Budget | None:
    """Return the budget of a run, or None if the config has no limit.

    shards: the shards that batch jobs take
    jobs: every job of the run by name, as far as there are any; fallback: its tokens so far
    """
    config = run.config
    if config.budget.max_cost_usd is None:
        return None
    tries = read_tries(run.storage)
    return Budget(
        limit=config.budget.max_cost_usd,
        prices=config.prices,
        expected=expected_of(config, tries),
        shards={shard.shard_id: shard for shard in shards},
        canary=canary_tokens(tries),
        jobs=jobs or {},
        fallback=fallback or Tokens(),
    )


def _sum(pairs: Iterable[tuple[int, int]]) -> Tokens:
    """Add up tokens in and out."""
    inputs, outputs = 0, 0
    for more_in, more_out in pairs:
        inputs += more_in
        outputs += more_out
    return Tokens(inputs, outputs)


def _is_open(job: Job) -> bool:
    """Tell whether a job may cost more than is known: it is active, or has no manifest yet."""
    return not job.is_settled or (job.tokens is None and _is_complete(job))


def _is_complete(job: Job) -> bool:
    return job.seen is not None and job.seen.status == COMPLETED
