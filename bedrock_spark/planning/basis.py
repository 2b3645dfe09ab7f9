"""What a plan is about, by digests: so that a run can tell whether it does what was planned."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from bedrock_spark._version import __version__
from bedrock_spark.config import Config
from bedrock_spark.config.shown import compared_config
from bedrock_spark.planning.values import Basis
from bedrock_spark.prices import RunPrices, prices_as_json
from bedrock_spark.run_folder.manifest import Shard
from bedrock_spark.run_folder.prepared import Prepared
from bedrock_spark.run_folder.run_file import config_digests

# Of `prices_as_json`: what is paid, and not where the prices come from.
PRICES = ("batch", "fallback", "flex", "canary", "image", "model_unit_hour")


def basis_of(
    config: Config, prepared: Prepared, prices: RunPrices, output_tokens: float | None
) -> Basis:
    """Return what a plan is about. output_tokens: the mean of an answer, if it was given"""
    return Basis(
        version=__version__,
        config_digest=config_digests(config)["config"],
        config=compared_config(config),
        source=prepared.source,
        content=content_digest(prepared.shards),
        prices=paid_prices(prices),
        output_tokens=output_tokens,
    )


def content_digest(shards: Iterable[Shard]) -> str:
    """Return the SHA-256 of the requests of all shards, and of how they are cut."""
    parts = sorted(f"{shard.shard_id} {shard.records} {shard.sha256}" for shard in shards)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def paid_prices(prices: RunPrices) -> dict[str, Any]:
    """Return the prices that a cost depends on, as report.json has them."""
    values = prices_as_json(prices)
    return {name: values[name] for name in PRICES}
