"""The budget: what was spent, what is on its way, and whether there is room for one job more.

Spent is what output manifests, the canary's file and the fallback's answers say. On its way is what
active jobs are expected to cost; as jobs complete, their real cost corrects what is expected of the
others. The service bills, not this: taxes, discounts and prices that changed are not in it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

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

Jobs = Callable[[], Mapping[str, Job]]


def canary_tokens(tries: Sequence[Canary]) -> Tokens:
    """Return what all tries of the canary took."""
    return total(Tokens(one.input_tokens, one.output_tokens) for one in tries)


def batch_tokens(jobs: Iterable[Job]) -> Tokens:
    """Return what the output manifests of settled jobs say."""
    return _sum(job.tokens for job in jobs if job.tokens is not None)


def expected_of(config: Config, tries: Sequence[Canary]) -> Expected:
    """Return what a record of the run is expected to take, by the last try of the canary."""
    last = tries[-1] if tries else None
    if last is None or not last.answered:
        return expect(config.request, None)
    tokens = Tokens(last.input_tokens, last.output_tokens)
    return expect(config.request, Sample(last.answered, last.line_bytes, tokens))


def fallback_tokens(reconciled: Iterable[Mapping[str, Any]]) -> Tokens:
    """Return what the fallback's answers of collected shards took."""
    taken = (unit.get("fallback_tokens", {}) for unit in reconciled)
    return total(Tokens(one.get("input", 0), one.get("output", 0)) for one in taken)


@dataclass(frozen=True)
class _Tally:
    """The tokens of all jobs, from one walk over them.

    taken: by what output manifests say
    coming: expected of active jobs
    done, guessed: what completed jobs took, and what was expected of them
    """

    taken: Tokens
    coming: Tokens
    done: Tokens
    guessed: Tokens


@dataclass
class Budget:
    """Lets jobs be submitted as long as the budget has room for them. A policy of the fan-out.

    limit: dollars that the run may cost
    jobs: gives every job of the run by name, as the ledger has it at the moment
    """

    limit: Decimal
    prices: PricesConfig
    expected: Expected
    shards: Mapping[str, Shard]
    canary: Tokens
    jobs: Jobs = dict
    fallback: Tokens = field(default_factory=Tokens)
    _granted: dict[str, Decimal] = field(default_factory=dict)
    _known: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)

    def allows(self, plan: JobPlan, records: int) -> str | None:
        """Return None where there is room for a job of so many records, else what to do.

        What it allowed counts as on its way from then on.
        """
        jobs = self.jobs()
        tally = self._tally(jobs.values(), plan.job_name)
        correction = self._correction(tally)
        own = Tokens(*self._expected_tokens(plan.shard_id, records))
        cost = own.cost(self._batch_prices) * correction
        coming = tally.coming.cost(self._batch_prices) * correction
        coming += self._granted_to_others(jobs, plan.job_name)
        used = self._spent(tally.taken)
        if used + coming + cost > self.limit:
            self._granted.pop(plan.job_name, None)
            return (
                f"of budget.max_cost_usd {dollars(self.limit)}, {dollars(used)} are spent and "
                f"{dollars(coming)} expected of active jobs; the next job would cost about "
                f"{dollars(cost)}. To go on, raise it and run the same command"
            )
        self._granted[plan.job_name] = cost
        return None

    def spent(self) -> Decimal:
        """Return the dollars that were spent, as far as is known."""
        return self._spent(batch_tokens(self.jobs().values()))

    def check_estimate(self, manifest: RunManifest) -> Decimal:
        """Return what the whole run is expected to cost, before its first job is submitted.

        Stragglers of batch jobs are not in it. Raises BudgetError above the limit.
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
        """Return how many of so many records the fallback may be asked, with what is left."""
        cost = self._fallback_cost(manifest, records)
        if not cost:
            return records
        left = max(Decimal(), self.limit - self.spent())
        return min(records, int(left * records / cost))

    def fallback_refusal(self, manifest: RunManifest, records: int) -> str:
        """Say why so many records are not asked, and what to do."""
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
        """Walk over all jobs; what is expected of the job `but` does not count as coming."""
        taken, coming, done, guessed = [], [], [], []
        for job in jobs:
            if job.tokens is not None:
                taken.append(job.tokens)
            if _is_open(job):
                if job.job_name != but:
                    coming.append(self._expected_of(job))
            elif job.tokens is not None and any(job.tokens) and _is_complete(job):
                done.append(job.tokens)
                guessed.append(self._expected_of(job))
        return _Tally(_sum(taken), _sum(coming), _sum(done), _sum(guessed))

    def _granted_to_others(self, jobs: Mapping[str, Job], but: str) -> Decimal:
        """Return what is expected of jobs that were allowed just now and are not yet known."""
        for name in self._granted.keys() & jobs.keys():
            del self._granted[name]
        return sum((c for name, c in self._granted.items() if name != but), Decimal())

    def _correction(self, tally: _Tally) -> Decimal:
        """Return by how much completed jobs cost more than was expected of them, or less."""
        guessed = tally.guessed.cost(self._batch_prices)
        return tally.done.cost(self._batch_prices) / guessed if guessed else Decimal(1)

    def _expected_of(self, job: Job) -> tuple[int, int]:
        shard = self.shards.get(job.shard_id)
        records = job.records or (shard.records if shard else 0)
        return self._expected_tokens(job.shard_id, records)

    def _expected_tokens(self, shard_id: str, records: int) -> tuple[int, int]:
        """Return the tokens in and out that a job is expected to take: they never change."""
        known = self._known.get((shard_id, records))
        if known is None:
            known = self._known[shard_id, records] = self._guess_tokens(shard_id, records)
        return known

    def _guess_tokens(self, shard_id: str, records: int) -> tuple[int, int]:
        shard = self.shards.get(shard_id)
        if shard is None or not shard.records:
            return 0, 0
        tokens = self.expected.tokens(shard.bytes * records / shard.records, records)
        return tokens.input, tokens.output

    def _cost_of(self, shards: Iterable[Shard], prices: TokenPrices) -> Decimal:
        return total(self.expected.tokens(s.bytes, s.records) for s in shards).cost(prices)


def open_budget(run: Run, shards: Iterable[Shard]) -> Budget | None:
    """Return the budget for these batch shards, or None where the config has no limit."""
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
    )


def _sum(pairs: Iterable[tuple[int, int]]) -> Tokens:
    """Add up tokens in and out."""
    inputs, outputs = 0, 0
    for more_in, more_out in pairs:
        inputs += more_in
        outputs += more_out
    return Tokens(inputs, outputs)


def _is_open(job: Job) -> bool:
    """Tell whether a job may still cost something; one that completed unseen may have."""
    return not job.is_settled or (job.tokens is None and _is_complete(job))


def _is_complete(job: Job) -> bool:
    return job.seen is not None and job.seen.status == COMPLETED
