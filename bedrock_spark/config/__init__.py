"""The config of a run: its shape, and how it is read."""

from bedrock_spark.config.batch import BatchConfig, ShardsConfig, VpcConfig
from bedrock_spark.config.canary import CanaryConfig
from bedrock_spark.config.fallback import FallbackConfig
from bedrock_spark.config.load import load_config, parse_config, with_overrides
from bedrock_spark.config.model import Config, fixed_part
from bedrock_spark.config.request import ModelConfig, RequestConfig
from bedrock_spark.config.results import ResultsConfig
from bedrock_spark.config.source import SourceConfig

__all__ = [
    "BatchConfig",
    "CanaryConfig",
    "Config",
    "FallbackConfig",
    "ModelConfig",
    "RequestConfig",
    "ResultsConfig",
    "ShardsConfig",
    "SourceConfig",
    "VpcConfig",
    "fixed_part",
    "load_config",
    "parse_config",
    "with_overrides",
]
