"""The whole config: one frozen model per section, each value checked on its own.

A setting without a right default has none: the user always names the run URI, the model id and the
role ARN.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, PrivateAttr, model_validator

from bedrock_spark.config.answers import AnswersConfig
from bedrock_spark.config.base import Section, check_run_uri
from bedrock_spark.config.batch import BatchConfig, ShardsConfig
from bedrock_spark.config.budget import BudgetConfig
from bedrock_spark.config.canary import CanaryConfig
from bedrock_spark.config.events import EventsConfig
from bedrock_spark.config.fallback import FallbackConfig
from bedrock_spark.config.metrics import MetricsConfig
from bedrock_spark.config.misfits import misfits
from bedrock_spark.config.model import ModelConfig
from bedrock_spark.config.notify import NotifyConfig
from bedrock_spark.config.openlineage import OpenLineageConfig
from bedrock_spark.config.prices import PricesConfig
from bedrock_spark.config.problems import Origin, Problems
from bedrock_spark.config.request import RequestConfig
from bedrock_spark.config.results import ResultsConfig
from bedrock_spark.config.source import SourceConfig
from bedrock_spark.config.targets import TargetConfig

_FIXED = ("run_uri", "source", "model", "request", "shards", "answers")
# Keys of fixed sections that may still change: they decide whether prepare commits, and what
# happens to answers, but not what prepare commits.
_FREE = {
    "source": ("on_duplicate_key", "max_rejects"),
    "request": ("on_truncated", "max_tokens_ceiling", "on_refused"),
    "answers": ("keep", "compact", "table", "format"),
}


def fixed_part(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part that shapes the records, from a config as plain values."""
    fixed = {name: values[name] for name in _FIXED if name in values}
    for name, free in _FREE.items():
        section = fixed.get(name)
        if isinstance(section, Mapping):
            fixed[name] = {k: v for k, v in section.items() if k not in free}
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
    answers: AnswersConfig | None = None
    metrics: MetricsConfig = MetricsConfig()
    notify: NotifyConfig = NotifyConfig()
    openlineage: OpenLineageConfig = OpenLineageConfig()
    endpoint_url: str | None = None

    _origin: Origin = PrivateAttr(default=Origin())

    @model_validator(mode="after")
    def _sections_fit(self) -> Config:
        problems = misfits(self)
        if problems:
            raise Problems(problems)
        return self

    def fixed_part(self) -> dict[str, Any]:
        """Return the part that shapes the records. It must not change once a run folder exists."""
        return fixed_part(self.model_dump(mode="json"))

    @property
    def shares_records(self) -> bool:
        """Tell whether record ids are of bodies, and rows with equal bodies share a record."""
        return self.request.dedupe or (self.answers is not None and self.answers.is_on)

    @property
    def hashes_bodies(self) -> bool:
        """Tell whether prepare hashes bodies: they are shared, or there is no key."""
        return self.shares_records or not self.source.key

    @property
    def origin(self) -> Origin:
        """Return where the config comes from, for the places in messages."""
        return self._origin

    def from_origin(self, origin: Origin) -> Config:
        """Return this config, with the place that it comes from."""
        self._origin = origin
        return self
