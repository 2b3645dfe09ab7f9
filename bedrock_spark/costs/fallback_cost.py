"""What a run costs while its fallback asks: what was spent before, and what the round has used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from bedrock_spark.clock import Clock
from bedrock_spark.costs.tokens import Tokens, spent
from bedrock_spark.costs.used import (
    batch_used,
    canary_used,
    estimate_by,
    expected_of,
    fallback_used,
    flex_used,
)
from bedrock_spark.run_folder.canary_results import read_tries
from bedrock_spark.run_folder.ledger import Job
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.purchases import read_purchases, unit_hours
from bedrock_spark.run_folder.run import Run


def cost_with_fallback(
    run: Run,
    manifest: RunManifest,
    clock: Clock,
    jobs: Mapping[str, Job],
    fallback: Sequence[Mapping[str, int]],
) -> Callable[[Tokens, Tokens], Decimal | None]:
    """Return the cost of a run as a function of what the fallback uses from now on.

    The function gets these tokens, and the part of them at the flex tier; it returns dollars, or
    None if the fallback has no price.
    jobs: every job of the run by name
    fallback: `fallback_tokens` of every collected shard
    """
    prices = run.prices
    if prices.fallback is None and prices.image is None and prices.model_unit_hour is None:
        return lambda more, flex: None
    tries = read_tries(run.storage)
    expected = expected_of(run.config, prices, tries)
    batch = batch_used(jobs.values(), estimate_by(expected, manifest.shards))
    used, flex_used_before = fallback_used(fallback, expected, manifest), flex_used(fallback)
    canary, purchases = canary_used(tries, expected), read_purchases(run.storage)

    def cost(more: Tokens, flex: Tokens) -> Decimal:
        hours = unit_hours(purchases, clock.now())
        return spent(prices, batch, used + more, canary, hours, flex_used_before + flex).total

    return cost
