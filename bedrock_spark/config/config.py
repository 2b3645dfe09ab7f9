"""The whole config: one frozen model per section, each value checked on its own.

A setting without a right default has none: the user always names the run URI, the model id and the
role ARN.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, model_validator

from bedrock_spark.config.base import Section, check_run_uri
from bedrock_spark.config.batch import BatchConfig, ShardsConfig
from bedrock_spark.config.budget import BudgetConfig
from bedrock_spark.config.canary import CanaryConfig
from bedrock_spark.config.events import EventsConfig
from bedrock_spark.config.fallback import FallbackConfig
from bedrock_spark.config.model import ModelConfig
from bedrock_spark.config.overlaps import overlaps
from bedrock_spark.config.prices import PricesConfig
from bedrock_spark.config.request import RequestConfig
from bedrock_spark.config.results import ResultsConfig
from bedrock_spark.config.source import SourceConfig
from bedrock_spark.config.targets import TargetConfig

_FIXED = ("run_uri", "source", "model", "request", "shards")
# Tolerances: they decide whether prepare commits, not what it commits, so they may change.
_TOLERANCES = ("on_duplicate_key", "max_rejects")


def fixed_part(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part that shapes the records, from a config as plain values."""
    fixed = {name: values[name] for name in _FIXED if name in values}
    source = fixed.get("source")
    if isinstance(source, Mapping):
        fixed["source"] = {k: v for k, v in source.items() if k not in _TOLERANCES}
    return fixed


def changing_part(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sections that may change while a run goes on, from a config as plain values."""
    return {name: value for name, value in values.items() if name not in _FIXED}


class Config(Section):
    """The whole config. `run_uri` is the run folder, which holds all state of a run."""

    run_uri: Annotated[str, AfterValidator(check_run_uri)]
    source: SourceConfig = SourceConfig()
    model: ModelConfig
    request: RequestConfig
    shards: ShardsConfig = ShardsConfig()
    batch: BatchConfig
    targets: tuple[TargetConfig, ...] = ()
    events: EventsConfig = EventsConfig()
    canary: CanaryConfig = CanaryConfig()
    fallback: FallbackConfig | None = None
    prices: PricesConfig = PricesConfig()
    budget: BudgetConfig = BudgetConfig()
    results: ResultsConfig = ResultsConfig()
    endpoint_url: str | None = None

    @model_validator(mode="after")
    def _budget_has_prices(self) -> Config:
        """Check that everything that can be asked has a price. For images, families tell more."""
        prices = self.prices
        if self.budget.max_cost_usd is None:
            return self
        per_tokens = "{input: …, output: …}, in dollars per 1,000 tokens"
        if prices.batch is None and prices.image is None:
            raise ValueError(
                f"budget.max_cost_usd needs prices.batch: {per_tokens}; for a model that answers "
                "with images, prices.image"
            )
        if self.fallback is None:
            return self
        if self.fallback.create is not None and prices.model_unit_hour is None:
            raise ValueError(
                "budget.max_cost_usd needs prices.model_unit_hour, in dollars per model unit and "
                "hour, because fallback.create buys model units"
            )
        is_free = self.fallback.create is not None or prices.image is not None
        if prices.fallback is None and not is_free:
            raise ValueError(
                f"budget.max_cost_usd needs prices.fallback: {per_tokens}; without it, the "
                "fallback could spend any amount. For provisioned throughput that you pay for by "
                "the hour anyway, set both to 0"
            )
        return self

    @model_validator(mode="after")
    def _merge_has_key(self) -> Config:
        if self.results.mode == "merge" and not self.source.key:
            raise ValueError("results.mode: merge needs source.key: rows are merged by it")
        return self

    @model_validator(mode="after")
    def _places_are_apart(self) -> Config:
        problems = overlaps(self.run_uri, self.source, self.results, self.targets)
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def fixed_part(self) -> dict[str, Any]:
        """Return the part that shapes the records. It must not change once a run folder exists."""
        return fixed_part(self.model_dump(mode="json"))
