"""What a run has cost so far, as its report and its status say it: one sum, with its parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from bedrock_spark.costs.fallback_paid import FallbackPaid, fallback_paid
from bedrock_spark.costs.paid import canary_paid, paid_at, unpriced_places, use_by_place
from bedrock_spark.costs.spent import Spent, spent
from bedrock_spark.costs.tokens import Tokens
from bedrock_spark.costs.used import estimate_by, expected_of
from bedrock_spark.prices import RunPrices
from bedrock_spark.prices.place_prices import PlaceKey
from bedrock_spark.run_folder.canary_results import Canary
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.model_use import ModelUse
from bedrock_spark.run_folder.run import Run

_BATCH, _FALLBACK, _CANARY = "batch", "fallback", "canary"


@dataclass(frozen=True)
class RunCost:
    """What a run has cost so far.

    dollars: the parts; fallback: what its answers cost, by model and tier
    batch, canary: their tokens, with estimates for what was not counted
    batch_on_demand: what single calls would have cost that ask what the batch jobs have asked, in
        dollars; None if a price of that is not known
    unpriced: what was paid for and is not in the sum, because its price is not known, in words
    """

    dollars: Spent
    fallback: FallbackPaid
    batch: Tokens
    canary: Tokens
    batch_on_demand: Decimal | None
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
    used = use_by_place(jobs.values(), estimate_by(expected, manifest.shards))
    batch, canary = paid_at(used, prices), canary_paid(tries, expected, prices)
    paid = fallback_paid(fallback, prices, expected, manifest)
    dollars = spent(prices, batch, paid, canary, unit_hours)
    unpriced = [*_unpriced_jobs(jobs, used, dollars, prices)]
    unpriced += [_CANARY] if canary.unpriced else []
    unpriced += _unpriced_answers(run, paid)
    on_demand = None if batch.unpriced else _on_demand(used, prices)
    return RunCost(dollars, paid, batch.tokens, canary.tokens, on_demand, tuple(unpriced))


def _on_demand(used: Mapping[PlaceKey | None, Tokens], prices: RunPrices) -> Decimal | None:
    cost = Decimal()
    for place, tokens in used.items():
        price = prices.of_batch_on_demand(place)
        if price is None:
            return None
        cost += tokens.cost(price)
    return cost


def _unpriced_jobs(
    jobs: Mapping[str, Job],
    used: Mapping[PlaceKey | None, Tokens],
    costs: Spent,
    prices: RunPrices,
) -> Iterator[str]:
    if costs.batch is None:
        if jobs:
            yield _BATCH
        return
    for place in unpriced_places(used, prices):
        yield _BATCH if place is None else f"batch jobs of {place[0]} in {place[1]}"


def _unpriced_answers(run: Run, paid: FallbackPaid) -> Iterator[str]:
    current = run.config.fallback.model_id if run.config.fallback is not None else None
    if any(use.model_id in (None, current) for use in paid.unpriced):
        yield _FALLBACK
    for use in paid.unpriced:
        if use.model_id not in (None, current):
            yield f"{use.answers:,} answers of {use.model_id}"
