"""The config of a run: its shape, and how it is read."""

from bedrock_spark.config.answers import AnswersConfig
from bedrock_spark.config.batch import BatchConfig, ShardsConfig, VpcConfig
from bedrock_spark.config.budget import BudgetConfig
from bedrock_spark.config.canary import CanaryConfig
from bedrock_spark.config.config import Config, changing_part, fixed_part
from bedrock_spark.config.events import EventsConfig
from bedrock_spark.config.fallback import CreateConfig, FallbackConfig, GuardrailConfig
from bedrock_spark.config.load import parse_config, with_overrides
from bedrock_spark.config.metrics import MetricsConfig
from bedrock_spark.config.model import ModelConfig
from bedrock_spark.config.notify import NotifyConfig
from bedrock_spark.config.parse import ParseConfig
from bedrock_spark.config.prices import PricesConfig, TokenPrices
from bedrock_spark.config.request import RequestConfig
from bedrock_spark.config.results import ResultsConfig
from bedrock_spark.config.source import SourceConfig
from bedrock_spark.config.targets import TargetConfig

__all__ = [
    "AnswersConfig",
    "BatchConfig",
    "BudgetConfig",
    "CanaryConfig",
    "Config",
    "CreateConfig",
    "EventsConfig",
    "FallbackConfig",
    "GuardrailConfig",
    "MetricsConfig",
    "ModelConfig",
    "NotifyConfig",
    "ParseConfig",
    "PricesConfig",
    "RequestConfig",
    "ResultsConfig",
    "ShardsConfig",
    "SourceConfig",
    "TargetConfig",
    "TokenPrices",
    "VpcConfig",
    "changing_part",
    "fixed_part",
    "parse_config",
    "with_overrides",
]
