"""What a run costs while its fallback asks: what was spent before, and what the round has used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from bedrock_spark.clock import Clock
from bedrock_spark.costs.fallback_paid import cost_of_round, fallback_paid
from bedrock_spark.costs.paid import batch_paid, canary_paid
from bedrock_spark.costs.spent import spent
from bedrock_spark.costs.tokens import Tokens
from bedrock_spark.costs.used import estimate_by, expected_of
from bedrock_spark.run_folder.canary_results import read_tries
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.model_use import ModelUse
from bedrock_spark.run_folder.purchases import read_purchases, unit_hours
from bedrock_spark.run_folder.run import Run


def cost_with_fallback(
    run: Run,
    manifest: RunManifest,
    clock: Clock,
    jobs: Mapping[str, Job],
    fallback: Iterable[Iterable[ModelUse]],
) -> Callable[[Tokens, Tokens], Decimal | None]:
    """Return the cost of a run as a function of what the fallback uses from now on.

    The function gets these tokens, and the part of them at the flex tier; it returns dollars, or
    None if a price is not known, also that of a model that the run asked before.
    jobs: every job of the run by name
    fallback: `fallback_models` of every collected shard
    """
    prices = run.prices
    tries = read_tries(run.storage)
    expected = expected_of(run.config, prices, tries)
    batch = batch_paid(jobs.values(), estimate_by(expected, manifest.shards), prices)
    canary = canary_paid(tries, expected, prices)
    before = fallback_paid(fallback, prices, expected, manifest)
    has_unpriced = before.unpriced or batch.unpriced or canary.unpriced
    if has_unpriced or cost_of_round(prices, Tokens(), Tokens()) is None:
        return lambda more, flex: None
    purchases = read_purchases(run.storage)

    def cost(more: Tokens, flex: Tokens) -> Decimal | None:
        hours = unit_hours(purchases, clock.now())
        of_round = cost_of_round(prices, more, flex)
        total = spent(prices, batch, before, canary, hours).total
        return None if of_round is None else total + of_round

    return cost
