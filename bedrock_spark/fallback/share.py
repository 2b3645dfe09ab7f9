"""The share of a run's records that batch jobs may hand over to the fallback, which costs more.

Records of shards that are too small for a batch job do not count: nothing else can answer them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from bedrock_spark.costs.tokens import dollars
from bedrock_spark.costs.used import expected_of
from bedrock_spark.errors import FallbackShareError
from bedrock_spark.run_folder.canary_results import read_tries
from bedrock_spark.run_folder.manifest import RunManifest
from bedrock_spark.run_folder.run import Run

log = logging.getLogger(__name__)


@dataclass
class HandedOver:
    """The records that batch jobs have handed over to the fallback, as its rounds saw them.

    A later round asks records again that an earlier one got no answer for: they count once. Shards
    that were left out of the earlier rounds, because they had to be collected again, are added.

    records: for each shard, the most that were unanswered before a round
    """

    records: dict[str, int] = field(default_factory=dict)

    def check(self, run: Run, manifest: RunManifest, counts: Mapping[str, int]) -> None:
        """Raise FallbackShareError if a round would ask more than the fallback may be asked for.

        counts: the number of unanswered records of the round, by shard
        """
        config = run.config.fallback
        if config is None:
            return
        is_first = not self.records
        small = {s.shard_id for s in manifest.shards if s.records < run.config.shards.min_records}
        exempt = sum(counts[shard] for shard in counts.keys() & small)
        if exempt and not small & self.records.keys():
            _log_exempt(run, exempt)
        for shard, count in counts.items():
            self.records[shard] = max(count, self.records.get(shard, 0))
        left = {shard: count for shard, count in self.records.items() if shard not in small}
        if sum(left.values()) > config.max_share * manifest.records:
            asked = "Nothing was asked" if is_first else "Nothing more was asked"
            raise FallbackShareError(_message(run, manifest, left, asked))


def _log_exempt(run: Run, exempt: int) -> None:
    log.warning(
        "%s: %d unanswered records are in shards below shards.min_records (%d): only the fallback "
        "answers them, whatever fallback.max_share is",
        run.run_id,
        exempt,
        run.config.shards.min_records,
    )


def _message(run: Run, manifest: RunManifest, left: Mapping[str, int], asked: str) -> str:
    config = run.config.fallback
    assert config is not None
    records = sum(left.values())
    share = records / manifest.records
    needed = math.ceil(share * 100) / 100
    return (
        f"{run.storage.uri}: {records:,} of {manifest.records:,} records ({share:.1%}) have no "
        f"ok answer from batch jobs, and fallback.max_share allows the fallback "
        f"{config.max_share:.1%} of them. {asked}. {_cost(run, manifest, left)}. bedrock-spark "
        "status and reconciliation/ in the run folder show why batch jobs left them. To have the "
        f"fallback answer them, set fallback.max_share to {needed:g} or more (--set "
        f"fallback.max_share={needed:g}) and run the same command. To end the run without "
        "them, run bedrock-spark collect"
    )


def _cost(run: Run, manifest: RunManifest, left: Mapping[str, int]) -> str:
    """Return what asking these records would cost, in words."""
    prices = run.prices.fallback
    if prices is None:
        return "What that would cost is not known: set prices.fallback"
    line_bytes = sum(
        s.bytes * left[s.shard_id] / s.records for s in manifest.shards if s.shard_id in left
    )
    expected = expected_of(run.config, run.prices, read_tries(run.storage))
    tokens = expected.tokens(line_bytes, sum(left.values()))
    cost = tokens.cost(prices, run.prices.image)
    return f"To ask them would cost about {dollars(cost)} ({expected.how})"
