"""The share of a run's records that batch jobs may hand over to the fallback, which costs more.

Records of shards that are too small for a batch job do not count: nothing else can answer them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping

from bedrock_spark.costs.tokens import dollars
from bedrock_spark.costs.used import expected_of
from bedrock_spark.errors import FallbackShareError
from bedrock_spark.run_folder.canary_results import read_tries
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run

log = logging.getLogger(__name__)


def check_share(run: Run, manifest: RunManifest, counts: Mapping[str, int]) -> None:
    """Raise FallbackShareError if batch jobs left more records than the fallback may be asked for.

    counts: the number of unanswered records, by shard
    """
    config = run.config.fallback
    if config is None:
        return
    least = run.config.shards.min_records
    small = {s.shard_id for s in manifest.shards if s.records < least}
    exempt = sum(count for shard, count in counts.items() if shard in small)
    if exempt:
        log.warning(
            "%s: %d unanswered records are in shards below shards.min_records (%d), which only the "
            "fallback can answer: they do not count for fallback.max_share",
            run.run_id,
            exempt,
            least,
        )
    left = sum(counts.values()) - exempt
    if left > config.max_share * manifest.records:
        raise FallbackShareError(_message(run, manifest, counts, left, small))


def _message(
    run: Run, manifest: RunManifest, counts: Mapping[str, int], left: int, small: set[str]
) -> str:
    config = run.config.fallback
    assert config is not None
    share = left / manifest.records
    needed = min(1.0, math.ceil(share * 100) / 100)
    return (
        f"{run.storage.uri}: {left:,} of {manifest.records:,} records ({share:.1%}) have no answer "
        f"from batch jobs, and fallback.max_share allows the fallback {config.max_share:.1%} of "
        f"them. Nothing was asked. {_cost(run, manifest, counts, small)}. bedrock-spark status and "
        "reconciliation/ in the run folder show why batch jobs left them. To have the fallback "
        f"answer them, set fallback.max_share to {needed:g} or more (--set "
        f"fallback.max_share={needed:g}) and run the same command; to do without, collect"
    )


def _cost(run: Run, manifest: RunManifest, counts: Mapping[str, int], small: set[str]) -> str:
    """Return what asking the counted records would cost, in words."""
    prices = run.config.prices.fallback
    if prices is None:
        return "What that would cost is not known, because prices.fallback is not set"
    counted = {s: n for s, n in counts.items() if s not in small}
    line_bytes = sum(
        s.bytes * counted[s.shard_id] / s.records for s in manifest.shards if s.shard_id in counted
    )
    expected = expected_of(run.config, read_tries(run.storage))
    tokens = expected.tokens(line_bytes, sum(counted.values()))
    cost = tokens.cost(prices, run.config.prices.image)
    return f"To ask them would cost about {dollars(cost)} ({expected.how})"
