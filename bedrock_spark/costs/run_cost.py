"""What a run has cost so far, as its report and its status say it: one sum, with its parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bedrock_spark.costs.fallback_paid import FallbackPaid, fallback_paid
from bedrock_spark.costs.spent import Spent, spent
from bedrock_spark.costs.tokens import Tokens
from bedrock_spark.costs.used import batch_used, canary_used, estimate_by, expected_of
from bedrock_spark.run_folder.canary_results import Canary
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.model_use import ModelUse
from bedrock_spark.run_folder.run import Run

_BATCH, _FALLBACK = "batch", "fallback"


@dataclass(frozen=True)
class RunCost:
    """What a run has cost so far.

    dollars: the parts; fallback: what its answers cost, by model and tier
    batch, canary: their tokens, with estimates for what was not counted
    unpriced: what was paid for and is not in the sum, because its price is not known, in words
    """

    dollars: Spent
    fallback: FallbackPaid
    batch: Tokens
    canary: Tokens
    unpriced: tuple[str, ...]

    @property
    def tokens(self) -> Tokens:
        """Return the tokens of everything that was paid for."""
        return self.batch + self.fallback.tokens + self.canary

    def as_json(self) -> dict[str, float] | None:
        """Return the dollars of each part and the `total`; None if no part has a price.

        They are rounded to hundredths of a cent. A part without a price is left out.
        """
        parts = self.dollars.parts()
        priced = {name: part for name, part in parts.items() if part is not None}
        if not priced:
            return None
        both = {**priced, "total": self.dollars.total}
        return {name: round(float(part), 4) for name, part in both.items()}


def cost_so_far(
    run: Run,
    manifest: RunManifest,
    jobs: Mapping[str, Job],
    tries: Sequence[Canary],
    fallback: Iterable[Iterable[ModelUse]],
    unit_hours: int = 0,
) -> RunCost:
    """Return what a run has cost so far.

    jobs: every batch job of the run by name; tries: of the canary, oldest first
    fallback: what the fallback's answers used, in one sum or several
    unit_hours: model units x hours that the fallback bought
    """
    prices, expected = run.prices, expected_of(run.config, run.prices, tries)
    batch = batch_used(jobs.values(), estimate_by(expected, manifest.shards))
    paid = fallback_paid(fallback, prices, expected, manifest)
    canary = canary_used(tries, expected)
    dollars = spent(prices, batch, paid, canary, unit_hours)
    unpriced = tuple(_unpriced(run, jobs, dollars, paid))
    return RunCost(dollars, paid, batch, canary, unpriced)


def _unpriced(run: Run, jobs: Mapping[str, Job], costs: Spent, paid: FallbackPaid) -> Iterator[str]:
    if jobs and costs.batch is None:
        yield _BATCH
    current = run.config.fallback.model_id if run.config.fallback is not None else None
    if any(use.model_id in (None, current) for use in paid.unpriced):
        yield _FALLBACK
    for use in paid.unpriced:
        if use.model_id not in (None, current):
            yield f"{use.answers:,} answers of {use.model_id}"
